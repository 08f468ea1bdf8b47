//! Tokenizers of the kind `gpt2`: byte-level BPE with explicit merges. `tokenizer.ggml.pre` names the splitting.
use super::{
    document::{Merges, Style},
    vocabulary::Vocabulary,
};
use crate::{
    Error, Result,
    limits::shown,
    source::gguf::{
        metadata::{Array, Kind, Metadata},
        parse::malformed,
    },
};
use serde_json::{Value, json};

/// Llama 3's expression, as its `tokenizer.json` has it.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

pub(super) fn style<'a>(metadata: &Metadata<'a>, vocabulary: &Vocabulary<'a>) -> Result<Style<'a>> {
    let key = "tokenizer.ggml.merges";
    let merges = metadata.need(key, metadata.array(key, &[Kind::Text])?)?;
    check(merges, vocabulary)?;
    let (pre_tokenizer, llama3) = pre_tokenizer(metadata)?;
    Ok(Style {
        normalizer: Value::Null,
        pre_tokenizer,
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        unknown: None,
        byte_fallback: false,
        ignore_merges: llama3,
        starts: llama3,
        merges: Merges::Given(merges),
    })
}

/// The splitting of text into words, and whether it is Llama 3's.
fn pre_tokenizer(metadata: &Metadata<'_>) -> Result<(Value, bool)> {
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let after = |first: Value, last: Value| json!({"type": "Sequence", "pretokenizers": [first, last]});
    let key = "tokenizer.ggml.pre";
    match metadata.text(key)? {
        Some("default" | "gpt-2") => Ok((byte_level(true), false)),
        Some("smollm") => Ok((after(json!({"type": "Digits", "individual_digits": true}), byte_level(true)), false)),
        Some("llama-bpe" | "llama3" | "llama-v3") => {
            let split = json!({"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": false});
            Ok((after(split, byte_level(false)), true))
        }
        Some(other) => Err(Error::unsupported(
            format!("the splitting of text that a GGUF file calls {} ({key})", shown(other)),
            "supported are default, gpt-2, smollm and llama-bpe; start from the Hugging Face checkpoint",
        )),
        None => Err(Error::unsupported(
            format!("a GGUF tokenizer without {key}"),
            "convert the model with a current llama.cpp, or start from the Hugging Face checkpoint",
        )),
    }
}

/// Every merge must join two tokens to a third.
fn check(merges: Array<'_>, vocabulary: &Vocabulary<'_>) -> Result<()> {
    let mut joined = String::new();
    for (index, merge) in merges.strings().enumerate() {
        let fits = std::str::from_utf8(merge).ok().and_then(split).is_some_and(|(left, right)| {
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            [left, right, &joined].iter().all(|text| vocabulary.find(text).is_some())
        });
        if !fits {
            let shown = shown(&String::from_utf8_lossy(merge));
            return Err(malformed(format!("merge {index} ({shown}) does not join two tokens to a third")));
        }
    }
    Ok(())
}

/// The two parts of a merge. A part may begin with a space, as in llama.cpp.
pub(super) fn split(merge: &str) -> Option<(&str, &str)> {
    let first = merge.chars().next()?.len_utf8();
    let space = first + merge.get(first..)?.find(' ')?;
    Some((&merge[..space], &merge[space + 1..])).filter(|(_, right)| !right.is_empty())
}
