//! `qint tokenize`: text to token ids, and back.
use crate::{
    args::ModelArgument,
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;
use std::{ffi::OsString, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint tokenize model.qint.safetensors -p 'Hello world'
  qint tokenize model.qint.safetensors -p 'Hello world' --pieces
  echo '504 4131 30' | qint tokenize model.qint.safetensors --decode -p -";

/// Show a text's token ids, or the text of ids
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The text, or with --decode the ids; `-` reads from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    prompt: Option<OsString>,
    /// Read the text from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// One line a token: the id and its piece
    #[arg(long, conflicts_with = "decode")]
    pieces: bool,
    /// Turn ids (separated by spaces, commas or line feeds) into text
    #[arg(long)]
    decode: bool,
    /// Leave out the tokens that the tokenizer puts around a text, such as a start token
    #[arg(long)]
    no_special: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("tokenize"))
}
