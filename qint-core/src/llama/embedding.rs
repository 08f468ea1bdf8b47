//! Rows of the embedding: a token id becomes the start of its residual stream.
use crate::{
    activation::Transform,
    backend::Backend,
    dequantize,
    element::Element,
    hadamard,
    matrix::{DenseMatrix, DenseValues, Matrix},
};

/// Writes row `id` of `matrix` times `scale` to `out`, `[hidden]`. `scratch` holds the padded columns. Returns false if the
/// matrix has no such row.
#[must_use]
pub(super) fn look_up(
    backend: Backend,
    matrix: &Matrix<'_>,
    id: usize,
    scale: f32,
    scratch: &mut [f32],
    out: &mut [f32],
) -> bool {
    match matrix {
        Matrix::Dense(matrix) => dense_row(matrix, id, scale, out),
        Matrix::Quantized(matrix, format) => {
            let known = dequantize::row(matrix, id, scratch).is_ok();
            if format.transform == Transform::Hadamard {
                // The columns were stored as w·H/n, and H·H = n.
                hadamard::transform(backend, scratch);
            }
            write(scratch, scale, out);
            known
        }
    }
}

fn dense_row(matrix: &DenseMatrix<'_>, id: usize, scale: f32, out: &mut [f32]) -> bool {
    if id >= matrix.rows() {
        return false;
    }
    let row = id * matrix.cols()..(id + 1) * matrix.cols();
    match matrix.values() {
        DenseValues::F32(values) => write(&values[row], scale, out),
        DenseValues::F16(values) => write(&values[row], scale, out),
        DenseValues::BF16(values) => write(&values[row], scale, out),
    }
    true
}

fn write<T: Element>(row: &[T], scale: f32, out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out = value.to_f32() * scale;
    }
}
