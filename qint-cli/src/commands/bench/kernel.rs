//! `qint bench kernel`: single kernels, and how close they come to what the machine allows.
use super::{Format, baseline::BaselineArguments};
use crate::{
    args::BackendArguments,
    errors::Result,
    output::{Align, Output, Table},
};
use clap::{Args, builder::PossibleValuesParser};
use qint_core::{backend::Backend, codec::Codec};
use qint_std::{
    bench::kernel::{self, Kernel, KernelBench, KernelOptions, KernelResult},
    quantize::Scheme,
};
use serde_json::json;
use std::num::NonZeroUsize;

const EXAMPLES: &str = "\
Examples:
  qint bench kernel matvec matmul --codec q4,q8 -t 1
  qint bench kernel --all-backends --json > baseline.json
  qint bench kernel --all-backends --baseline baseline.json --fail-over 10%

matvec: one token's product, limited by memory (with --cached by the multipliers); matmul: several tokens' product; attention:
one step of 32 heads, 8 KV heads of 128 columns in f16; quantize-activations: Hadamard transform and rounding of a token.
Products are compared with the reference before they are timed.";

/// Measure single kernels
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct KernelArguments {
    /// Which [default: all]
    #[arg(value_name = "KERNEL", value_parser = PossibleValuesParser::new(Kernel::ALL.map(Kernel::name)))]
    kernels: Vec<String>,
    /// Codecs of the products [default: all]
    #[arg(long, value_name = "CODEC,…", value_delimiter = ',')]
    codec: Vec<Scheme>,
    /// Rows of the products' matrix
    #[arg(long, value_name = "N", default_value = "4096")]
    rows: NonZeroUsize,
    /// Columns of the products' matrix, and of quantize-activations
    #[arg(long, value_name = "N", default_value = "4096")]
    cols: NonZeroUsize,
    /// Tokens of matmul, one result for each
    #[arg(long, value_name = "N,…", default_value = "8,64", value_delimiter = ',')]
    tokens: Vec<NonZeroUsize>,
    /// Positions that attention reads
    #[arg(long, value_name = "N", default_value = "4096")]
    positions: NonZeroUsize,
    /// Let weights, keys and values stay in a cache (choose --rows and --positions small enough)
    #[arg(long)]
    cached: bool,
    /// Measure all backends of this machine instead of one
    #[arg(long)]
    all_backends: bool,
    /// Form of the table; --json is the same as `json`
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
    #[command(flatten)]
    execution: BackendArguments,
    #[command(flatten)]
    baseline: BaselineArguments,
}

pub(super) fn run(arguments: &KernelArguments, output: &mut Output) -> Result<()> {
    let options = arguments.options()?;
    let baseline = arguments.baseline.read("qint.bench-kernel/1")?;
    let bench = kernel::run(&options)?;
    let document = json!({"limits": bench.limits, "results": bench.results});
    if output.is_json() || arguments.format == Format::Json {
        output.document("bench-kernel", arguments.execution.used()?, document.clone())?;
    } else if arguments.format == Format::Csv {
        csv(&bench, output)?;
    } else {
        markdown(&bench, output)?;
    }
    baseline.map_or(Ok(()), |baseline| baseline.check(&document, output))
}

impl KernelArguments {
    fn options(&self) -> Result<KernelOptions> {
        let kernels: Vec<Kernel> = self.kernels.iter().filter_map(|name| Kernel::from_name(name)).collect();
        let backends = if self.all_backends { Backend::available().collect() } else { vec![self.execution.backend()?] };
        Ok(KernelOptions {
            kernels: if kernels.is_empty() { Kernel::ALL.to_vec() } else { kernels },
            backends,
            schemes: if self.codec.is_empty() { Codec::ALL.map(Scheme::of).to_vec() } else { self.codec.clone() },
            rows: self.rows.get(),
            cols: self.cols.get(),
            tokens: self.tokens.iter().map(|tokens| tokens.get()).collect(),
            positions: self.positions.get(),
            threads: self.execution.threads(),
            cached: self.cached,
        })
    }
}

fn markdown(bench: &KernelBench, output: &mut Output) -> Result<()> {
    use Align::{Left, Right};
    let header = ["kernel", "codec", "backend", "threads", "size", "tokens", "us", "GB/s", "GMAC/s", "% of limit"];
    let mut table = Table::new(&[Left, Left, Left, Right, Right, Right, Right, Right, Right, Right], &header);
    for result in &bench.results {
        let KernelResult { rows, cols, .. } = result;
        let limit = result.limited_by.unwrap_or_default();
        table.row(vec![
            result.kernel.to_string(),
            scheme(result),
            result.backend.to_string(),
            result.threads.to_string(),
            format!("{rows} x {cols}"),
            result.tokens.to_string(),
            format!("{:.1}", result.microseconds),
            format!("{:.1}", result.gb_per_s),
            result.gmac_per_s.map(|rate| format!("{rate:.1}")).unwrap_or_default(),
            result.percent_of_limit.map(|percent| format!("{percent:.0} ({limit})")).unwrap_or_default(),
        ]);
    }
    output.text(&table.markdown())?;
    output.line("")?;
    for of in &bench.limits {
        let read = of.limits.read_gb_per_s.map_or("not measured".to_string(), |rate| format!("{rate:.1} GB/s"));
        let dot = of.limits.dot_gmac_per_s.map_or("not measured".to_string(), |rate| format!("{rate:.1} GMAC/s"));
        output.line(&format!("Limits with {}: memory {read}, arithmetic {dot}.", of.backend))?;
    }
    Ok(())
}

/// `q4:g32`.
fn scheme(result: &KernelResult) -> String {
    result.codec.zip(result.group).map(|(codec, group)| format!("{codec}:g{group}")).unwrap_or_default()
}

fn csv(bench: &KernelBench, output: &mut Output) -> Result<()> {
    let optional = |figure: Option<f64>| figure.map(|figure| format!("{figure:.2}")).unwrap_or_default();
    output.line(
        "kernel,backend,codec,group,rows,cols,tokens,threads,cached,microseconds,gb_per_s,gmac_per_s,limited_by,percent_of_limit",
    )?;
    for result in &bench.results {
        let KernelResult { kernel, backend, rows, cols, tokens, threads, cached, microseconds, gb_per_s, .. } = result;
        let (codec, limit) = (result.codec.unwrap_or_default(), result.limited_by.unwrap_or_default());
        let group = result.group.map(|group| group.to_string()).unwrap_or_default();
        let (rate, percent) = (optional(result.gmac_per_s), optional(result.percent_of_limit));
        output.line(&format!(
            "{kernel},{backend},{codec},{group},{rows},{cols},{tokens},{threads},{cached},{microseconds:.3},{gb_per_s:.3},{rate},{limit},{percent}"
        ))?;
    }
    Ok(())
}
