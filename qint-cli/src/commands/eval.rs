//! `qint eval`: perplexity of a text, and KL divergence to another model.
use crate::{
    args::{EngineArguments, Kv, ModelArgument, ScoreArguments},
    errors::{Result, not_built},
    output::Output,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  qint eval ppl model.qint.safetensors -f text.txt
  qint eval kld model.qint.safetensors --against ./SmolLM2-135M-Instruct -f text.txt --windows 8";

/// Measure perplexity, or KL divergence to a reference
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    Ppl(PplArguments),
    Kld(KldArguments),
}

/// Perplexity of a text
#[derive(Debug, Args)]
struct PplArguments {
    #[command(flatten)]
    common: CommonArguments,
}

/// KL divergence, top-1 agreement and perplexity against a reference model
#[derive(Debug, Args)]
struct KldArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// The reference, usually the model that MODEL was made from
    #[arg(long, value_name = "REF")]
    against: PathBuf,
}

#[derive(Debug, Args)]
struct CommonArguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The text, UTF-8
    #[arg(short = 'f', long = "file", value_name = "TEXT")]
    text: PathBuf,
    /// How MODEL keeps keys and values
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    #[command(flatten)]
    score: ScoreArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("eval"))
}
