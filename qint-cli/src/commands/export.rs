//! `qint export`: a model in other formats. What was quantized is dequantized.
use crate::{
    args::{ForceArgument, ModelArgument},
    errors::Result,
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
  qint export model.qint.safetensors --format npz -o model-npz";

/// Write a model in another format, quantized weights dequantized
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
    let path = arguments.model.path();
    let source: Box<dyn Source> = if is_source(path) {
        source::open(path)?
    } else {
        Box::new(Dequantized::new(Container::open(path, Loading::Map)?))
    };
    match arguments.format {
        Format::Npz => npz::export(&*source, &arguments.output, arguments.force.force)?,
    }
    let (written, tensors) = (arguments.output.display().to_string(), source.tensors().len());
    if output.is_json() {
        return output.document("export", json!({}), json!({"output": written, "format": "npz", "tensors": tensors}));
    }
    output.note(&format!("{written}: {tensors} tensors"));
    Ok(())
}
