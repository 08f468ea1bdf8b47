//! Which token a text starts with, where `tokenizer.json` leaves it open and `tokenizer_config.json` says it: transformers'
//! Llama and Gemma classes put the start token in front themselves.
use serde_json::Value;

/// The start token that `config` asks for, as it is spelled.
///
/// `add_bos_token` decides; where it is missing, it is true for the classes that have it, unless the file has a
/// post-processor of its own (`framed`).
pub(super) fn token(config: &[u8], framed: bool) -> Option<String> {
    let config: Value = serde_json::from_slice(config).ok()?;
    let class = config["tokenizer_class"].as_str().unwrap_or_default();
    let adds = ["LlamaTokenizer", "GemmaTokenizer", "CodeLlamaTokenizer"].contains(&class.trim_end_matches("Fast"));
    let wanted = config["add_bos_token"].as_bool().unwrap_or(adds && !framed);
    let token = &config["bos_token"];
    token.as_str().or_else(|| token["content"].as_str()).filter(|_| wanted).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn the_configuration_decides() {
        let start = |json: &str, framed| token(json.as_bytes(), framed);
        let some = Some("<s>".to_owned());
        assert_eq!(start(r#"{"add_bos_token": true, "bos_token": "<s>"}"#, false), some);
        assert_eq!(start(r#"{"add_bos_token": true, "bos_token": {"content": "<s>", "lstrip": false}}"#, true), some);
        assert_eq!(start(r#"{"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>"}"#, false), some);
        assert_eq!(start(r#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}"#, true), None);
        assert_eq!(start(r#"{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}"#, false), None);
        assert_eq!(
            start(r#"{"tokenizer_class": "LlamaTokenizer", "add_bos_token": false, "bos_token": "<s>"}"#, false),
            None
        );
        assert_eq!(start(r#"{"add_bos_token": true, "bos_token": null}"#, false), None);
        assert_eq!(start("not JSON", false), None);
    }
}
