//! Prompts into text, token by token.
//!
//! Several prompts can be written on at once: each step passes one token of every unfinished one through the model
//! together, which costs little more than one alone. Their outputs are those of single runs, to the last bit: the forward
//! pass does not let sequences in a batch influence each other, and nothing here does.
//!
//! | file | holds |
//! |---|---|
//! | `writer` | one sequence: drawing, decoding, deciding when to end |
//! | `stop` | stop strings that span tokens |
mod stop;
mod writer;

use crate::{
    Error, Result,
    engine::{Engine, Feed, Session},
    sample::SamplerSettings,
    tokenizer::Tokenizer,
};
use qint_core::llama::{Logits, Weights};
use std::{
    ops::ControlFlow,
    slice,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use writer::Writer;

/// How to write, and when to stop.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// The most tokens to write; `None` for as many as the session has room for.
    pub max_tokens: Option<usize>,
    /// How tokens are drawn.
    pub sampler: SamplerSettings,
    /// Texts that end the generation; they are not part of it.
    pub stop: Vec<String>,
    /// Tokens that end the generation; they are not part of it.
    pub end_tokens: Vec<u32>,
    /// End tokens are tokens like any other.
    pub ignore_end: bool,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The text, special tokens left out.
    pub text: String,
    /// The tokens, up to where it was decided to stop; they may say more than `text` if a stop string was found.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub reason: Reason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Time for the prompt.
    pub prompt_time: Duration,
    /// Time from then on to the end.
    pub decode_time: Duration,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model wrote an end token.
    EndToken,
    /// A stop string appeared.
    Stop,
    /// As many tokens as allowed.
    Length,
    /// The session is full.
    Context,
    /// The caller asked for it.
    Cancelled,
}

/// One of several prompts to go on from.
pub struct Request<'a> {
    /// What came before; it may be empty. It grows by the prompt and by all tokens written, except the last one.
    pub session: &'a mut Session,
    /// The tokens to add, at least one.
    pub prompt: &'a [u32],
    /// How to go on.
    pub options: &'a GenerateOptions,
}

/// Adds a prompt to a session and writes on. `on_text` is given every piece of text once it is final; its `Break`, or
/// `cancel`, ends the generation with what there is.
///
/// # Errors
/// [`Error::Argument`] for an empty prompt, an empty stop string or bad sampler settings; [`Error::Core`] if the prompt is
/// longer than the session's room (nothing has been computed then) or the model computes nonsense.
///
/// ```
/// use qint_core::llama::KvKind;
/// use qint_std::{bundled, engine::{Engine, EngineOptions, Session}, generate::*, mapping::Loading, model::Model};
/// use qint_std::tokenizer::Tokenizer;
/// use std::{ops::ControlFlow, sync::atomic::AtomicBool};
/// # fn main() -> qint_std::Result<()> {
/// # let directory = tempfile::tempdir().expect("a temporary directory");
/// # bundled::write_to(directory.path())?;
/// let model = Model::open(directory.path(), Loading::Map)?;
/// # let json = model.asset("tokenizer.json").expect("a tokenizer");
/// let tokenizer = Tokenizer::from_files(&json, model.asset("tokenizer_config.json").as_deref())?;
/// let mut engine = Engine::with_options(EngineOptions::default())?;
/// let mut session = Session::new(&model.config().architecture, KvKind::F16, 128)?;
/// let prompt = tokenizer.encode("Shall I compare thee", true)?;
/// let options = GenerateOptions { max_tokens: Some(8), ..GenerateOptions::default() };
/// let request = Request { session: &mut session, prompt: &prompt, options: &options };
/// let mut print = |text: &str| {
///     print!("{text}");
///     ControlFlow::Continue(())
/// };
/// let never = AtomicBool::new(false);
/// let generated = generate(&mut engine, model.weights(), &tokenizer, request, &mut print, &never)?;
/// assert!(generated.ids.len() <= 8);
/// # Ok(())
/// # }
/// ```
pub fn generate(
    engine: &mut Engine,
    weights: &Weights<'_>,
    tokenizer: &Tokenizer,
    request: Request<'_>,
    on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    cancel: &AtomicBool,
) -> Result<Generated> {
    let mut on_text = |_, text: &str| on_text(text);
    let mut all = generate_batch(engine, weights, tokenizer, &mut [request], &mut on_text, cancel)?;
    all.pop().ok_or(Error::Interrupted) // never empty: one request, one answer
}

/// [`generate`] for several prompts at once. `on_text` is also given the index of the request; its `Break` ends that one
/// only.
///
/// # Errors
/// As [`generate`].
pub fn generate_batch(
    engine: &mut Engine,
    weights: &Weights<'_>,
    tokenizer: &Tokenizer,
    requests: &mut [Request<'_>],
    on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    cancel: &AtomicBool,
) -> Result<Vec<Generated>> {
    let mut writers = requests.iter().map(|request| Writer::new(tokenizer, request)).collect::<Result<Vec<_>>>()?;
    let mut logits = Vec::new();
    for (index, (writer, request)) in writers.iter_mut().zip(requests.iter_mut()).enumerate() {
        let start = Instant::now();
        let read = read_prompt(engine, weights, request, &mut logits, cancel)?;
        writer.begin(start.elapsed());
        match read {
            ControlFlow::Break(()) => writer.end(Reason::Cancelled),
            ControlFlow::Continue(()) => writer.step(&logits, request.session, &mut |text| on_text(index, text))?,
        }
    }
    while writers.iter().any(Writer::is_writing) {
        if cancel.load(Ordering::Relaxed) {
            writers.iter_mut().for_each(|writer| writer.end(Reason::Cancelled));
            break;
        }
        write_one_token(engine, weights, &mut writers, requests, on_text, &mut logits)?;
    }
    let finish = |(index, writer): (usize, Writer<'_>)| writer.finish(&mut |text| on_text(index, text));
    writers.into_iter().enumerate().map(finish).collect()
}

/// `Break` if it was cancelled on the way.
fn read_prompt(
    engine: &mut Engine,
    weights: &Weights<'_>,
    request: &mut Request<'_>,
    logits: &mut Vec<f32>,
    cancel: &AtomicBool,
) -> Result<ControlFlow<()>> {
    let mut rest = request.prompt;
    while !rest.is_empty() {
        if cancel.load(Ordering::Relaxed) {
            return Ok(ControlFlow::Break(()));
        }
        let (tokens, later) = rest.split_at(rest.len().min(engine.chunk()));
        let wanted = if later.is_empty() { Logits::Last } else { Logits::None };
        engine.forward(weights, &mut [Feed { session: request.session, tokens, logits: wanted }], logits)?;
        rest = later;
    }
    Ok(ControlFlow::Continue(()))
}

/// One pass over all sequences that are not finished.
fn write_one_token(
    engine: &mut Engine,
    weights: &Weights<'_>,
    writers: &mut [Writer<'_>],
    requests: &mut [Request<'_>],
    on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
    logits: &mut Vec<f32>,
) -> Result<()> {
    let mut feeds = Vec::with_capacity(requests.len());
    for (writer, request) in writers.iter().zip(requests.iter_mut()) {
        if let Some(id) = writer.next() {
            feeds.push(Feed { session: &mut *request.session, tokens: slice::from_ref(id), logits: Logits::Last });
        }
    }
    engine.forward(weights, &mut feeds, logits)?;
    drop(feeds);
    let mut rows = logits.chunks_exact(weights.config().vocabulary);
    for (index, (writer, request)) in writers.iter_mut().zip(requests.iter()).enumerate() {
        if writer.is_writing()
            && let Some(row) = rows.next()
        {
            writer.step(row, request.session, &mut |text| on_text(index, text))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
