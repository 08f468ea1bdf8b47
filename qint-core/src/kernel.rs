//! Quantized matrix products over panels.
use crate::{activation::Activations, backend::Backend, matrix::QMatrix, team::RowsMut};
use core::ops::Range;

/// `out[t][r] = Σ W[r] · x[t]` for the rows of `panels` and all tokens of `x` (one token: a stream over the panels; several:
/// each decoded vector serves all of them). The same bits for any split into panel ranges and any batch.
///
/// `out` covers exactly the rows `16 · panels.start .. min(16 · panels.end, rows)`.
///
/// # Panics
/// If the shapes disagree: `x` has the matrix's padded columns, `out` has the tokens of `x` and the rows of `panels`.
pub fn matmul(
    backend: Backend,
    matrix: &QMatrix<'_>,
    x: &Activations<'_>,
    panels: Range<usize>,
    out: &mut RowsMut<'_>,
) {
    let _ = (backend, matrix, x, panels, out);
    todo!()
}
