//! `qint bench`: tokens per second, and how close they come to what the machine allows.
use crate::{
    args::{EngineArguments, Kv, ModelArgument},
    errors::{Failure, Result},
    loaded::Loaded,
    output::{Align, Output, Table},
    signals::Interrupt,
};
use clap::{Args, ValueEnum};
use qint_std::bench::{self, Bench, BenchOptions, BenchResult};
use serde_json::json;
use std::num::NonZeroUsize;

const EXAMPLES: &str = "\
Examples:
  qint bench model.qint.safetensors
  qint bench model.qint.safetensors -p 128 -n 32 -r 3 --format csv

pp N: a prompt of N tokens; tg N: N tokens one after the other. The last line relates them to the read bandwidth and the
integer rate measured in the same run.";

/// Measure prompt processing and generation
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// Tokens of the prompt; 0 leaves the test out
    #[arg(short = 'p', long, value_name = "N", default_value = "512")]
    prompt: usize,
    /// Tokens to generate; 0 leaves the test out
    #[arg(short = 'n', long = "predict", value_name = "N", default_value = "128")]
    predict: usize,
    /// Positions that are in the cache before a test
    #[arg(short, long, value_name = "N", default_value = "0")]
    depth: usize,
    /// Sequences side by side
    #[arg(short, long, value_name = "N", default_value = "1")]
    batch: NonZeroUsize,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// How keys and values are kept
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    /// Form of the table; --json is the same as `json`
    #[arg(long, value_enum, default_value = "md")]
    format: Format,
    #[command(flatten)]
    engine: EngineArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Md,
    Json,
    Csv,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let options = arguments.options()?;
    let model = Loaded::open(arguments.model.path(), &arguments.engine)?;
    let (deepest, context) =
        (arguments.depth.saturating_add(arguments.prompt.max(arguments.predict)), model.architecture().context);
    if deepest > context {
        let why = format!("the tests reach position {deepest}, the model's context is {context}; lower -p, -n or -d");
        return Err(Failure::Usage(why));
    }
    let mut engine = arguments.engine.execution.engine(output)?;
    let interrupt = Interrupt::watch();
    let bench = bench::run(&mut engine, model.weights(), &options, interrupt.flag())?;
    if output.is_json() || arguments.format == Format::Json {
        let fields = json!({
            "model": model.name(),
            "limits": bench.limits,
            "bytes_per_token": bench.bytes_per_token,
            "results": bench.results,
        });
        return output.document("bench", Loaded::used(&engine), fields);
    }
    match arguments.format {
        Format::Csv => csv(&bench, output),
        _ => markdown(&bench, model.name(), output),
    }
}

impl Arguments {
    fn options(&self) -> Result<BenchOptions> {
        let test = |n: usize| if n == 0 { Vec::new() } else { vec![n] };
        if self.prompt == 0 && self.predict == 0 {
            return Err(Failure::Usage("-p 0 and -n 0 leave nothing to measure".to_string()));
        }
        Ok(BenchOptions {
            prompts: test(self.prompt),
            generations: test(self.predict),
            depth: self.depth,
            batch: self.batch.get(),
            repetitions: self.repetitions.get(),
            kv: self.kv.kind(),
        })
    }
}

fn markdown(bench: &Bench, model: &str, output: &mut Output) -> Result<()> {
    let header = ["model", "codec", "backend", "threads", "test", "tokens/s"];
    let alignment = &[Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Right];
    let mut table = Table::new(alignment, &header);
    for result in &bench.results {
        let speed = format!("{:.2} ± {:.2}", result.tokens_per_second, result.stddev);
        let (codec, backend) = (result.codec.clone(), result.backend.to_string());
        table.row(vec![model.to_string(), codec, backend, result.threads.to_string(), test_name(result), speed]);
    }
    output.text(&table.markdown())?;
    output.line("")?;
    output.line(&roofline(bench))
}

/// `pp512`, `tg128 @ d1024`, `tg128 x 4`.
fn test_name(result: &BenchResult) -> String {
    let mut name = format!("{}{}", result.test, result.n);
    if result.depth > 0 {
        name += &format!(" @ d{}", result.depth);
    }
    if result.batch > 1 {
        name += &format!(" x {}", result.batch);
    }
    name
}

fn roofline(bench: &Bench) -> String {
    let megabytes = bench.bytes_per_token as f64 / 1e6;
    let Some(limit) = bench.limits.read_gb_per_s else {
        return format!("A token reads {megabytes:.1} MB; the read bandwidth was not measured (it needs 512 MiB).");
    };
    let mut line = format!("A token reads {megabytes:.1} MB; this machine reads {limit:.1} GB/s");
    if let Some(result) = bench.results.iter().find(|result| result.percent_of_limit.is_some()) {
        let percent = result.percent_of_limit.unwrap_or_default();
        let name = test_name(result);
        line += &format!(", at most {:.1} tokens/s: {name} reaches {percent:.0} %", limit * 1e3 / megabytes);
    }
    line + "."
}

fn csv(bench: &Bench, output: &mut Output) -> Result<()> {
    let header = "test,n,depth,batch,threads,codec,backend,tokens_per_second,stddev,limited_by,percent_of_limit";
    output.line(header)?;
    for result in &bench.results {
        let BenchResult { test, n, depth, batch, threads, codec, backend, .. } = result;
        let BenchResult { tokens_per_second, stddev, limited_by, percent_of_limit, .. } = result;
        let percent = percent_of_limit.map(|percent| format!("{percent:.2}")).unwrap_or_default();
        output.line(&format!(
            "{test},{n},{depth},{batch},{threads},{codec},{backend},{tokens_per_second:.3},{stddev:.3},{limited_by},{percent}"
        ))?;
    }
    Ok(())
}
