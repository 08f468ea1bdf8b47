//! The Walsh-Hadamard transform that spreads outlier channels before activations are rounded.
//!
//! Columns are cut into blocks of 256; the tail into descending powers of two, at least 32 (576 = 256 + 256 + 64). Inside a
//! block of n: Sylvester order, in place, strides h = 1, 2, 4 … n/2, each pair (u, v) → (u + v, u − v). It only adds, in
//! this order, so it is exact to reproduce. The transform is its own inverse up to the factor n.
use crate::backend::Backend;

/// Transforms `x` (a multiple of 32 columns) in place, without any scaling.
pub fn transform(backend: Backend, x: &mut [f32]) {
    let _ = (backend, x);
    todo!()
}

/// The inverse: [`transform`], then every block times 1/n (a power of two, so the scaling itself is exact).
pub fn inverse(backend: Backend, x: &mut [f32]) {
    let _ = (backend, x);
    todo!()
}

/// The block lengths that `cols` (a multiple of 32) columns are cut into.
pub fn blocks(cols: usize) -> impl Iterator<Item = usize> {
    let mut left = cols;
    core::iter::from_fn(move || {
        let block = if left >= 256 { 256 } else { left.checked_ilog2().map(|log| 1 << log)? };
        left -= block;
        Some(block)
    })
}
