//! The tokenizer in a GGUF file's metadata → a Hugging Face `tokenizer.json` that gives the same ids.
//!
//! ```text
//! tokenizer.ggml.model   gpt2   byte-level BPE with merges; tokenizer.ggml.pre names how text is split
//!                        llama  SentencePiece; merges follow from the scores
//! ```
mod byte_level;
mod document;
mod sentencepiece;
mod vocabulary;

use super::{metadata::Metadata, parse::malformed};
use crate::{Error, Result, config::ModelConfig, limits::shown};
use document::{Document, Frame, Style};
use vocabulary::Vocabulary;

/// The tokenizer of the file (of `file_bytes` bytes), or `None` if it has none.
pub(super) fn to_json(metadata: &Metadata<'_>, config: &ModelConfig, file_bytes: usize) -> Result<Option<Vec<u8>>> {
    let model = match metadata.text("tokenizer.ggml.model")? {
        None | Some("none" | "no_vocab") => return Ok(None),
        Some(model) => model,
    };
    let vocabulary = Vocabulary::new(metadata, config.architecture.vocabulary)?;
    let style = match model {
        "gpt2" => byte_level::style(metadata, &vocabulary)?,
        "llama" => sentencepiece::style(metadata, &vocabulary)?,
        other => {
            let what = format!("the GGUF tokenizer {}", shown(other));
            return Err(Error::unsupported(what, "supported are gpt2 and llama"));
        }
    };
    let document = Document { frame: frame(metadata, &vocabulary, &style)?, style, vocabulary: &vocabulary };
    document.write(file_bytes).map(Some)
}

/// The tokens that are put around a text.
fn frame<'a>(metadata: &Metadata<'_>, vocabulary: &Vocabulary<'a>, style: &Style<'_>) -> Result<Frame<'a>> {
    let token = |flag: &str, id: &str, default: bool| {
        if !metadata.flag(flag)?.unwrap_or(default) {
            return Ok(None);
        }
        let id = metadata.need(id, metadata.token(id)?)?;
        match vocabulary.text(id) {
            Some(text) if !text.is_empty() => Ok(Some((id, text))),
            _ => Err(malformed(format!("{flag} is set, but there is no token {id}"))),
        }
    };
    Ok(Frame {
        start: token("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", style.starts)?,
        end: token("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false)?,
    })
}
