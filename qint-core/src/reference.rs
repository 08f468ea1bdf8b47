//! The formulas of docs/numerics.md in plain loops: slow, and what everything else is compared with by `==`.
use crate::{activation::Activations, matrix::QMatrix};

/// One output of a linear layer.
pub fn dot(matrix: &QMatrix<'_>, row: usize, x: &Activations<'_>, token: usize) -> f32 {
    let _ = (matrix, row, x, token);
    todo!()
}
