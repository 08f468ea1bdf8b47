//! Windows of text go through one or two models; every scored position becomes a number.
use super::{Divergence, EvalText, PairedPosition, Perplexity, compare, score};
use crate::{
    Error, Result,
    engine::{Engine, Feed, Session},
};
use qint_core::llama::{KvKind, Logits, Weights};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Positions whose logits are held at once: 64 rows of 50,000 logits are 13 MB.
const SCORED_AT_ONCE: usize = 64;

/// A model to be scored.
#[derive(Clone, Copy)]
pub struct Scored<'a> {
    /// Its weights.
    pub weights: &'a Weights<'a>,
    /// How its keys and values are stored.
    pub kv: KvKind,
}

/// What an evaluation reports while it runs.
pub struct Observer<'a> {
    /// Called with (windows done, windows in all).
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// Set from elsewhere to stop the evaluation.
    pub cancel: &'a AtomicBool,
}

/// The perplexity of `model` on `text`.
///
/// # Errors
/// As [`Engine::forward`]; [`Error::Interrupted`].
pub fn perplexity(
    engine: &mut Engine,
    model: Scored<'_>,
    text: &EvalText,
    observer: &Observer<'_>,
) -> Result<Perplexity> {
    let mut surprises = Vec::new();
    let mut session = new_session(model, text)?;
    for (done, window) in text.windows().enumerate() {
        observer.report(done, text)?;
        for (tokens, next) in start_window(engine, model, &mut session, text, window)? {
            let logits = feed(engine, model, &mut session, tokens, Logits::All)?;
            let rows = logits.par_chunks(vocabulary(model)).zip(next);
            surprises.par_extend(rows.map(|(row, &next)| score(row, next).surprise));
        }
    }
    Ok(Perplexity::new(&surprises))
}

/// `model` against `reference` (of the same vocabulary) on `text`.
///
/// # Errors
/// As [`perplexity`]; [`Error::Argument`] if the vocabularies differ.
pub fn divergence(
    engine: &mut Engine,
    reference: Scored<'_>,
    model: Scored<'_>,
    text: &EvalText,
    observer: &Observer<'_>,
) -> Result<Divergence> {
    let size = vocabulary(model);
    if size != vocabulary(reference) {
        return Err(Error::Argument {
            what: "reference",
            given: format!("a model with a vocabulary of {}", vocabulary(reference)),
            allowed: format!("the other model has {size}; compare a model with the one it was made from"),
        });
    }
    let mut positions: Vec<PairedPosition> = Vec::new();
    let (mut session, mut session_reference) = (new_session(model, text)?, new_session(reference, text)?);
    for (done, window) in text.windows().enumerate() {
        observer.report(done, text)?;
        let _scored_later = start_window(engine, reference, &mut session_reference, text, window)?;
        for (tokens, next) in start_window(engine, model, &mut session, text, window)? {
            let expected = feed(engine, reference, &mut session_reference, tokens, Logits::All)?;
            let logits = feed(engine, model, &mut session, tokens, Logits::All)?;
            let rows = expected.par_chunks(size).zip(logits.par_chunks(size)).zip(next);
            positions.par_extend(rows.map(|((expected, row), &next)| compare(expected, row, next)));
        }
    }
    Ok(Divergence::new(&positions))
}

impl Observer<'_> {
    fn report(&self, done: usize, text: &EvalText) -> Result<()> {
        (self.progress)(done, text.windows().len());
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

fn vocabulary(model: Scored<'_>) -> usize {
    model.weights.config().vocabulary
}

fn new_session(model: Scored<'_>, text: &EvalText) -> Result<Session> {
    Session::new(model.weights.config(), model.kv, text.window())
}

/// Feeds the first, unscored half of `window`; returns the rest in parts of (tokens, the token after each of them).
fn start_window<'a>(
    engine: &mut Engine,
    model: Scored<'_>,
    session: &mut Session,
    text: &EvalText,
    window: &'a [u32],
) -> Result<impl Iterator<Item = (&'a [u32], &'a [u32])> + use<'a>> {
    session.truncate(0);
    let (context, scored) = window.split_at(text.first_scored());
    for tokens in context.chunks(engine.chunk()) {
        feed(engine, model, session, tokens, Logits::None)?;
    }
    let tokens = scored[..scored.len() - 1].chunks(SCORED_AT_ONCE);
    Ok(tokens.zip(scored[1..].chunks(SCORED_AT_ONCE)))
}

fn feed(
    engine: &mut Engine,
    model: Scored<'_>,
    session: &mut Session,
    tokens: &[u32],
    wanted: Logits,
) -> Result<Vec<f32>> {
    let mut logits = Vec::new();
    engine.forward(model.weights, &mut [Feed { session, tokens, logits: wanted }], &mut logits)?;
    Ok(logits)
}
