//! Where un-quantized models come from: named tensors, read by rows as f32 or borrowed as they are.
//!
//! Every source speaks Hugging Face: tensor names, row order of Q and K (rotary pairs in two halves), `tokenizer.json`.
use crate::{Result, config::ModelConfig};
use qint_core::matrix::DenseValues;
use std::{borrow::Cow, ops::Range};

/// A model before quantization. Cheap to share between threads.
pub trait Source: Send + Sync {
    /// Architecture and special tokens.
    fn config(&self) -> &ModelConfig;
    /// All tensors that the architecture needs, in its order: embedding, layers, final norm, head (absent if tied).
    fn tensors(&self) -> &[SourceTensor];
    /// Reads rows of tensor `index` as f32 into `out`, `[rows.len()][cols]`. Exact for f32, f16, bf16.
    ///
    /// # Errors
    /// I/O errors; NaN or infinity is `Malformed` with the tensor's name.
    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()>;
    /// The whole tensor without a copy, where it is stored as f32, f16 or bf16 in Hugging Face row order and aligned.
    fn dense(&self, index: usize) -> Option<DenseValues<'_>>;
    /// Files to carry along, by name: `tokenizer.json`, `config.json`, `generation_config.json`, `chat_template.jinja`.
    fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// SHA-256 over all weight bytes, hexadecimal. Reads everything once.
    fn hash(&self) -> Result<String>;
}

/// One tensor of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTensor {
    /// Name, role and shape.
    pub expected: crate::config::ExpectedTensor,
    /// How it is stored: `f32`, `f16`, `bf16`, `q4_1`, …
    pub stored: &'static str,
    /// Bytes it takes there.
    pub bytes: u64,
}
