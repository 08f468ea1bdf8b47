//! Tokenizers of the kind `llama`: SentencePiece pieces with scores. A pair of pieces may merge if their concatenation is
//! a piece; the highest score goes first. As BPE: one merge per way to cut a piece in two pieces, ordered by the score of
//! the whole. Pieces of equal score, and cuts of one piece, are ordered as transformers' converter does.
use super::{
    document::{Merges, Style},
    vocabulary::{TokenKind, Vocabulary},
};
use crate::{
    Result, limits,
    source::gguf::{metadata::Metadata, parse::malformed},
};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// A piece and where it is cut.
pub(super) struct Cut {
    pub(super) piece: u32,
    pub(super) at: u16,
    /// Characters of the left part.
    left: u16,
}

pub(super) fn style<'a>(metadata: &Metadata<'a>, vocabulary: &Vocabulary<'a>) -> Result<Style<'a>> {
    if !vocabulary.has_scores() {
        return Err(malformed("tokenizer.ggml.scores is missing"));
    }
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let unknown = metadata.token("tokenizer.ggml.unknown_token_id")?.unwrap_or(0);
    let is_byte = |byte: u32| vocabulary.find(&format!("<0x{byte:02X}>")).is_some();
    Ok(Style {
        normalizer: normalizer(prefix),
        pre_tokenizer: Value::Null,
        decoder: decoder(prefix),
        unknown: vocabulary.text(unknown).filter(|text| !text.is_empty()).map(str::to_owned),
        byte_fallback: (0..256).all(is_byte),
        ignore_merges: false,
        starts: true,
        merges: Merges::Cuts(cuts(vocabulary)?),
    })
}

fn normalizer(prefix: bool) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    if prefix {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]})
    } else {
        replace
    }
}

fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

fn cuts(vocabulary: &Vocabulary<'_>) -> Result<Vec<Cut>> {
    let limit = vocabulary.len().saturating_mul(4).min(limits::GGUF_MERGES);
    let mut cuts = Vec::with_capacity(limit);
    for (piece, text) in vocabulary.tokens() {
        if !matches!(vocabulary.kind(piece), TokenKind::Normal | TokenKind::UserDefined) {
            continue;
        }
        for (left, (at, _)) in text.char_indices().enumerate().skip(1) {
            if vocabulary.find(&text[..at]).is_none() || vocabulary.find(&text[at..]).is_none() {
                continue;
            }
            if cuts.len() == limit {
                return Err(malformed(format!("its pieces can be cut in more than {limit} ways")));
            }
            // Texts have at most GGUF_TOKEN_BYTES bytes.
            cuts.push(Cut { piece, at: at as u16, left: left as u16 });
        }
    }
    cuts.sort_unstable_by(|a, b| order(vocabulary, a, b));
    Ok(cuts)
}

/// Highest score first, then the longest left part, then (there are equal scores) the longest right part and lowest id.
fn order(vocabulary: &Vocabulary<'_>, a: &Cut, b: &Cut) -> Ordering {
    let right = |cut: &Cut| {
        let text = vocabulary.text(cut.piece).unwrap_or_default();
        text.get(usize::from(cut.at)..).unwrap_or_default().chars().count()
    };
    let by_score = vocabulary.score(b.piece).total_cmp(&vocabulary.score(a.piece));
    by_score.then(b.left.cmp(&a.left)).then_with(|| right(b).cmp(&right(a))).then(a.piece.cmp(&b.piece))
}
