//! What a `tokenizer.json` may do to a text: replacements chained in a row can double it each time, so a file of a few
//! kilobytes could ask for all memory. The factors of all steps together are limited.
use super::WHAT;
use crate::{Error, Result};
use serde_json::Value;

/// A published normalizer at most triples a text (a space becomes `▁`, three bytes); NFKC alone may make 18 of one.
const MAX_GROWTH: f64 = 4096.0;
/// Bytes that a step may put in front of a text or of a word.
const MAX_ADDED: usize = 1024;

/// Refuses a tokenizer whose steps could make a text longer than 4096 times.
pub(super) fn growth(tokenizer: &tokenizers::Tokenizer) -> Result<()> {
    let parts = [
        ("normalizer", serde_json::to_value(tokenizer.get_normalizer())),
        ("pre_tokenizer", serde_json::to_value(tokenizer.get_pre_tokenizer())),
        ("decoder", serde_json::to_value(tokenizer.get_decoder())),
    ];
    for (name, value) in parts {
        let factor = factor(&value.map_err(|error| Error::malformed(WHAT, error))?);
        if factor > MAX_GROWTH {
            return Err(Error::malformed(WHAT, format!("its {name} could make a text {factor:.0} times as long")));
        }
    }
    Ok(())
}

fn factor(step: &Value) -> f64 {
    let parts = ["normalizers", "pretokenizers", "decoders"];
    if let Some(parts) = parts.iter().find_map(|name| step[name].as_array()) {
        return parts.iter().map(factor).product();
    }
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let content = length(&step["content"]);
    match step["type"].as_str() {
        Some("Replace") if step["pattern"]["String"].is_string() => {
            let pattern = length(&step["pattern"]["String"]);
            if pattern == 0 { 1.0 + content as f64 } else { (content as f64 / pattern as f64).max(1.0) }
        }
        Some("Replace") => 1.0 + content as f64,
        Some("Prepend") if length(&step["prepend"]) > MAX_ADDED => f64::INFINITY,
        Some("NFKC" | "NFKD" | "Precompiled") => 18.0,
        Some("NFC" | "NFD") => 4.0,
        Some("ByteLevel") => 2.0,
        _ => 1.0,
    }
}
