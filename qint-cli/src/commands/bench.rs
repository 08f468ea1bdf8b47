//! `qint bench`: tokens per second, and how close they come to what the machine allows.
mod baseline;
mod kernel;
mod picture;
mod roofline;
mod table;

use crate::{
    args::{EngineArguments, Kv},
    commands::subject::{SubjectArguments, TestArguments},
    errors::{Failure, Result},
    loaded::Loaded,
    output::Output,
    signals::Interrupt,
};
use clap::{Args, Subcommand, ValueEnum};
use qint_std::bench::{self, BenchOptions};
use serde_json::json;
use std::num::NonZeroUsize;

const EXAMPLES: &str = "\
Examples:
  qint bench model.qint.safetensors
  qint bench model.qint.safetensors -p 128,512 -n 32 -r 3 --format csv
  qint bench --shape tinyllama-1.1b --codec q4 -t 1
  qint bench model.qint.safetensors --baseline earlier.json --fail-over 10%
  qint bench --shape tinyllama-1.1b --codec q4 -t 1 --svg roofline.svg

pp N: a prompt of N tokens; tg N: N tokens one after the other. The percentages relate prompts to the rate of this CPU's
multipliers and generation to the bandwidth of its memory, both measured in the same run.";

/// Measure prompt processing and generation
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    tests: TestArguments,
    /// Sequences side by side
    #[arg(short, long, value_name = "N", default_value = "1")]
    batch: NonZeroUsize,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// How keys and values are kept
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    /// Leave out the machine's limits, and the 512 MiB that measuring them takes
    #[arg(long)]
    no_limits: bool,
    /// Form of the table; --json is the same as `json`
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    baseline: baseline::BaselineArguments,
    #[command(flatten)]
    svg: roofline::SvgArguments,
}

#[derive(Debug, Subcommand)]
enum Part {
    Kernel(kernel::KernelArguments),
    Roofline(roofline::RooflineArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Md,
    Json,
    Csv,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    match &arguments.part {
        Some(Part::Kernel(arguments)) => return kernel::run(arguments, output),
        Some(Part::Roofline(arguments)) => return roofline::run(arguments, output),
        None => {}
    }
    let options = arguments.options()?;
    let baseline = arguments.baseline.read("qint.bench/1")?;
    arguments.svg.check()?;
    let model = arguments.subject.open(&arguments.engine)?;
    let longest = options.prompts.iter().chain(&options.generations).max().copied().unwrap_or_default();
    let (deepest, context) = (arguments.tests.depth.saturating_add(longest), model.architecture().context);
    if deepest > context {
        let why = format!("the tests reach position {deepest}, the model's context is {context}; lower -p, -n or -d");
        return Err(Failure::Usage(why));
    }
    let mut engine = arguments.engine.execution.engine(output)?;
    let interrupt = Interrupt::watch();
    let bench = bench::run(&mut engine, model.weights(), &options, interrupt.flag())?;
    let document = json!({
        "model": model.name(),
        "limits": bench.limits,
        "bytes_per_token": bench.work.bytes_per_token,
        "results": bench.results,
    });
    if output.is_json() || arguments.format == Format::Json {
        output.document("bench", Loaded::used(&engine), document.clone())?;
    } else if arguments.format == Format::Csv {
        table::csv(&bench, output)?;
    } else {
        table::markdown(&bench, model.name(), output)?;
    }
    arguments.svg.draw(&document, output)?;
    baseline.map_or(Ok(()), |baseline| baseline.check(&document, output))
}

impl Arguments {
    fn options(&self) -> Result<BenchOptions> {
        let tests = |counts: &[usize]| counts.iter().copied().filter(|&count| count > 0).collect::<Vec<_>>();
        let (prompts, generations) = (tests(&self.tests.prompt), tests(&self.tests.predict));
        if prompts.is_empty() && generations.is_empty() {
            return Err(Failure::Usage("-p 0 and -n 0 leave nothing to measure".to_string()));
        }
        Ok(BenchOptions {
            prompts,
            generations,
            depth: self.tests.depth,
            batch: self.batch.get(),
            repetitions: self.repetitions.get(),
            kv: self.kv.kind(),
            limits: !self.no_limits,
        })
    }
}
