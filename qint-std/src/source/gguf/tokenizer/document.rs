//! A vocabulary, its merges and its rules, written as `tokenizer.json`. Everything is streamed from the mapped file; the
//! size is counted first, so that nothing larger than the file allows is allocated.
use super::{
    byte_level,
    sentencepiece::Cut,
    vocabulary::{TokenKind, Vocabulary},
};
use crate::{
    Result, limits,
    source::gguf::{metadata::Array, parse::malformed},
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Value, json};
use std::io;

/// What `tokenizer.json` says.
pub(super) struct Document<'a> {
    pub(super) vocabulary: &'a Vocabulary<'a>,
    pub(super) style: Style<'a>,
    pub(super) frame: Frame<'a>,
}

/// The rules of one kind of tokenizer.
pub(super) struct Style<'a> {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    pub(super) decoder: Value,
    /// The piece for what has no other.
    pub(super) unknown: Option<String>,
    pub(super) byte_fallback: bool,
    /// A word that is a token is taken whole.
    pub(super) ignore_merges: bool,
    /// The start token is added unless the file says otherwise.
    pub(super) starts: bool,
    pub(super) merges: Merges<'a>,
}

/// Pairs that merge, first ones first.
pub(super) enum Merges<'a> {
    /// Strings of two parts with a space between.
    Given(Array<'a>),
    /// Pieces cut in two.
    Cuts(Vec<Cut>),
}

/// Tokens around a text.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) start: Option<(u32, &'a str)>,
    pub(super) end: Option<(u32, &'a str)>,
}

impl Document<'_> {
    /// The document's bytes, for a file of `file_bytes` bytes.
    pub(super) fn write(&self, file_bytes: usize) -> Result<Vec<u8>> {
        let mut size = Count(0);
        serde_json::to_writer(&mut size, self).map_err(malformed)?;
        let limit = (limits::TOKENIZER_BYTES as usize).min(file_bytes.saturating_add(8 << 20));
        if size.0 > limit {
            return Err(malformed(format!("its tokenizer needs {} bytes, at most {limit} are allowed", size.0)));
        }
        let mut json = Vec::with_capacity(size.0);
        serde_json::to_writer(&mut json, self).map_err(malformed)?;
        Ok(json)
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", "1.0")?;
        map.serialize_entry("truncation", &())?;
        map.serialize_entry("padding", &())?;
        map.serialize_entry("added_tokens", &Sequence(|| added_tokens(self.vocabulary)))?;
        map.serialize_entry("normalizer", &self.style.normalizer)?;
        map.serialize_entry("pre_tokenizer", &self.style.pre_tokenizer)?;
        map.serialize_entry("post_processor", &post_processor(self.frame))?;
        map.serialize_entry("decoder", &self.style.decoder)?;
        map.serialize_entry("model", &Model(self))?;
        map.end()
    }
}

/// The `model` part: byte-pair encoding in both styles.
struct Model<'a>(&'a Document<'a>);

impl Serialize for Model<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Document { vocabulary, style, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "BPE")?;
        map.serialize_entry("dropout", &())?;
        map.serialize_entry("unk_token", &style.unknown)?;
        map.serialize_entry("continuing_subword_prefix", &())?;
        map.serialize_entry("end_of_word_suffix", &())?;
        map.serialize_entry("fuse_unk", &style.unknown.is_some())?;
        map.serialize_entry("byte_fallback", &style.byte_fallback)?;
        map.serialize_entry("ignore_merges", &style.ignore_merges)?;
        map.serialize_entry("vocab", &Texts(vocabulary))?;
        match &style.merges {
            Merges::Given(merges) => {
                let pairs = || merges.strings().filter_map(|merge| byte_level::split(str::from_utf8(merge).ok()?));
                map.serialize_entry("merges", &Sequence(pairs))?;
            }
            Merges::Cuts(cuts) => {
                let pair = |cut: &Cut| vocabulary.text(cut.piece)?.split_at_checked(cut.at.into());
                map.serialize_entry("merges", &Sequence(|| cuts.iter().filter_map(pair)))?;
            }
        }
        map.end()
    }
}

/// `{text: id}`.
struct Texts<'a>(&'a Vocabulary<'a>);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let named = self.0.tokens().filter(|(_, text)| !text.is_empty());
        serializer.collect_map(named.map(|(id, text)| (text, id)))
    }
}

/// A list that is made while it is written.
struct Sequence<F>(F);

impl<T: Serialize, I: Iterator<Item = T>, F: Fn() -> I> Serialize for Sequence<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for element in self.0() {
            list.serialize_element(&element)?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct AddedToken<'a> {
    id: u32,
    content: &'a str,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// Tokens that are found in a text before anything else. User-defined ones hold plain spaces in GGUF files; one that holds
/// the space marker is looked for where spaces have become markers.
fn added_tokens<'a>(vocabulary: &Vocabulary<'a>) -> impl Iterator<Item = AddedToken<'a>> {
    vocabulary.tokens().filter(|(_, text)| !text.is_empty()).filter_map(|(id, content)| {
        let special = match vocabulary.kind(id) {
            TokenKind::Control | TokenKind::Unknown => true,
            TokenKind::UserDefined => false,
            TokenKind::Normal | TokenKind::Unused | TokenKind::Byte => return None,
        };
        let normalized = !special && content.contains('▁');
        Some(AddedToken { id, content, single_word: false, lstrip: false, rstrip: false, normalized, special })
    })
}

fn post_processor(frame: Frame<'_>) -> Value {
    if frame.start.is_none() && frame.end.is_none() {
        return Value::Null;
    }
    let special = |token: Option<(u32, &str)>, kind: u8| {
        token.map(|(_, text)| json!({"SpecialToken": {"id": text, "type_id": kind}}))
    };
    let around = |name: &str, kind: u8| {
        let middle = json!({"Sequence": {"id": name, "type_id": kind}});
        special(frame.start, kind).into_iter().chain([middle]).chain(special(frame.end, kind)).collect::<Vec<_>>()
    };
    let used = frame.start.into_iter().chain(frame.end);
    let tokens = used.map(|(id, text)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})));
    let pair = [around("A", 0), around("B", 1)].concat();
    json!({
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": pair,
        "special_tokens": tokens.collect::<serde_json::Map<_, _>>(),
    })
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
