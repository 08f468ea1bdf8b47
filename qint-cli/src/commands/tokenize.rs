//! `qint tokenize`: text to token ids, and back.
use crate::{
    args::ModelArgument,
    errors::{Failure, Result},
    input, loaded,
    output::Output,
};
use clap::Args;
use qint_std::{limits, tokenizer::Tokenizer};
use serde_json::json;
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
    let text = input::prompt(arguments.prompt.as_deref(), arguments.file.as_deref())?;
    let tokenizer = loaded::tokenizer(arguments.model.path())?;
    if arguments.decode {
        return decode(&tokenizer, &ids(&text)?, output);
    }
    let ids = tokenizer.encode(&text, !arguments.no_special)?;
    if output.is_json() {
        let pieces: Vec<_> = ids.iter().map(|&id| tokenizer.piece(id)).collect();
        return output.document("tokenize", json!({}), json!({"text": text, "ids": ids, "pieces": pieces}));
    }
    if arguments.pieces {
        for id in ids {
            output.line(&format!("{id}\t{}", tokenizer.piece(id).unwrap_or_default()))?;
        }
        return Ok(());
    }
    output.line(&ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// The text of `ids`, without anything added: it comes back as it was.
fn decode(tokenizer: &Tokenizer, ids: &[u32], output: &mut Output) -> Result<()> {
    if let Some(id) = ids.iter().find(|&&id| tokenizer.piece(id).is_none()) {
        let why = format!("there is no token {id}; the tokenizer has {}", tokenizer.vocabulary());
        return Err(Failure::Malformed(why));
    }
    let text = tokenizer.decode(ids, false)?;
    if output.is_json() {
        return output.document("tokenize", json!({}), json!({"text": text, "ids": ids}));
    }
    output.text(&text)
}

fn ids(text: &str) -> Result<Vec<u32>> {
    let words = text.split(|c: char| c.is_whitespace() || ",[]".contains(c)).filter(|word| !word.is_empty());
    let id = |word: &str| {
        word.parse().map_err(|_| Failure::Malformed(format!("`{}` is not a token id", limits::shown(word))))
    };
    words.map(id).collect()
}
