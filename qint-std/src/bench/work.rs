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
    /// Integer multiply-adds of a prompt's token: the layers' matrices. The head serves the last token only. `None` if one
    /// of them is not quantized.
    pub multiply_adds_per_token: Option<u64>,
}

impl Work {
    /// The work of a token of `weights`.
    pub fn of(weights: &Weights<'_>) -> Work {
        let layers = weights.layers().iter().flat_map(|l| [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down]);
        Work {
            codec: codec_name(layers.clone()),
            bytes_per_token: layers.clone().chain([weights.head()]).map(matrix_bytes).sum(),
            multiply_adds_per_token: layers.map(multiply_adds).sum(),
        }
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
