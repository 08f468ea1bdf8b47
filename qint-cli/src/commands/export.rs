//! `qint export`: a container in other formats.
use crate::{
    args::{ForceArgument, ModelArgument},
    errors::{Result, not_built},
    output::Output,
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  qint export model.qint.safetensors --format npz -o model-npz";

/// Write a container in another format
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The format: `npz` is a directory of NumPy arrays and manifest.json
    #[arg(long, value_enum)]
    format: Format,
    /// The directory to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    force: ForceArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Npz,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    arguments.force.check(&arguments.output)?;
    let _ = output;
    Err(not_built("export"))
}
