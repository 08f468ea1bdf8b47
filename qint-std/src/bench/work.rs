//! What a token takes: bytes to read and numbers to multiply.
use qint_core::{
    llama::Weights,
    matrix::{DenseValues, Matrix},
};

/// The work of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The codec of the layers' matrices; `mixed`, or `f32`, `f16`, `bf16` if they are not quantized.
    pub codec: String,
    /// Bytes of weights that generating a token reads: all layers and the head.
    pub bytes_per_token: u64,
    /// Bytes of the layers alone.
    pub bytes_of_layers: u64,
    /// Integer multiply-adds of a prompt's token: the layers' matrices. The head serves the last token only. `None` if one
    /// of them is not quantized.
    pub multiply_adds_per_token: Option<u64>,
    /// Those of the head.
    pub multiply_adds_of_head: Option<u64>,
}

/// The work of one pass over the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pass {
    pub(super) multiply_adds_per_token: f64,
    pub(super) multiply_adds_per_byte: f64,
}

impl Work {
    /// The work of a token of `weights`.
    pub fn of(weights: &Weights<'_>) -> Work {
        let layers = weights.layers().iter().flat_map(|l| [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down]);
        Work {
            codec: codec_name(layers.clone()),
            bytes_per_token: layers.clone().chain([weights.head()]).map(matrix_bytes).sum(),
            bytes_of_layers: layers.clone().map(matrix_bytes).sum(),
            multiply_adds_per_token: layers.map(multiply_adds).sum(),
            multiply_adds_of_head: multiply_adds(weights.head()),
        }
    }

    /// A pass in which `tokens` of a prompt go through the layers together, or `tokens` sequences get one more token each.
    /// `None` if something is not quantized.
    pub(super) fn of_pass(&self, is_prompt: bool, tokens: usize) -> Option<Pass> {
        let layers = self.multiply_adds_per_token?;
        let (multiply_adds, bytes) = match is_prompt {
            true => (layers, self.bytes_of_layers),
            false => (layers + self.multiply_adds_of_head?, self.bytes_per_token),
        };
        Some(Pass {
            multiply_adds_per_token: multiply_adds as f64,
            multiply_adds_per_byte: (multiply_adds * tokens as u64) as f64 / bytes as f64,
        })
    }
}

/// The codec that all matrices have, or what they are instead.
fn codec_name<'a>(matrices: impl Iterator<Item = &'a Matrix<'a>>) -> String {
    let mut names = matrices.map(|matrix| match matrix {
        Matrix::Quantized(matrix, _) => matrix.layout().codec().name(),
        Matrix::Dense(matrix) => dense_kind(matrix.values()).0,
    });
    let first = names.next().unwrap_or("none");
    if names.all(|name| name == first) { first.to_owned() } else { "mixed".to_owned() }
}

fn matrix_bytes(matrix: &Matrix<'_>) -> u64 {
    match matrix {
        Matrix::Quantized(matrix, _) => (matrix.panels().len() + 4 * matrix.row_scales().len()) as u64,
        Matrix::Dense(matrix) => matrix.values().len() as u64 * dense_kind(matrix.values()).1,
    }
}

fn multiply_adds(matrix: &Matrix<'_>) -> Option<u64> {
    match matrix {
        Matrix::Quantized(matrix, _) => Some(matrix.layout().rows() as u64 * matrix.layout().cols() as u64),
        Matrix::Dense(_) => None,
    }
}

fn dense_kind(values: DenseValues<'_>) -> (&'static str, u64) {
    match values {
        DenseValues::F32(_) => ("f32", 4),
        DenseValues::F16(_) => ("f16", 2),
        DenseValues::BF16(_) => ("bf16", 2),
    }
}
