//! How fast a model runs here: prompts and generation, in tokens per second, beside what memory bandwidth allows.
//!
//! Generating a token reads every matrix once, so `bytes · tokens per second / read bandwidth` says how close decoding is to
//! the machine's limit. The bandwidth is measured in the same run ([`crate::roofline`]).
use crate::{
    Error, Result,
    engine::{Engine, Feed, Session},
    roofline,
};
use qint_core::{
    llama::{KvKind, Logits, Weights},
    matrix::{DenseValues, Matrix},
};
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
    /// What the limit is: `memory` for generation, `arithmetic` for prompts.
    pub limited_by: &'static str,
    /// Percent of that limit; none where the limit was not measured.
    pub percent_of_limit: Option<f64>,
}

/// What this machine can do at best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// 10⁹ bytes read per second with the threads of the run.
    pub read_gb_per_s: Option<f64>,
    /// 10⁹ integer multiply-adds per second; not measured yet.
    pub dot_gmac_per_s: Option<f64>,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bench {
    /// The machine's limits, measured just before.
    pub limits: Limits,
    /// Bytes of weights that generating a token reads.
    pub bytes_per_token: u64,
    /// One entry per test.
    pub results: Vec<BenchResult>,
}

/// Runs all tests.
///
/// # Errors
/// [`Error::Argument`] for an empty or zero-length test, [`Error::Interrupted`]; errors of [`Engine::forward`].
pub fn run(engine: &mut Engine, weights: &Weights<'_>, options: &BenchOptions, cancel: &AtomicBool) -> Result<Bench> {
    options.check()?;
    let limits = Limits { read_gb_per_s: roofline::read_gb_per_s(engine.threads()), dot_gmac_per_s: None };
    let bytes_per_token = bytes_per_token(weights);
    let prompts = options.prompts.iter().map(|&n| ("pp", n));
    let tests = prompts.chain(options.generations.iter().map(|&n| ("tg", n)));
    let mut results = Vec::new();
    for (test, n) in tests {
        let rates = time(engine, weights, options, (test, n), cancel)?;
        let (mean, stddev) = mean_and_deviation(&rates);
        let steps_per_second = mean / options.batch as f64;
        let memory = (test == "tg").then_some(limits.read_gb_per_s).flatten();
        results.push(BenchResult {
            test,
            n,
            depth: options.depth,
            batch: options.batch,
            threads: engine.threads(),
            codec: codec_name(weights),
            backend: engine.backend().name(),
            tokens_per_second: mean,
            stddev,
            limited_by: if test == "tg" { "memory" } else { "arithmetic" },
            percent_of_limit: memory.map(|gb| steps_per_second * bytes_per_token as f64 / (gb * 1e7)),
        });
    }
    Ok(Bench { limits, bytes_per_token, results })
}

impl BenchOptions {
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

/// Bytes of the matrices that every generated token reads: all layers and the head.
pub fn bytes_per_token(weights: &Weights<'_>) -> u64 {
    let layers = weights.layers().iter().flat_map(|l| [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down]);
    layers.chain([weights.head()]).map(matrix_bytes).sum()
}

/// The codec that all matrices of the layers have, or what they are instead.
pub fn codec_name(weights: &Weights<'_>) -> String {
    let mut names =
        weights.layers().iter().flat_map(|l| [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down]).map(|matrix| {
            match matrix {
                Matrix::Quantized(matrix, _) => matrix.layout().codec().name(),
                Matrix::Dense(matrix) => dense_kind(matrix.values()).0,
            }
        });
    let first = names.next().unwrap_or("none");
    if names.all(|name| name == first) { first.to_owned() } else { "mixed".to_owned() }
}

fn matrix_bytes(matrix: &Matrix<'_>) -> u64 {
    match matrix {
        Matrix::Quantized(matrix, _) => (matrix.panels().len() + 4 * matrix.row_scales().len()) as u64,
        Matrix::Dense(matrix) => matrix.values().len() as u64 * dense_kind(matrix.values()).1,
    }
}

fn dense_kind(values: DenseValues<'_>) -> (&'static str, u64) {
    match values {
        DenseValues::F32(_) => ("f32", 4),
        DenseValues::F16(_) => ("f16", 2),
        DenseValues::BF16(_) => ("bf16", 2),
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
    let tokens: Vec<u32> = (0..capacity as u64).map(|i| (i * 7919 % config.vocabulary as u64) as u32).collect();
    for session in &mut sessions {
        for tokens in tokens[..options.depth].chunks(engine.chunk()) {
            engine.forward(weights, &mut [Feed { session, tokens, logits: Logits::None }], &mut Vec::new())?;
        }
    }
    let step = if test == "tg" { 1 } else { (engine.chunk() / options.batch).max(1) };
    let mut rates = Vec::new();
    for repetition in 0..=options.repetitions {
        sessions.iter_mut().for_each(|session| session.truncate(options.depth));
        let start = Instant::now();
        feed_all(engine, weights, &mut sessions, &tokens[options.depth..], step, cancel)?;
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

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, variance.sqrt())
}
