//! How fast a model runs here: prompts and generation, in tokens per second, beside what the machine allows.
//!
//! Generating a token reads every matrix once, so `bytes · tokens per second / read bandwidth` says how close decoding is to
//! the machine's limit. A prompt multiplies the layers' matrices with every token, so there it is `multiply-adds · tokens per
//! second / rate of the multipliers`. Both limits are measured in the same run, before and after the tests
//! ([`crate::roofline`]).
pub mod kernel;
mod work;

pub use work::Work;

use crate::{
    Error, Result,
    engine::{Engine, Feed, Session},
    roofline::Limits,
};
use qint_core::llama::{KvKind, Logits, Weights};
use serde::Serialize;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Prompt lengths; each is a test.
    pub prompts: Vec<usize>,
    /// Numbers of generated tokens; each is a test.
    pub generations: Vec<usize>,
    /// Positions that are in the cache before a test starts.
    pub depth: usize,
    /// Sequences that run side by side.
    pub batch: usize,
    /// Timed runs of each test, after one that does not count.
    pub repetitions: usize,
    /// How keys and values are stored.
    pub kv: KvKind,
    /// Whether the machine's limits are measured, which takes 512 MiB.
    pub limits: bool,
}

/// One test's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchResult {
    /// `pp` (prompt) or `tg` (generation).
    pub test: &'static str,
    /// Tokens of the test, per sequence.
    pub n: usize,
    /// Positions in the cache before it.
    pub depth: usize,
    /// Sequences side by side.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// The codec of the layers' matrices; `mixed`, or `f32`, `f16`, `bf16` if they are not quantized.
    pub codec: String,
    /// The backend.
    pub backend: &'static str,
    /// Mean over the repetitions, all sequences together.
    pub tokens_per_second: f64,
    /// Standard deviation over the repetitions.
    pub stddev: f64,
    /// 10⁹ multiply-adds of the weights per second; none where they are not quantized.
    pub gmac_per_s: Option<f64>,
    /// Those for which a byte of weights is read once.
    pub multiply_adds_per_byte: Option<f64>,
    /// What the limit is: `memory` for generation, `arithmetic` for prompts.
    pub limited_by: &'static str,
    /// Percent of that limit; none where the limit was not measured.
    pub percent_of_limit: Option<f64>,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Bench {
    /// The machine's limits, measured before and after the tests if that was wanted.
    pub limits: Limits,
    /// What a token takes.
    pub work: Work,
    /// One entry per test.
    pub results: Vec<BenchResult>,
}

/// Runs all tests.
///
/// # Errors
/// [`Error::Argument`] for an empty or zero-length test, [`Error::Interrupted`]; errors of [`Engine::forward`].
pub fn run(engine: &mut Engine, weights: &Weights<'_>, options: &BenchOptions, cancel: &AtomicBool) -> Result<Bench> {
    options.check()?;
    let work = Work::of(weights);
    let measure = |engine: &Engine| match options.limits {
        true => Limits::measure(engine.backend(), engine.threads()),
        false => Limits::UNKNOWN,
    };
    let before = measure(engine);
    let prompts = options.prompts.iter().map(|&n| ("pp", n));
    let tests = prompts.chain(options.generations.iter().map(|&n| ("tg", n)));
    let mut results = Vec::new();
    for (test, n) in tests {
        let rates = time(engine, weights, options, (test, n), cancel)?;
        let (mean, stddev) = mean_and_deviation(&rates);
        let pass = work.of_pass(test == "pp", options.batch * n.min(options.step(engine, test)));
        results.push(BenchResult {
            test,
            n,
            depth: options.depth,
            batch: options.batch,
            threads: engine.threads(),
            codec: work.codec.clone(),
            backend: engine.backend().name(),
            tokens_per_second: mean,
            stddev,
            gmac_per_s: pass.map(|pass| pass.multiply_adds_per_token * mean / 1e9),
            multiply_adds_per_byte: pass.map(|pass| pass.multiply_adds_per_byte),
            limited_by: if test == "tg" { "memory" } else { "arithmetic" },
            percent_of_limit: None,
        });
    }
    let limits = before.best(measure(engine));
    for result in &mut results {
        result.percent_of_limit = percent_of_limit(result, &work, &limits);
    }
    Ok(Bench { limits, work, results })
}

/// Bytes per second of read bandwidth, or multiply-adds per second of the multipliers' rate, in percent.
fn percent_of_limit(result: &BenchResult, work: &Work, limits: &Limits) -> Option<f64> {
    let (rate, limit) = if result.limited_by == "memory" {
        let steps_per_second = result.tokens_per_second / result.batch as f64;
        (steps_per_second * work.bytes_per_token as f64, limits.read_gb_per_s)
    } else {
        (result.tokens_per_second * work.multiply_adds_per_token? as f64, limits.dot_gmac_per_s)
    };
    limit.map(|limit| rate / (limit * 1e7))
}

impl BenchOptions {
    /// Tokens of each sequence that go through the model together.
    fn step(&self, engine: &Engine, test: &str) -> usize {
        if test == "tg" { 1 } else { (engine.chunk() / self.batch).max(1) }
    }

    fn check(&self) -> Result<()> {
        let numbers = [("batch", self.batch), ("repetitions", self.repetitions)];
        let tests = self.prompts.iter().map(|&n| ("prompt length", n));
        let generations = self.generations.iter().map(|&n| ("generated tokens", n));
        match numbers.into_iter().chain(tests).chain(generations).find(|&(_, n)| n == 0) {
            Some((what, _)) => Err(Error::Argument { what, given: "0".into(), allowed: "it is at least 1".into() }),
            None => Ok(()),
        }
    }
}

/// Tokens per second of each repetition.
fn time(
    engine: &mut Engine,
    weights: &Weights<'_>,
    options: &BenchOptions,
    (test, n): (&str, usize),
    cancel: &AtomicBool,
) -> Result<Vec<f64>> {
    let config = weights.config();
    let capacity = options.depth.saturating_add(n);
    let mut sessions =
        (0..options.batch).map(|_| Session::new(config, options.kv, capacity)).collect::<Result<Vec<_>>>()?;
    let tokens: Vec<u32> = (0..n as u64).map(|i| (i * 7919 % config.vocabulary as u64) as u32).collect();
    sessions.iter_mut().for_each(|session| session.pretend(options.depth));
    let step = options.step(engine, test);
    let mut rates = Vec::new();
    for repetition in 0..=options.repetitions {
        sessions.iter_mut().for_each(|session| session.truncate(options.depth));
        let start = Instant::now();
        feed_all(engine, weights, &mut sessions, &tokens, step, cancel)?;
        if repetition > 0 {
            rates.push((n * options.batch) as f64 / start.elapsed().as_secs_f64());
        }
    }
    Ok(rates)
}

/// Feeds `tokens` to all sessions side by side, `step` at a time. Generation wants logits at every step, a prompt at its end.
fn feed_all(
    engine: &mut Engine,
    weights: &Weights<'_>,
    sessions: &mut [Session],
    tokens: &[u32],
    step: usize,
    cancel: &AtomicBool,
) -> Result<()> {
    let mut logits = Vec::new();
    let last = tokens.len().div_ceil(step) - 1;
    for (index, tokens) in tokens.chunks(step).enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let wanted = if step == 1 || index == last { Logits::Last } else { Logits::None };
        let mut feeds: Vec<Feed<'_>> =
            sessions.iter_mut().map(|session| Feed { session, tokens, logits: wanted }).collect();
        engine.forward(weights, &mut feeds, &mut logits)?;
    }
    Ok(())
}

/// Mean and standard deviation; the latter is 0 for a single value.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, variance.sqrt())
}
