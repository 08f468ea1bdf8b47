//! `qint demo`: the bundled model at every width, measured against the original, and a passage from the 4-bit one.
use crate::{
    args::BackendArguments,
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  qint demo
  qint demo --json";

/// Quantize the bundled model at every width, compare each with the original, and write a passage
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    execution: BackendArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("demo"))
}
