//! `qint validate`: structure and hashes of a container and, against its original, accuracy with limits.
use crate::{
    args::{EngineArguments, ModelArgument, ScoreArguments, fraction, non_negative},
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  qint validate model.qint.safetensors
  qint validate model.qint.safetensors --against ./SmolLM2-135M-Instruct -f text.txt --max-kld 0.2 --min-top1 0.8

Exit code 3 if a limit is passed. Weight errors are compared with the largest that the codec should have on normally
distributed weights, times 1.25, unless --max-weight-error gives another limit.";

/// Check a container's structure and hashes and, with --against, its accuracy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The model it was made from
    #[arg(long, value_name = "REF")]
    against: Option<PathBuf>,
    /// Text to compare the two models on (needs --against)
    #[arg(short = 'f', long = "file", value_name = "TEXT", requires = "against")]
    text: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    score: ScoreArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// The largest relative RMS error of a tensor's weights [default: by codec]
    #[arg(long, value_name = "X", requires = "against", value_parser = non_negative)]
    max_weight_error: Option<f32>,
    /// The largest mean KL divergence, in nats a token
    #[arg(long, value_name = "X", requires = "text", value_parser = non_negative)]
    max_kld: Option<f32>,
    /// The smallest share of tokens whose likeliest successor is the same, 0 to 1
    #[arg(long, value_name = "X", requires = "text", value_parser = fraction)]
    min_top1: Option<f32>,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("validate"))
}
