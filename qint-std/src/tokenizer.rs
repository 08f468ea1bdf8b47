//! Text to token ids and back, over a `tokenizer.json` that nobody has to trust.
//!
//! The work is done by the `tokenizers` crate. Around it stand limits (`check`), a net for its panics, and
//! [`TextStream`], which decodes while tokens arrive. Truncation and padding that a file asks for are switched off: a
//! prompt is never cut silently.
mod check;
mod pieces;
mod start;
mod stream;

pub use pieces::Pieces;
pub use stream::TextStream;

use crate::{Error, Result, limits::TOKENIZER_BYTES};
use serde::de::IgnoredAny;
use std::panic::{AssertUnwindSafe, catch_unwind};
use stream::Streaming;

const WHAT: &str = "tokenizer.json";

/// A tokenizer, ready to use from several threads.
///
/// ```
/// use qint_std::{bundled, tokenizer::Tokenizer};
/// # fn main() -> qint_std::Result<()> {
/// # let file = |name| bundled::FILES.iter().find(|file| file.0 == name).expect("a file of the model").1;
/// let tokenizer = Tokenizer::from_files(file("tokenizer.json"), Some(file("tokenizer_config.json")))?;
/// let ids = tokenizer.encode("Shall I compare thee", true)?;
/// assert_eq!(tokenizer.decode(&ids, true)?, "Shall I compare thee");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocabulary: usize,
    streaming: Streaming,
    /// What a text starts with, if the post-processor doesn't put it there.
    start: Option<u32>,
}

impl Tokenizer {
    /// Reads a Hugging Face `tokenizer.json`, and from `tokenizer_config.json`, where there is one, whether texts start with
    /// the start token.
    ///
    /// # Errors
    /// As [`from_bytes`](Tokenizer::from_bytes).
    pub fn from_files(json: &[u8], config: Option<&[u8]>) -> Result<Tokenizer> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        let framed = tokenizer.inner.get_post_processor().is_some();
        let start = config.and_then(|config| start::token(config, framed));
        tokenizer.start = start.and_then(|token| tokenizer.token_id(&token));
        Ok(tokenizer)
    }

    /// Reads a Hugging Face `tokenizer.json` alone.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else, or if the file is too large or could blow up texts beyond reason.
    pub fn from_bytes(json: &[u8]) -> Result<Tokenizer> {
        if json.len() as u64 > TOKENIZER_BYTES {
            let why = format!("it has {} bytes, at most {TOKENIZER_BYTES} are read", json.len());
            return Err(Error::malformed(WHAT, why));
        }
        // Its panics would be caught, but not silently: most broken files are found here.
        serde_json::from_slice::<IgnoredAny>(json).map_err(|error| Error::malformed(WHAT, error))?;
        let mut inner = guarded(|| tokenizers::Tokenizer::from_bytes(json))?;
        guarded(|| inner.with_truncation(None).map(|_| ()))?;
        inner.with_padding(None);
        check::growth(&inner)?;
        let vocabulary = inner.get_vocab_size(true);
        let mut tokenizer = Tokenizer { inner, vocabulary, streaming: Streaming::AtTheEnd, start: None };
        tokenizer.streaming = Streaming::of(&tokenizer)?;
        Ok(tokenizer)
    }

    /// The ids of `text`. `special` adds what belongs around a text: what the file's post-processor adds, and the start token
    /// if the configuration asks for it. Leave it out for text from a chat template, which has written them already.
    /// Special tokens inside `text` are found in both cases.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the tokenizer fails on this text.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.inner.encode_fast(text, special))?;
        let ids = encoding.get_ids();
        let start = self.start.filter(|start| special && ids.first() != Some(start));
        Ok(start.into_iter().chain(ids.iter().copied()).collect())
    }

    /// The text of `ids`; ids that don't exist give nothing. `skip_special` leaves special tokens out.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the tokenizer fails on these ids.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        guarded(|| self.inner.decode(ids, skip_special))
    }

    /// Number of pieces, added tokens included. A model's vocabulary may be larger.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The id of a piece or of an added token, spelled as in the file.
    pub fn token_id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }

    /// The piece of an id, spelled as in the file: `▁the`, `Ġthe`, `<0x0A>`.
    pub fn piece(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether `id` is a token that `skip_special` leaves out.
    pub fn is_special(&self, id: u32) -> bool {
        let added = self.inner.get_added_vocabulary();
        added.simple_id_to_token(id).is_some_and(|token| added.is_special_token(&token))
    }

    /// Decodes while ids arrive.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream::new(self, skip_special)
    }
}

/// The crate's errors and panics, both as [`Error::Malformed`].
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| Error::malformed(WHAT, error)),
        Err(_) => Err(Error::malformed(WHAT, "it makes the tokenizer library panic")),
    }
}

#[cfg(test)]
mod tests;
