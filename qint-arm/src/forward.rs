//! qint-core's forward pass with this core's kernels: a [`Backend`] whose quantized products are qint-arm's.
use crate::{KERNELS, inputs::Inputs, matmul::matmul};
use qint_core::{
    activation::Activations,
    backend::{Backend, Products},
    matrix::QMatrix,
    team::RowsMut,
};

/// A backend for [`qint_core::llama::forward`], token by token. `WORDS` words of stack hold a product's streams
/// ([`Inputs::words`]); where they don't suffice, and for several tokens at once, the portable kernels do the work: the same bits.
///
/// ```
/// use qint_core::backend::Backend;
/// let backend: Backend = qint_arm::forward::backend::<320>();
/// assert_eq!(backend.name(), qint_arm::KERNELS);
/// ```
pub const fn backend<const WORDS: usize>() -> Backend {
    Backend::Products(Products { name: KERNELS, multiply: multiply::<WORDS> })
}

/// `out = matrix · x`, if it is for this crate.
fn multiply<const WORDS: usize>(matrix: &QMatrix<'_>, x: &Activations<'_>, out: &mut RowsMut<'_>) -> bool {
    let layout = matrix.layout();
    if x.tokens() != 1
        || out.tokens() != 1
        || out.range() != (0..layout.rows())
        || Inputs::words(layout, x.block(), 1) > WORDS
    {
        return false;
    }
    let mut memory = [0; WORDS];
    let Ok(inputs) = Inputs::expand(layout, x, &mut memory) else { return false };
    matmul(matrix, &inputs, 0..layout.panels(), out.token(0)).is_ok()
}
