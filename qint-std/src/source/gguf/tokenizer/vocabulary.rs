//! The tokens of a GGUF file: texts, kinds, scores, and the way from a text back to its id. Texts are borrowed.
use crate::{
    Result, limits,
    limits::shown,
    source::gguf::{
        metadata::{Array, Kind, Metadata, Value},
        parse::malformed,
    },
};

/// Tokens by id.
pub(super) struct Vocabulary<'a> {
    texts: Vec<&'a str>,
    /// Ids in the order of their texts, for the search.
    sorted: Vec<u32>,
    kinds: Option<Array<'a>>,
    scores: Option<Array<'a>>,
}

/// What a token is for (ggml's `token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl<'a> Vocabulary<'a> {
    /// Reads the tokens; there are at most `limit` (the embedding's rows).
    pub(super) fn new(metadata: &Metadata<'a>, limit: usize) -> Result<Vocabulary<'a>> {
        let key = "tokenizer.ggml.tokens";
        let tokens = metadata.need(key, metadata.array(key, &[Kind::Text])?)?;
        let limit = limit.min(limits::GGUF_TOKENS);
        if tokens.count == 0 || tokens.count > limit {
            return Err(malformed(format!("it has {} tokens, at most {limit} are allowed", tokens.count)));
        }
        let list = |key: &str, kinds: &[Kind]| {
            let array = metadata.array(key, kinds)?;
            match array {
                Some(array) if array.count != tokens.count => {
                    Err(malformed(format!("{key} has {} entries for {} tokens", array.count, tokens.count)))
                }
                _ => Ok(array),
            }
        };
        let kinds = list("tokenizer.ggml.token_type", &[Kind::I32, Kind::U32])?;
        let scores = list("tokenizer.ggml.scores", &[Kind::F32])?;
        let texts = texts(tokens)?;
        Ok(Vocabulary { sorted: sort(&texts)?, texts, kinds, scores })
    }

    /// Ids and texts. An empty text is a gap.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (u32, &'a str)> {
        (0..).zip(self.texts.iter().copied())
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn text(&self, id: u32) -> Option<&'a str> {
        self.texts.get(id as usize).copied()
    }

    /// The id of `text`.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let by_text = |&id: &u32| self.text(id).unwrap_or_default().cmp(text);
        let at = self.sorted.binary_search_by(by_text).ok()?;
        self.sorted.get(at).copied()
    }

    pub(super) fn kind(&self, id: u32) -> TokenKind {
        match self.kinds.and_then(|kinds| kinds.scalar(id as usize)) {
            Some(Value::Signed(2) | Value::Unsigned(2)) => TokenKind::Unknown,
            Some(Value::Signed(3) | Value::Unsigned(3)) => TokenKind::Control,
            Some(Value::Signed(4) | Value::Unsigned(4)) => TokenKind::UserDefined,
            Some(Value::Signed(5) | Value::Unsigned(5)) => TokenKind::Unused,
            Some(Value::Signed(6) | Value::Unsigned(6)) => TokenKind::Byte,
            _ => TokenKind::Normal,
        }
    }

    pub(super) fn has_scores(&self) -> bool {
        self.scores.is_some()
    }

    pub(super) fn score(&self, id: u32) -> f32 {
        match self.scores.and_then(|scores| scores.scalar(id as usize)) {
            Some(Value::Number(score)) => score as f32,
            _ => 0.0,
        }
    }
}

fn texts(tokens: Array<'_>) -> Result<Vec<&str>> {
    let text = |(id, bytes): (usize, _)| match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= limits::GGUF_TOKEN_BYTES => Ok(text),
        Ok(text) => {
            Err(malformed(format!("token {id} has {} bytes, at most {}", text.len(), limits::GGUF_TOKEN_BYTES)))
        }
        Err(_) => Err(malformed(format!("token {id} is not UTF-8"))),
    };
    let mut texts = Vec::with_capacity(tokens.count);
    for token in tokens.strings().enumerate() {
        texts.push(text(token)?);
    }
    Ok(texts)
}

/// Ids sorted by text; refuses a text that two ids have.
fn sort(texts: &[&str]) -> Result<Vec<u32>> {
    let mut sorted: Vec<u32> = (0..).zip(texts).filter(|(_, text)| !text.is_empty()).map(|(id, _)| id).collect();
    sorted.sort_unstable_by_key(|&id| texts[id as usize]);
    match sorted.windows(2).find(|pair| texts[pair[0] as usize] == texts[pair[1] as usize]) {
        None => Ok(sorted),
        Some(pair) => {
            let text = shown(texts[pair[0] as usize]);
            Err(malformed(format!("tokens {} and {} are both {text}", pair[0].min(pair[1]), pair[0].max(pair[1]))))
        }
    }
}
