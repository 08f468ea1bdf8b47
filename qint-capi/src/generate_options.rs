//! How to write, and when to stop.
use crate::{
    border::{Caller, Failure, Outcome, Plain, answer},
    sized::Versioned,
    status::QINT_ERROR_ARGUMENT,
};
use core::{ffi::c_char, mem::offset_of};
use qint_std::{generate::GenerateOptions, sample::SamplerSettings};

/// Prompts do not get what belongs around a text, for example the start token.
pub const QINT_PLAIN_PROMPT: u32 = 1;
/// The model's end tokens do not end the text.
pub const QINT_IGNORE_END: u32 = 2;

/// Bytes of UTF-8 and how many they are. Fixed for ever: it has no struct_size.
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
unsafe impl Versioned for qint_generate_options {
    const MIN_SIZE: usize = offset_of!(qint_generate_options, stop_count) + size_of::<usize>();
}

/// Fills in the usual options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_generate_defaults(options: *mut qint_generate_options) -> i32 {
    let work = |caller: &Caller| caller.write_sized(options, defaults(), "options");
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// What holds without options.
pub(crate) fn defaults() -> qint_generate_options {
    let sampler = SamplerSettings::default();
    qint_generate_options {
        struct_size: 0, // stays the caller's
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

/// The options, if they mean something.
pub(crate) fn checked(options: &qint_generate_options, stop: &[&str], end_tokens: &[u32]) -> Outcome<GenerateOptions> {
    if options.flags & !(QINT_PLAIN_PROMPT | QINT_IGNORE_END) != 0 || options.reserved != 0 {
        let text = format_args!("options.flags are {}, reserved is {}", options.flags, options.reserved);
        return Err(Failure::new(QINT_ERROR_ARGUMENT, text));
    }
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
        stop: stop.iter().map(|&text| text.to_owned()).collect(),
        end_tokens: end_tokens.to_vec(),
        ignore_end: options.flags & QINT_IGNORE_END != 0,
    })
}

/// The texts of an array.
pub(crate) fn texts<'c>(caller: &'c Caller, texts: &[qint_text], what: &str) -> Outcome<Vec<&'c str>> {
    texts.iter().map(|text| caller.text(text.data, text.length, what)).collect()
}
