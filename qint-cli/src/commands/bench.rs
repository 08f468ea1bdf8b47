//! `qint bench`: tokens per second, and how close they come to what the machine allows.
use crate::{
    args::{EngineArguments, Kv, ModelArgument},
    errors::{Result, not_built},
    output::Output,
};
use clap::{Args, ValueEnum};
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
    let _ = (arguments, output);
    Err(not_built("bench"))
}
