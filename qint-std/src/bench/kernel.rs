//! How fast single kernels run here, beside what the machine allows.
//!
//! | kernel | what is timed | limit |
//! |---|---|---|
//! | matvec | one token's product; weights come from memory, or with `cached` from a cache | memory; multipliers if cached |
//! | matmul | several tokens' product | multipliers |
//! | attention | a step of 32 heads over stored keys and values in f16 (8 KV heads of 128 columns) | memory; none if cached |
//! | quantize-activations | Hadamard transform and rounding of one token, on one thread | none |
//!
//! Every product is compared with the reference before it is timed. The best of many runs counts: other load can only slow
//! one down.
mod attention;
mod product;
mod rounding;

use crate::{Error, Result, quantize::Scheme, roofline::Limits, team::ThreadTeam};
use product::Pool;
use qint_core::{
    backend::Backend,
    layout::MAX_DIMENSION,
    team::{Serial, Team},
};
use serde::Serialize;
use std::time::Instant;

/// What can be timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table says what they are")]
pub enum Kernel {
    Matvec,
    Matmul,
    Attention,
    QuantizeActivations,
}

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Which kernels.
    pub kernels: Vec<Kernel>,
    /// Each on all of these.
    pub backends: Vec<Backend>,
    /// Products with each of these.
    pub schemes: Vec<Scheme>,
    /// Rows of the products' matrix.
    pub rows: usize,
    /// Its columns, and the activations of quantize-activations.
    pub cols: usize,
    /// Numbers of tokens of matmul.
    pub tokens: Vec<usize>,
    /// Positions that attention reads.
    pub positions: usize,
    /// Threads.
    pub threads: usize,
    /// Weights, keys and values stay in a cache, if they fit.
    pub cached: bool,
}

/// One kernel's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KernelResult {
    /// Its name.
    pub kernel: &'static str,
    /// The backend.
    pub backend: &'static str,
    /// Of a product.
    pub codec: Option<&'static str>,
    /// Columns that share a sub-scale.
    pub group: Option<usize>,
    /// Rows of the matrix; of attention the positions.
    pub rows: usize,
    /// Columns of the matrix; of attention those of a head.
    pub cols: usize,
    /// Tokens.
    pub tokens: usize,
    /// Threads.
    pub threads: usize,
    /// Whether the data was the same in every run.
    pub cached: bool,
    /// Of the best run.
    pub microseconds: f64,
    /// 10⁹ bytes per second of weights, of keys and values, or of activations.
    pub gb_per_s: f64,
    /// 10⁹ multiply-adds per second.
    pub gmac_per_s: Option<f64>,
    /// `memory` or `arithmetic`, if one of them is the limit.
    pub limited_by: Option<&'static str>,
    /// Percent of that limit.
    pub percent_of_limit: Option<f64>,
}

/// What a backend can do at best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BackendLimits {
    /// The backend.
    pub backend: &'static str,
    /// Measured before and after the kernels.
    #[serde(flatten)]
    pub limits: Limits,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelBench {
    /// One entry per backend.
    pub limits: Vec<BackendLimits>,
    /// One entry per kernel, codec, number of tokens and backend.
    pub results: Vec<KernelResult>,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Kernel; 4] = [Kernel::Matvec, Kernel::Matmul, Kernel::Attention, Kernel::QuantizeActivations];

    /// The name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Matvec => "matvec",
            Kernel::Matmul => "matmul",
            Kernel::Attention => "attention",
            Kernel::QuantizeActivations => "quantize-activations",
        }
    }

    /// The kernel of that [`name`](Kernel::name).
    pub fn from_name(name: &str) -> Option<Kernel> {
        Kernel::ALL.into_iter().find(|kernel| kernel.name() == name)
    }
}

/// Times all kernels.
///
/// # Errors
/// [`Error::Argument`] for sizes out of range, [`Error::Resources`] if memory is short.
///
/// # Panics
/// If a product differs from the reference: a bug.
pub fn run(options: &KernelOptions) -> Result<KernelBench> {
    options.check()?;
    let mut bench = KernelBench { limits: Vec::new(), results: Vec::new() };
    let pool = Pool::new(options)?;
    for &backend in &options.backends {
        let before = Limits::measure(backend, options.threads);
        let mut results = Vec::new();
        for &kernel in &options.kernels {
            results.extend(time(kernel, backend, options, &pool)?);
        }
        let limits = before.best(Limits::measure(backend, options.threads));
        for result in &mut results {
            result.percent_of_limit = percent_of_limit(result, &limits);
        }
        bench.limits.push(BackendLimits { backend: backend.name(), limits });
        bench.results.extend(results);
    }
    Ok(bench)
}

fn time(kernel: Kernel, backend: Backend, options: &KernelOptions, pool: &Pool) -> Result<Vec<KernelResult>> {
    let tokens = match kernel {
        Kernel::Matvec => &[1],
        Kernel::Matmul => options.tokens.as_slice(),
        Kernel::Attention => return attention::time(backend, options).map(|result| vec![result]),
        Kernel::QuantizeActivations => return rounding::time(backend, options).map(|result| vec![result]),
    };
    let team = team(options.threads);
    let all = options.schemes.iter().flat_map(|scheme| tokens.iter().map(move |tokens| (*scheme, *tokens)));
    all.map(|(scheme, tokens)| product::time(kernel, backend, &*team, options, (scheme, tokens), pool)).collect()
}

fn team(threads: usize) -> Box<dyn Team + Send> {
    if threads == 1 { Box::new(Serial) } else { Box::new(ThreadTeam::new(threads)) }
}

fn percent_of_limit(result: &KernelResult, limits: &Limits) -> Option<f64> {
    let (rate, limit) = match result.limited_by? {
        "memory" => (result.gb_per_s, limits.read_gb_per_s?),
        _ => (result.gmac_per_s?, limits.dot_gmac_per_s?),
    };
    Some(rate / limit * 100.0)
}

impl KernelOptions {
    fn check(&self) -> Result<()> {
        let sizes = [("rows", self.rows), ("columns", self.cols), ("positions", self.positions)];
        let tokens = self.tokens.iter().map(|&tokens| ("tokens", tokens));
        match sizes.into_iter().chain(tokens).find(|&(_, size)| size == 0 || size > MAX_DIMENSION) {
            None => Ok(()),
            Some((what, given)) => {
                let allowed = format!("it may be 1 to {MAX_DIMENSION}");
                Err(Error::Argument { what, given: given.to_string(), allowed })
            }
        }
    }
}

/// Seconds of the quickest call, of many within a third of a second.
fn quickest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    let mut quickest = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || start.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        run()?;
        quickest = quickest.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(quickest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qint_core::codec::Codec;

    fn options() -> KernelOptions {
        KernelOptions {
            kernels: Kernel::ALL.to_vec(),
            backends: vec![Backend::detect()],
            schemes: [Codec::Q8, Codec::Q1].map(Scheme::of).to_vec(),
            rows: 40,
            cols: 80,
            tokens: vec![2, 5],
            positions: 70,
            threads: 2,
            cached: true,
        }
    }

    #[test]
    fn every_kernel_is_checked_and_timed() {
        let bench = run(&options()).unwrap();
        assert_eq!(bench.results.len(), 2 + 4 + 2);
        assert_eq!(bench.limits.len(), 1);
        for result in &bench.results {
            assert!(result.microseconds > 0.0 && result.gb_per_s > 0.0, "{result:?}");
            assert_eq!(result.percent_of_limit.is_some(), result.codec.is_some(), "{result:?}");
        }
        assert!(Kernel::ALL.iter().all(|&kernel| Kernel::from_name(kernel.name()) == Some(kernel)));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for wrong in [
            KernelOptions { rows: 0, ..options() },
            KernelOptions { cols: MAX_DIMENSION + 1, ..options() },
            KernelOptions { tokens: vec![1, 0], ..options() },
            KernelOptions { positions: 0, ..options() },
        ] {
            assert!(matches!(run(&wrong), Err(Error::Argument { .. })));
        }
    }
}
