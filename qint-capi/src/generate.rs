//! Prompts into text, one or several at once, with a callback for every piece.
use crate::{
    border::{Caller, Failure, Outcome, Plain, Versioned, answer},
    handles,
    session::{SessionCell, State},
    status::{QINT_ERROR_ARGUMENT, QINT_ERROR_NULL},
};
use core::ffi::{c_char, c_void};
use qint_std::{
    generate::{GenerateOptions, Generated, Reason, Request, generate_batch},
    sample::SamplerSettings,
};
use std::{
    ops::ControlFlow,
    sync::{Arc, MutexGuard, atomic::AtomicBool},
};

/// Prompts do not get what belongs around a text, for example the start token.
pub const QINT_PLAIN_PROMPT: u32 = 1;
/// The model's end tokens do not end the text.
pub const QINT_IGNORE_END: u32 = 2;

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

/// Bytes of UTF-8 and how many they are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_text {
    /// The bytes; may be null if there are none.
    pub data: *const c_char,
    /// How many.
    pub length: usize,
}

// SAFETY: a pointer and a number; any bits are values of them.
unsafe impl Plain for qint_text {}

/// How to write, and when to stop. qint_generate_defaults fills it in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_generate_options {
    /// sizeof(qint_generate_options).
    pub struct_size: u32,
    /// QINT_PLAIN_PROMPT and QINT_IGNORE_END, or 0.
    pub flags: u32,
    /// The most tokens to write; 0 for as many as the session has room for.
    pub max_tokens: u32,
    /// Tokens to choose from; 0 for all.
    pub top_k: u32,
    /// 0 always takes the likeliest token.
    pub temperature: f32,
    /// Probability that the tokens to choose from have together; 1 for all.
    pub top_p: f32,
    /// Probability of a token to choose from, as part of the likeliest one's; 0 for all.
    pub min_p: f32,
    /// Above 0; logits of recent tokens are divided by it. 1 changes nothing.
    pub repeat_penalty: f32,
    /// How many tokens are recent.
    pub repeat_last_n: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Texts that end the generation.
    pub stop: *const qint_text,
    /// How many.
    pub stop_count: usize,
}

// SAFETY: repr(C), numbers and a pointer, struct_size comes first.
unsafe impl Versioned for qint_generate_options {}

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
unsafe impl Versioned for qint_generated {}

/// Is given every piece of text once it is final: `user` as passed in, the number of the prompt (0 for a single one), and
/// `length` bytes. Anything but 0 ends that text. It may call functions on other handles; on its own session they are
/// QINT_ERROR_BUSY.
pub type qint_on_text =
    Option<unsafe extern "C" fn(user: *mut c_void, prompt: usize, text: *const c_char, length: usize) -> i32>;

/// Fills in the usual options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_generate_defaults(options: *mut qint_generate_options) -> i32 {
    let work = |caller: &Caller| {
        if options.is_null() {
            return Err(Failure::new(QINT_ERROR_NULL, format_args!("options is null")));
        }
        caller.write_sized(options, defaults(), "options")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// Appends a prompt to a session and writes on. `options`, `on_text` and `generated` may be null; qint_session_text gives the
/// whole text afterwards.
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
        run(caller, &[session], &[prompt], options, (on_text, user), generated)
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// As qint_generate for `count` prompts at once, each with a session of its own of the same model: what single calls give, to
/// the last bit, but faster. `generated`, which may be null, has `count` entries, each with its struct_size set.
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
        let sessions = caller.input(sessions, count, "sessions")?;
        let prompts = texts(caller, caller.input(prompts, count, "prompts")?, "a prompt")?;
        if count == 0 {
            return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("count is 0: give at least one prompt")));
        }
        run(caller, sessions, &prompts, options, (on_text, user), generated)
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

fn run(
    caller: &Caller,
    sessions: &[u64],
    prompts: &[&str],
    options: *const qint_generate_options,
    on_text: (qint_on_text, *mut c_void),
    generated: *mut qint_generated,
) -> Outcome {
    let options = if options.is_null() { defaults() } else { caller.sized(options, "options")? };
    for index in 0..sessions.len() {
        let entry = generated.wrapping_add(index);
        if !generated.is_null() {
            caller.expect_sized(entry, "generated")?;
        }
    }
    let cells = sessions.iter().map(|&handle| handles::session(handle)).collect::<Outcome<Vec<Arc<SessionCell>>>>()?;
    let Some(model) = cells.first().map(|cell| cell.model.clone()) else { return Ok(()) };
    if cells.iter().any(|cell| !Arc::ptr_eq(&cell.model, &model)) {
        return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("the sessions belong to different models")));
    }
    let mut states = cells.iter().map(|cell| cell.lock()).collect::<Outcome<Vec<MutexGuard<'_, State>>>>()?;
    let tokenizer = model.tokenizer()?;
    let with_special = options.flags & QINT_PLAIN_PROMPT == 0;
    let ids = prompts.iter().map(|prompt| Ok(tokenizer.encode(prompt, with_special)?)).collect::<Outcome<Vec<_>>>()?;
    let options = checked(caller, &options, &model.model.config().eos)?;
    let mut engine = None;
    let mut requests = Vec::with_capacity(states.len());
    for (state, prompt) in states.iter_mut().zip(&ids) {
        let State { engine: own, session, logits, text } = &mut **state;
        logits.clear();
        text.clear();
        engine.get_or_insert(own);
        requests.push(Request { session, prompt, options: &options });
    }
    let Some(engine) = engine else { return Ok(()) };
    let never = AtomicBool::new(false);
    let mut on_text = |index, text: &str| call_back(on_text, index, text);
    let results = generate_batch(engine, model.model.weights(), tokenizer, &mut requests, &mut on_text, &never)?;
    drop(requests);
    for (index, (state, result)) in states.iter_mut().zip(results).enumerate() {
        if !generated.is_null() {
            caller.write_sized(generated.wrapping_add(index), summary(&result), "generated")?;
        }
        state.text = result.text;
    }
    Ok(())
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
        struct_size: size_of::<qint_generated>() as u32,
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

fn defaults() -> qint_generate_options {
    let sampler = SamplerSettings::default();
    qint_generate_options {
        struct_size: size_of::<qint_generate_options>() as u32,
        flags: 0,
        max_tokens: 0,
        top_k: sampler.top_k as u32,
        temperature: sampler.temperature,
        top_p: sampler.top_p,
        min_p: sampler.min_p,
        repeat_penalty: sampler.repeat_penalty,
        repeat_last_n: sampler.repeat_last_n as u32,
        reserved: 0,
        seed: sampler.seed,
        stop: core::ptr::null(),
        stop_count: 0,
    }
}

fn checked(caller: &Caller, options: &qint_generate_options, end_tokens: &[u32]) -> Outcome<GenerateOptions> {
    if options.flags & !(QINT_PLAIN_PROMPT | QINT_IGNORE_END) != 0 || options.reserved != 0 {
        let text = format_args!("options.flags are {}, reserved is {}", options.flags, options.reserved);
        return Err(Failure::new(QINT_ERROR_ARGUMENT, text));
    }
    let stop = texts(caller, caller.input(options.stop, options.stop_count, "options.stop")?, "a stop text")?;
    Ok(GenerateOptions {
        max_tokens: (options.max_tokens > 0).then_some(options.max_tokens as usize),
        sampler: SamplerSettings {
            temperature: options.temperature,
            top_k: options.top_k as usize,
            top_p: options.top_p,
            min_p: options.min_p,
            repeat_penalty: options.repeat_penalty,
            repeat_last_n: options.repeat_last_n as usize,
            seed: options.seed,
        },
        stop: stop.into_iter().map(str::to_owned).collect(),
        end_tokens: end_tokens.to_vec(),
        ignore_end: options.flags & QINT_IGNORE_END != 0,
    })
}

fn texts<'c>(caller: &'c Caller, texts: &[qint_text], what: &str) -> Outcome<Vec<&'c str>> {
    texts.iter().map(|text| caller.text(text.data, text.length, what)).collect()
}
