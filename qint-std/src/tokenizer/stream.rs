//! Ids one by one into text: what [`TextStream`] has returned up to any moment is final, and all of it together is what
//! decoding all ids at once gives.
//!
//! A decoder is a function of the whole sequence, but the usual ones look at little of it: whether a text begins (a space
//! is stripped there), and bytes of an unfinished character. So ids are kept until their text can't change any more, then
//! decoded together, behind an *anchor*: a token that is a plain letter, so that they don't look like the beginning of a
//! text. The letter is taken off again. When text can't change any more:
//!
//! 1. byte pieces (`<0xE2>`): when another piece follows, because one bad byte spoils the whole run;
//! 2. byte-level pieces: when they don't end in U+FFFD, which may be half a character. A character has at most four bytes,
//!    so of the last four places between pieces one is final even then ([`TextStream::split`]);
//! 3. any other decoder: at the end, which is slow to show but right.
use super::Tokenizer;
use crate::Result;
use serde_json::Value;

/// U+FFFD, which stands for bytes that are no character.
const REPLACEMENT: char = '\u{FFFD}';
/// Ids that wait for the rest of a character before a place to split is looked for.
pub(super) const PATIENCE: usize = 8;
/// The most characters that a decoder may strip from the beginning of a text.
const MAX_STRIP: u64 = 16;

/// Incremental decoding; see [`Tokenizer::stream`].
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    /// Whether text was returned before: later text stands behind the anchor.
    started: bool,
    /// The anchor, then the ids whose text was not returned yet.
    pub(super) waiting: Vec<u32>,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, skip_special: bool) -> TextStream<'a> {
        let anchor = tokenizer.streaming.anchor().unwrap_or(0);
        TextStream { tokenizer, skip_special, started: false, waiting: vec![anchor] }
    }

    /// The ids to come go on after the text of `ids`: a space between them is not the beginning of a text.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn after(mut self, ids: &[u32]) -> Result<TextStream<'a>> {
        // A few ids tell whether there is any text; the beginning of a prompt holds the special tokens.
        let mut texts = ids.rchunks(8).map(|ids| self.tokenizer.decode(ids, self.skip_special));
        let begun = texts.find(|text| !matches!(text, Ok(text) if text.is_empty())).transpose()?.is_some();
        self.started = begun && !matches!(self.tokenizer.streaming, Streaming::AtTheEnd);
        Ok(self)
    }

    /// Takes the next id and returns the text that has become final, if any.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<Option<String>> {
        let Some(piece) = self.tokenizer.piece(id) else { return Ok(None) };
        if self.skip_special && self.tokenizer.is_special(id) {
            return Ok(None);
        }
        self.waiting.push(id);
        match self.tokenizer.streaming {
            Streaming::AtTheEnd => Ok(None),
            Streaming::Bytes { .. } if byte_of(&piece).is_some() => Ok(None),
            Streaming::Bytes { .. } => self.take(self.waiting.len()),
            Streaming::ByteLevel { .. } => self.take_characters(),
        }
    }

    /// The rest of the text, unfinished characters as U+FFFD. The stream is then as new.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self) -> Result<Option<String>> {
        let text = self.take(self.waiting.len());
        self.waiting.truncate(1);
        self.started = false;
        text
    }

    fn take_characters(&mut self) -> Result<Option<String>> {
        let text = self.text(1, self.waiting.len())?;
        if !text.ends_with(REPLACEMENT) {
            return self.take(self.waiting.len());
        }
        if self.waiting.len() <= PATIENCE { Ok(None) } else { self.split(&text) }
    }

    /// Returns the text before a place where no character is cut: there the two parts decode to the same as the whole.
    fn split(&mut self, whole: &str) -> Result<Option<String>> {
        let end = self.waiting.len();
        for place in (end - 4..end).rev() {
            let (left, right) = (self.text(1, place)?, self.anchored(place, end)?);
            if whole.strip_prefix(left.as_str()) == Some(right.as_str()) {
                return self.take(place);
            }
        }
        Ok(None)
    }

    /// Returns the text of the waiting ids up to `end`. Nothing is taken while a text has not begun: what is stripped from
    /// its beginning may reach further.
    fn take(&mut self, end: usize) -> Result<Option<String>> {
        let text = self.text(1, end)?;
        if text.is_empty() {
            return Ok(None);
        }
        self.waiting.drain(1..end);
        self.started = true;
        Ok(Some(text))
    }

    fn text(&self, start: usize, end: usize) -> Result<String> {
        if self.started { self.anchored(start, end) } else { self.tokenizer.decode(&self.waiting[start..end], false) }
    }

    /// The text of some waiting ids as it is in the middle of a text.
    fn anchored(&self, start: usize, end: usize) -> Result<String> {
        let mut ids = self.waiting[start - 1..end].to_vec();
        ids[0] = self.waiting[0];
        // The anchor decodes to one ASCII letter (`Streaming::of`).
        self.tokenizer.decode(&ids, false).map(|text| text.get(1..).unwrap_or_default().to_owned())
    }
}

/// When text is final.
#[derive(Clone, Copy, Debug)]
pub(super) enum Streaming {
    /// A run of byte pieces must end first.
    Bytes { anchor: u32 },
    /// A character must end first.
    ByteLevel { anchor: u32 },
    /// Nobody knows.
    AtTheEnd,
}

impl Streaming {
    /// Finds out how the decoder of `tokenizer` works.
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Streaming> {
        let decoder = serde_json::to_value(tokenizer.inner.get_decoder()).unwrap_or_default();
        let mut steps = Vec::new();
        flatten(&decoder, &mut steps);
        let known = !steps.is_empty() && steps.iter().all(|step| is_local(step));
        let Some(anchor) = known.then(|| anchor(tokenizer)).flatten() else { return Ok(Streaming::AtTheEnd) };
        let is = |name: &str| steps.iter().any(|step| step["type"] == name);
        Ok(match (is("ByteLevel"), is("ByteFallback")) {
            (true, true) => Streaming::AtTheEnd,
            (true, false) => Streaming::ByteLevel { anchor },
            (false, _) => Streaming::Bytes { anchor },
        })
    }

    fn anchor(self) -> Option<u32> {
        match self {
            Streaming::Bytes { anchor } | Streaming::ByteLevel { anchor } => Some(anchor),
            Streaming::AtTheEnd => None,
        }
    }
}

fn flatten<'v>(decoder: &'v Value, steps: &mut Vec<&'v Value>) {
    match decoder["decoders"].as_array() {
        Some(parts) => parts.iter().for_each(|part| flatten(part, steps)),
        None if decoder.is_null() => {}
        None => steps.push(decoder),
    }
}

/// Whether a step of a decoder looks at single characters and at the beginning of a text only.
fn is_local(step: &Value) -> bool {
    match step["type"].as_str() {
        Some("ByteLevel" | "ByteFallback" | "Fuse" | "Metaspace") => true,
        Some("Replace") => step["pattern"]["String"].as_str().is_some_and(|text| text.chars().count() == 1),
        Some("Strip") => step["stop"] == 0 && step["start"].as_u64().is_some_and(|start| start <= MAX_STRIP),
        _ => false,
    }
}

/// A token that decodes to one letter wherever it stands.
fn anchor(tokenizer: &Tokenizer) -> Option<u32> {
    ('a'..='z').chain('A'..='Z').find_map(|letter| {
        let text = letter.to_string();
        let id = tokenizer.token_id(&text).filter(|&id| !tokenizer.is_special(id))?;
        let plain = tokenizer.decode(&[id], false).is_ok_and(|decoded| decoded == text);
        let twice = tokenizer.decode(&[id, id], false).is_ok_and(|decoded| decoded == text.repeat(2));
        (plain && twice).then_some(id)
    })
}

/// The byte that the `ByteFallback` decoder takes this piece for.
pub(super) fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}
