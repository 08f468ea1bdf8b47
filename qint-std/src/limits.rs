//! Caps on everything that a file may claim, in one place.
//!
//! Readers compare every count, length and size with the bytes that remain and with these numbers before they allocate
//! for it. The caps are far above every published model of the supported families, and low enough that no header can make
//! a reader allocate more than 2 × the file's size + 32 MiB. (Sizes of the architecture are capped by
//! [`qint_core::llama::Config::check`].)

/// Bytes of one tensor name or metadata key.
pub const NAME_BYTES: usize = 512;
/// Dimensions of one tensor.
pub const RANK: usize = 8;
/// Tensors in one file.
pub const TENSORS: usize = 1 << 16;
/// Bytes of a container's safetensors header; a parsed byte takes up to 25.
pub const SAFETENSORS_HEADER_BYTES: usize = 2 << 20;
/// Bytes of a checkpoint's safetensors header. (A thousand tensors take 150 KB.)
pub const CHECKPOINT_HEADER_BYTES: usize = 1 << 20;
/// Shards of one checkpoint.
pub const SHARDS: usize = 4096;
/// Bytes of `model.safetensors.index.json`.
pub const SHARD_INDEX_BYTES: u64 = 16 << 20;
/// Bytes of `config.json`, `generation_config.json` or the manifest's configuration; a parsed byte takes up to 120.
pub const CONFIG_BYTES: u64 = 128 << 10;
/// Bytes of `tokenizer_config.json`, of which only the chat template is kept.
pub const TOKENIZER_CONFIG_BYTES: u64 = 8 << 20;
/// Bytes of `tokenizer.json`; Llama 3's has 9 MB, Gemma's 17 MB.
pub const TOKENIZER_BYTES: u64 = 64 << 20;
/// Bytes of a chat template; published ones have up to 20 kB. Parsing recurses, up to once a byte.
pub const CHAT_TEMPLATE_BYTES: u64 = 64 << 10;
/// Ids of tokens that end a generation.
pub const END_TOKENS: usize = 64;
/// Key/value pairs in the metadata of a GGUF file.
pub const GGUF_PAIRS: usize = 4096;
/// Nested arrays in the metadata of a GGUF file.
pub const GGUF_ARRAY_DEPTH: usize = 4;
/// Values (objects, lists, strings, numbers) in a free-form part of a manifest.
pub const MANIFEST_VALUES: usize = 4096;
/// Rules of a recipe.
pub const RULES: usize = 4096;
/// Tokens in the vocabulary of a GGUF file.
pub const GGUF_TOKENS: usize = 1 << 19;
/// Bytes of one such token.
pub const GGUF_TOKEN_BYTES: usize = 512;
/// Merges that are derived from the scores of a SentencePiece vocabulary.
pub const GGUF_MERGES: usize = 1 << 20;
/// Bytes that a name from a file may take in an error message.
pub const SHOWN_BYTES: usize = 120;

/// `name` for an error message: cut after [`SHOWN_BYTES`], control characters escaped.
pub fn shown(name: &str) -> String {
    let mut shown = String::new();
    for character in name.chars() {
        if shown.len() > SHOWN_BYTES {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
