//! `qint inspect`: what is in a model file.
use crate::{
    args::ModelArgument,
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  qint inspect model.qint.safetensors
  qint inspect model.qint.safetensors --verify      also reads everything and compares the hashes
  qint inspect model.qint.safetensors --manifest    the manifest as it is stored
  qint inspect ./SmolLM2-135M-Instruct              the tensors of a checkpoint";

/// Show architecture, tensors and sizes of a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// Print the container's manifest (JSON) and nothing else
    #[arg(long, conflicts_with = "verify")]
    manifest: bool,
    /// Read all tensors and compare their SHA-256 with the manifest
    #[arg(long)]
    verify: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("inspect"))
}
