//! Sessions: one sequence each, with threads and working memory of its own. Tokens go in, logits come out.
use crate::{
    border::{Caller, Failure, Outcome, answer, answer_without_pointers, expect_apart, span},
    handles::{self, Object},
    model::LoadedModel,
    sized::Versioned,
    status::{QINT_ERROR_ARGUMENT, QINT_ERROR_BUSY, QINT_ERROR_LENGTH, QINT_ERROR_STATE, QINT_ERROR_UNEXPECTED},
    write::Destination,
};
use core::{ffi::c_char, mem::offset_of};
use qint_core::{backend::Backend, llama::KvKind};
use qint_std::engine::{Engine, EngineOptions, Session};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// Keys and values are kept as f16.
pub const QINT_KV_F16: u32 = 0;
/// Keys and values are kept as i8 with one scale per position and head.
pub const QINT_KV_I8: u32 = 1;
/// Keys and values are kept as f32.
pub const QINT_KV_F32: u32 = 2;

/// How a session is set up.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_session_options {
    /// sizeof(qint_session_options).
    pub struct_size: u32,
    /// Threads; 0 for one on every physical core that the process may use.
    pub threads: u32,
    /// Positions that the session has room for; 0 for the model's context, at most 4096.
    pub capacity: u32,
    /// QINT_KV_F16, QINT_KV_I8 or QINT_KV_F32.
    pub kv: u32,
    /// The backend's name ("avx2"); null for the fastest of this CPU.
    pub backend: *const c_char,
    /// Bytes of the name.
    pub backend_length: usize,
}

// SAFETY: repr(C), numbers and a pointer, struct_size comes first.
unsafe impl Versioned for qint_session_options {
    const MIN_SIZE: usize = offset_of!(qint_session_options, backend_length) + size_of::<usize>();
}

/// How far a session is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_session_info {
    /// sizeof(qint_session_info), set by the caller.
    pub struct_size: u32,
    /// Threads that it computes with.
    pub threads: u32,
    /// Positions stored.
    pub length: u32,
    /// Positions that it has room for.
    pub capacity: u32,
}

// SAFETY: repr(C), numbers only, struct_size comes first.
unsafe impl Versioned for qint_session_info {
    const MIN_SIZE: usize = offset_of!(qint_session_info, capacity) + size_of::<u32>();
}

/// A session that one call at a time uses.
pub(crate) struct SessionCell {
    pub(crate) model: Arc<LoadedModel>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) session: Session,
    /// Of the last position; empty if they are not known.
    pub(crate) logits: Vec<f32>,
    /// What was generated last.
    pub(crate) text: String,
}

impl SessionCell {
    /// The session, unless a call is using it.
    pub(crate) fn lock(&self) -> Outcome<MutexGuard<'_, State>> {
        self.state.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::new(QINT_ERROR_BUSY, format_args!("another call uses this session")),
            TryLockError::Poisoned(_) => {
                let text = format_args!("an earlier call on this session failed by a bug; it can only be freed");
                Failure::new(QINT_ERROR_UNEXPECTED, text)
            }
        })
    }
}

/// Makes an empty session of a model and gives out a handle. `options` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_session_new(model: u64, options: *const qint_session_options, session: *mut u64) -> i32 {
    let work = |caller: &Caller| {
        let given = if options.is_null() { Ok(None) } else { caller.sized(options, "options").map(Some) };
        let (name, name_length) = match &given {
            Ok(Some(given)) => (given.backend, given.backend_length),
            _ => (core::ptr::null(), 0),
        };
        let (place, options) = (("session", span(session, 1)), ("options", span(options, 1)));
        expect_apart(&[place, options, ("options.backend", span(name, name_length))], 1)?;
        caller.store(session, 0, "session")?;
        let model = handles::model(model)?;
        let config = &model.model.config().architecture;
        let mut engine_options = EngineOptions::default();
        let (mut capacity, mut kind) = (0, KvKind::F16);
        if let Some(options) = given? {
            engine_options.threads = (options.threads > 0).then_some(options.threads as usize);
            engine_options.backend = backend(caller, &options)?;
            capacity = options.capacity as usize;
            kind = kv(options.kv)?;
        }
        let capacity = if capacity == 0 { config.context.min(4096) } else { capacity };
        let state = State {
            session: Session::new(config, kind, capacity)?,
            engine: Engine::with_options(engine_options)?,
            logits: Vec::new(),
            text: String::new(),
        };
        let cell = SessionCell { model, state: Mutex::new(state) };
        caller.store(session, handles::insert(Object::Session(Arc::new(cell))), "session")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// Gives a session back. A call that is using it goes on to its end.
#[unsafe(no_mangle)]
pub extern "C" fn qint_session_free(session: u64) -> i32 {
    answer_without_pointers(|| handles::remove_session(session))
}

/// How far a session is. `info->struct_size` is set by the caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_session_describe(session: u64, info: *mut qint_session_info) -> i32 {
    let work = |caller: &Caller| {
        let cell = handles::session(session)?;
        let state = cell.lock()?;
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let filled = qint_session_info {
            struct_size: 0, // stays the caller's
            threads: number(state.engine.threads()),
            length: number(state.session.len()),
            capacity: number(state.session.capacity()),
        };
        caller.write_sized(info, filled, "info")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// Forgets all positions from `length` on; more than there are is an error.
#[unsafe(no_mangle)]
pub extern "C" fn qint_session_truncate(session: u64, length: usize) -> i32 {
    answer_without_pointers(|| {
        let cell = handles::session(session)?;
        let mut state = cell.lock()?;
        if length > state.session.len() {
            let text = format_args!("length is {length}, the session has {} positions", state.session.len());
            return Err(Failure::new(QINT_ERROR_ARGUMENT, text));
        }
        state.session.truncate(length);
        state.logits.clear();
        Ok(())
    })
}

/// Appends tokens, at least one. After an error the session is as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_session_feed(session: u64, tokens: *const u32, count: usize) -> i32 {
    let work = |caller: &Caller| {
        let cell = handles::session(session)?;
        let mut state = cell.lock()?;
        let tokens = caller.input(tokens, count, "tokens")?;
        let State { engine, session, logits, .. } = &mut *state;
        let length = session.len();
        // A prompt goes in by chunks: those before the one that failed are taken back.
        *logits =
            engine.prompt(cell.model.model.weights(), session, tokens).inspect_err(|_| session.truncate(length))?;
        Ok(())
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// The logits of the position that was fed last: `length` is the model's vocabulary. QINT_ERROR_STATE if nothing was fed, or
/// if the session was truncated or generated since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_session_logits(session: u64, logits: *mut f32, length: usize) -> i32 {
    let work = |caller: &Caller| {
        let cell = handles::session(session)?;
        let state = cell.lock()?;
        if state.logits.is_empty() {
            return Err(Failure::new(QINT_ERROR_STATE, format_args!("there are no logits: feed tokens first")));
        }
        expect_length("logits", length, state.logits.len())?;
        caller.output(logits, length, "logits")?.copy_from_slice(&state.logits);
        Ok(())
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// What was generated last in this session. `length`, which may be null, receives its bytes, also when they do not fit
/// `capacity` (QINT_ERROR_LENGTH; nothing is written then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_session_text(
    session: u64,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    let work = |caller: &Caller| {
        let cell = handles::session(session)?;
        let state = cell.lock()?;
        Destination::text(text, capacity, length).write_text(caller, &state.text, ("", 0..0))
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

fn backend(caller: &Caller, options: &qint_session_options) -> Outcome<Option<Backend>> {
    if options.backend.is_null() {
        return Ok(None);
    }
    let name = caller.text(options.backend, options.backend_length, "options.backend")?;
    let unknown = || Failure::new(QINT_ERROR_ARGUMENT, format_args!("there is no backend `{name}` on this machine"));
    Backend::from_name(name).map(Some).ok_or_else(unknown)
}

fn kv(kind: u32) -> Outcome<KvKind> {
    match kind {
        QINT_KV_F16 => Ok(KvKind::F16),
        QINT_KV_I8 => Ok(KvKind::I8),
        QINT_KV_F32 => Ok(KvKind::F32),
        other => Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("options.kv is {other}, 0 to 2 are allowed"))),
    }
}

fn expect_length(what: &str, given: usize, needed: usize) -> Outcome {
    if given == needed {
        return Ok(());
    }
    Err(Failure::new(QINT_ERROR_LENGTH, format_args!("{what} has {given} elements, {needed} are needed")))
}
