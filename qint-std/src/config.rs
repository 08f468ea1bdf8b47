//! A model's architecture and special tokens, from any source, in the form that the manifest keeps.
use qint_core::llama::Config;

/// What is known about a model besides its weights and its tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family as Hugging Face names it: `llama`, `mistral`, `gemma`.
    pub family: String,
    /// Sizes and options of the forward pass.
    pub architecture: Config,
    /// The head is the embedding matrix.
    pub tied_head: bool,
    /// Token that starts a text.
    pub bos: Option<u32>,
    /// Tokens that end a generation.
    pub eos: Vec<u32>,
}

/// One tensor that a model of some [`ModelConfig`] consists of, under its Hugging Face name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// For example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Rows; 1 for a norm.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// What a tensor is for. Layers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of qint_core::llama::Layer")]
pub enum Role {
    Embedding,
    AttentionNorm(usize),
    Q(usize),
    K(usize),
    V(usize),
    O(usize),
    MlpNorm(usize),
    Gate(usize),
    Up(usize),
    Down(usize),
    FinalNorm,
    Head,
}
