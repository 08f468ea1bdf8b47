//! Quantized weights back to f32: whole matrices for checks and exports, single rows for embedding look-ups.
use crate::{Error, matrix::QMatrix};

/// One row as stored, `padded_cols` numbers: `row_scale · (sub_scale · level)`, the product of integers being exact.
/// (In the transformed domain if the matrix was transformed.)
///
/// # Errors
/// [`Error::Length`], or [`Error::Dimension`] if `row` is not below the rows.
pub fn row(matrix: &QMatrix<'_>, row: usize, out: &mut [f32]) -> Result<(), Error> {
    let _ = (matrix, row, out);
    todo!()
}
