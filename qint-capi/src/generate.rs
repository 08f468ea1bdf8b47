//! Prompts into text, one or several at once, with a callback for every piece.
use crate::{
    border::{Caller, Failure, Outcome, answer, expect_apart, span},
    generate_options::{QINT_PLAIN_PROMPT, checked, defaults, qint_generate_options, qint_text, texts},
    handles,
    model::LoadedModel,
    session::{SessionCell, State},
    sized::{Entries, Versioned},
    status::QINT_ERROR_ARGUMENT,
};
use core::{
    ffi::{c_char, c_void},
    mem::offset_of,
    ops::Range,
};
use qint_std::generate::{GenerateOptions, Generated, Reason, Request, generate_batch};
use std::{
    ops::ControlFlow,
    sync::{Arc, MutexGuard, atomic::AtomicBool},
};

/// The model wrote an end token.
pub const QINT_END_TOKEN: u32 = 0;
/// A stop text appeared; it is not part of the text.
pub const QINT_END_STOP: u32 = 1;
/// As many tokens as allowed.
pub const QINT_END_LENGTH: u32 = 2;
/// The session is full.
pub const QINT_END_CONTEXT: u32 = 3;
/// The callback asked for it.
pub const QINT_END_CALLBACK: u32 = 4;

/// How a generation ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_generated {
    /// sizeof(qint_generated), set by the caller.
    pub struct_size: u32,
    /// QINT_END_TOKEN and so on.
    pub reason: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub tokens: u32,
    /// Nanoseconds for the prompt.
    pub prompt_nanoseconds: u64,
    /// Nanoseconds from then on to the end.
    pub decode_nanoseconds: u64,
}

// SAFETY: repr(C), numbers only, struct_size comes first.
unsafe impl Versioned for qint_generated {
    const MIN_SIZE: usize = offset_of!(qint_generated, decode_nanoseconds) + size_of::<u64>();
}

/// Is given every piece of text once it is final: `user` as passed in, the number of the prompt (0 for a single one), and
/// `length` bytes. Anything but 0 ends that text. It may call functions on other handles; on its own session they are
/// QINT_ERROR_BUSY.
pub type qint_on_text =
    Option<unsafe extern "C" fn(user: *mut c_void, prompt: usize, text: *const c_char, length: usize) -> i32>;

/// Appends a prompt to a session and writes on. `options`, `on_text` and `generated` may be null; qint_session_text gives the
/// whole text afterwards. After an error the session is as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_generate(
    session: u64,
    prompt: *const c_char,
    prompt_length: usize,
    options: *const qint_generate_options,
    on_text: qint_on_text,
    user: *mut c_void,
    generated: *mut qint_generated,
) -> i32 {
    let work = |caller: &Caller| {
        let prompt = caller.text(prompt, prompt_length, "prompt")?;
        run(caller, &[session], (&[prompt], 0..0), options, (on_text, user), generated)
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// As qint_generate for `count` prompts at once, each with a session of its own of the same model: what single calls give, to
/// the last bit, but faster. `generated`, which may be null, has `count` entries, each with its struct_size set, to the same.
/// After an error all sessions are as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_generate_batch(
    sessions: *const u64,
    prompts: *const qint_text,
    count: usize,
    options: *const qint_generate_options,
    on_text: qint_on_text,
    user: *mut c_void,
    generated: *mut qint_generated,
) -> i32 {
    let work = |caller: &Caller| {
        let array = span(prompts, count);
        let sessions = caller.input(sessions, count, "sessions")?;
        let prompts = texts(caller, caller.input(prompts, count, "prompts")?, "a prompt")?;
        if count == 0 {
            return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("count is 0: give at least one prompt")));
        }
        run(caller, sessions, (&prompts, array), options, (on_text, user), generated)
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

fn run(
    caller: &Caller,
    sessions: &[u64],
    (prompts, prompt_array): (&[&str], Range<usize>),
    options: *const qint_generate_options,
    on_text: (qint_on_text, *mut c_void),
    generated: *mut qint_generated,
) -> Outcome {
    let given = if options.is_null() { defaults() } else { caller.sized(options, "options")? };
    let stop_array = caller.input(given.stop, given.stop_count, "options.stop")?;
    let stop = texts(caller, stop_array, "a stop text")?;
    let entries = match generated.is_null() {
        true => None,
        false => Some(Entries::new(caller, generated, sessions.len(), "generated")?),
    };
    if let Some(entries) = &entries {
        let arrays = [
            ("sessions", memory(sessions)),
            ("prompts", prompt_array),
            ("options", span(options, usize::from(!options.is_null()))),
            ("options.stop", memory(stop_array)),
        ];
        let texts = [("a prompt", prompts), ("a stop text", &stop)];
        let texts = texts.into_iter().flat_map(|(what, texts)| texts.iter().map(move |t| (what, memory(t.as_bytes()))));
        for input in arrays.into_iter().chain(texts) {
            expect_apart(&[("generated", entries.span()), input], 1)?;
        }
    }

    let cells = sessions.iter().map(|&handle| handles::session(handle)).collect::<Outcome<Vec<Arc<SessionCell>>>>()?;
    let Some(model) = cells.first().map(|cell| cell.model.clone()) else { return Ok(()) };
    if cells.iter().any(|cell| !Arc::ptr_eq(&cell.model, &model)) {
        return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("the sessions belong to different models")));
    }
    let mut states = cells.iter().map(|cell| cell.lock()).collect::<Outcome<Vec<MutexGuard<'_, State>>>>()?;
    let with_special = given.flags & QINT_PLAIN_PROMPT == 0;
    let options = checked(&given, &stop, &model.model.config().eos)?;
    let tokenizer = model.tokenizer()?;
    let ids = prompts.iter().map(|prompt| Ok(tokenizer.encode(prompt, with_special)?)).collect::<Outcome<Vec<_>>>()?;
    let results = write_on(&model, &mut states, &ids, &options, on_text)?;
    if let Some(entries) = entries {
        entries.write(results.iter().map(summary));
    }
    for (state, result) in states.iter_mut().zip(results) {
        state.logits.clear();
        state.text = result.text;
    }
    Ok(())
}

/// After an error every session has as many positions as before: what was read or written until then is taken back.
fn write_on(
    model: &LoadedModel,
    states: &mut [MutexGuard<'_, State>],
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    on_text: (qint_on_text, *mut c_void),
) -> Outcome<Vec<Generated>> {
    let lengths: Vec<usize> = states.iter().map(|state| state.session.len()).collect();
    let mut engine = None;
    let mut requests = Vec::with_capacity(states.len());
    for (state, prompt) in states.iter_mut().zip(prompts) {
        let State { engine: own, session, .. } = &mut **state;
        engine.get_or_insert(own);
        requests.push(Request { session, prompt, options });
    }
    let Some(engine) = engine else { return Ok(Vec::new()) };
    let never = AtomicBool::new(false);
    let mut on_text = |index, text: &str| call_back(on_text, index, text);
    let results =
        generate_batch(engine, model.model.weights(), model.tokenizer()?, &mut requests, &mut on_text, &never);
    drop(requests);
    Ok(results.inspect_err(|_| {
        for (state, length) in states.iter_mut().zip(lengths) {
            state.session.truncate(length);
        }
    })?)
}

/// The memory behind a slice.
fn memory<T>(slice: &[T]) -> Range<usize> {
    span(slice.as_ptr(), slice.len())
}

fn call_back((on_text, user): (qint_on_text, *mut c_void), index: usize, text: &str) -> ControlFlow<()> {
    let Some(on_text) = on_text else { return ControlFlow::Continue(()) };
    // SAFETY: the caller promised that it is such a function, that it returns, and that `user` is what it wants.
    let ended = unsafe { on_text(user, index, text.as_ptr().cast(), text.len()) };
    if ended == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn summary(result: &Generated) -> qint_generated {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    qint_generated {
        struct_size: 0, // stays the caller's
        reason: match result.reason {
            Reason::EndToken => QINT_END_TOKEN,
            Reason::Stop => QINT_END_STOP,
            Reason::Length => QINT_END_LENGTH,
            Reason::Context => QINT_END_CONTEXT,
            Reason::Cancelled => QINT_END_CALLBACK,
        },
        prompt_tokens: number(result.prompt_tokens),
        tokens: number(result.ids.len()),
        prompt_nanoseconds: nanoseconds(result.prompt_time),
        decode_nanoseconds: nanoseconds(result.decode_time),
    }
}
