//! `qint export`: a model in other formats. For people with numpy what was quantized is dequantized; for firmware it stays as
//! it is.
mod flash;

use crate::{
    args::{ForceArgument, ModelArgument},
    errors::{Failure, Result},
    output::Output,
};
use clap::{Args, ValueEnum};
use qint_std::{
    container::Container,
    mapping::Loading,
    model::is_source,
    npz,
    source::{self, Dequantized, Source},
};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  qint export model.qint.safetensors --format npz -o model-npz
  qint export ./stories260K --target flash --flash 256K --ram 96K --context 128 -o stories.qfw
  qint export model.qint.safetensors --target flash --emit rust -o model.rs";

/// Write a model in another format: NumPy arrays, or a flash image for firmware
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The format: `npz` is a directory of NumPy arrays and manifest.json, quantized weights dequantized
    #[arg(long, value_enum, required_unless_present = "target", conflicts_with = "target")]
    format: Option<Format>,
    /// The machine: `flash` is an image that firmware reads in place
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// The directory or file to write
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    #[command(flatten)]
    force: ForceArgument,
    #[command(flatten)]
    flash: flash::FlashArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Npz,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    Flash,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    arguments.force.check(&arguments.output)?;
    match arguments.target {
        Some(Target::Flash) => flash::run(arguments, output),
        None if arguments.flash.any() => {
            Err(Failure::Usage("--emit, --flash, --ram, --context, --codec and --kv belong to --target flash".into()))
        }
        None => npz(arguments, output),
    }
}

fn npz(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let path = arguments.model.path();
    let source: Box<dyn Source> = if is_source(path) {
        source::open(path)?
    } else {
        Box::new(Dequantized::new(Container::open(path, Loading::Map)?))
    };
    npz::export(&*source, &arguments.output, arguments.force.force)?;
    let (written, tensors) = (arguments.output.display().to_string(), source.tensors().len());
    if output.is_json() {
        return output.document("export", json!({}), json!({"output": written, "format": "npz", "tensors": tensors}));
    }
    output.note(&format!("{written}: {tensors} tensors"));
    Ok(())
}
