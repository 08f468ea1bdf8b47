//! The Walsh-Hadamard transform that spreads outlier channels before activations are rounded.
//!
//! Columns are cut into blocks of 256; the tail into descending powers of two, at least 32 (576 = 256 + 256 + 64). Inside a
//! block of n: Sylvester order, in place, strides h = 1, 2, 4 … n/2, each pair (u, v) → (u + v, u − v). It only adds, in
//! this order, so it is exact to reproduce. The transform is its own inverse up to the factor n.
//!
//! ```text
//! for h in 1, 2, 4 … n/2:
//!     for every i whose bit h is clear:
//!         x[i], x[i + h] = x[i] + x[i + h], x[i] − x[i + h]
//! ```
//!
//! 1. Strides below 16 stay inside a register: [`Isa::butterfly`].
//! 2. Two strides are fused: four vectors are read and written once. The sums keep the tree above.
use crate::{
    backend::{Backend, Operation},
    isa::{Isa, Lanes},
    layout::COLUMN_STEP,
};

/// The longest block.
pub const MAX_BLOCK: usize = 256;

/// Transforms `x` (a multiple of 32 columns) in place, without any scaling.
///
/// # Panics
/// If `x` is not a multiple of 32 long.
pub fn transform(backend: Backend, x: &mut [f32]) {
    backend.run(Blocks { x, scale: false });
}

/// The inverse: [`transform`], then every block times 1/n (a power of two, so the scaling itself is exact).
///
/// # Panics
/// If `x` is not a multiple of 32 long.
///
/// # Example
/// ```
/// use qint_core::{backend::Backend, hadamard};
/// let mut x = [0.0; 96];
/// x[3] = 8.0;
/// hadamard::transform(Backend::detect(), &mut x);
/// assert!(x[..64].iter().all(|x| x.abs() == 8.0)); // an outlier becomes a spread
/// hadamard::inverse(Backend::detect(), &mut x);
/// assert_eq!(x[3], 8.0);
/// ```
pub fn inverse(backend: Backend, x: &mut [f32]) {
    backend.run(Blocks { x, scale: true });
}

/// The block lengths that `cols` (a multiple of 32) columns are cut into.
pub fn blocks(cols: usize) -> impl Iterator<Item = usize> {
    let mut left = cols;
    core::iter::from_fn(move || {
        let block = if left >= MAX_BLOCK { MAX_BLOCK } else { left.checked_ilog2().map(|log| 1 << log)? };
        left -= block;
        Some(block)
    })
}

struct Blocks<'a> {
    x: &'a mut [f32],
    scale: bool,
}

impl Operation for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let cols = self.x.len();
        assert!(cols.is_multiple_of(COLUMN_STEP), "{cols} columns are no multiple of {COLUMN_STEP}");
        let (mut rest, _) = self.x.as_chunks_mut::<16>();
        for cols in blocks(cols) {
            let (block, after) = rest.split_at_mut(cols / 16);
            transform_block(isa, block);
            if self.scale {
                scale_block(isa, block, 1.0 / cols as f32);
            }
            rest = after;
        }
    }
}

#[inline(always)]
fn transform_block<I: Isa>(isa: I, block: &mut [Lanes]) {
    for lanes in block.iter_mut() {
        let x = isa.load(lanes);
        let x = isa.butterfly::<1>(x);
        let x = isa.butterfly::<2>(x);
        let x = isa.butterfly::<4>(x);
        let x = isa.butterfly::<8>(x);
        isa.store(x, lanes);
    }
    let mut stride = 1;
    while stride * 4 <= block.len() {
        two_strides(isa, block, stride);
        stride *= 4;
    }
    if stride < block.len() {
        one_stride(isa, block, stride);
    }
}

/// The pairs that are `stride` vectors apart.
#[inline(always)]
fn one_stride<I: Isa>(isa: I, block: &mut [Lanes], stride: usize) {
    for pair in block.chunks_exact_mut(2 * stride) {
        let (u, v) = pair.split_at_mut(stride);
        for (u, v) in u.iter_mut().zip(v) {
            let (a, b) = (isa.load(u), isa.load(v));
            isa.store(isa.add(a, b), u);
            isa.store(isa.sub(a, b), v);
        }
    }
}

/// The pairs that are `stride` vectors apart, then those that are `2 · stride` apart.
#[inline(always)]
fn two_strides<I: Isa>(isa: I, block: &mut [Lanes], stride: usize) {
    for four in block.chunks_exact_mut(4 * stride) {
        let (low, high) = four.split_at_mut(2 * stride);
        let ((a, b), (c, d)) = (low.split_at_mut(stride), high.split_at_mut(stride));
        for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter_mut().zip(d)) {
            let (xa, xb, xc, xd) = (isa.load(a), isa.load(b), isa.load(c), isa.load(d));
            let (xa, xb) = (isa.add(xa, xb), isa.sub(xa, xb));
            let (xc, xd) = (isa.add(xc, xd), isa.sub(xc, xd));
            isa.store(isa.add(xa, xc), a);
            isa.store(isa.add(xb, xd), b);
            isa.store(isa.sub(xa, xc), c);
            isa.store(isa.sub(xb, xd), d);
        }
    }
}

#[inline(always)]
fn scale_block<I: Isa>(isa: I, block: &mut [Lanes], scale: f32) {
    for lanes in block {
        isa.store(isa.mul(isa.load(lanes), isa.splat(scale)), lanes);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The stated order and nothing else.
    fn naive(block: &mut [f32]) {
        let mut h = 1;
        while h < block.len() {
            for i in (0..block.len()).filter(|i| i & h == 0) {
                let (u, v) = (block[i], block[i + h]);
                (block[i], block[i + h]) = (u + v, u - v);
            }
            h *= 2;
        }
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    fn columns() -> impl Strategy<Value = Vec<f32>> {
        (1..30usize).prop_flat_map(|steps| prop::collection::vec(-1e3f32..1e3, 32 * steps))
    }

    proptest! {
        #[test]
        fn every_backend_adds_in_the_stated_order(x in columns()) {
            let mut expected = x.clone();
            let mut rest = &mut expected[..];
            for cols in blocks(x.len()) {
                let (block, after) = rest.split_at_mut(cols);
                naive(block);
                rest = after;
            }
            for backend in Backend::available() {
                let mut transformed = x.clone();
                transform(backend, &mut transformed);
                prop_assert_eq!(bits(&transformed), bits(&expected), "{}", backend.name());
            }
        }

        /// Integers below 2^24 survive exactly.
        #[test]
        fn the_inverse_undoes_it(x in (1..30usize).prop_flat_map(|steps| prop::collection::vec(-1000i16..1000, 32 * steps))) {
            let x: Vec<f32> = x.into_iter().map(f32::from).collect();
            for backend in Backend::available() {
                let mut back = x.clone();
                transform(backend, &mut back);
                inverse(backend, &mut back);
                prop_assert_eq!(&back, &x, "{}", backend.name());
            }
        }
    }

    #[test]
    fn tails_are_cut_into_descending_powers_of_two() {
        for (cols, expected) in [
            (32, &[32][..]),
            (96, &[64, 32]),
            (192, &[128, 64]),
            (256, &[256]),
            (576, &[256, 256, 64]),
            (736, &[256, 256, 128, 64, 32]),
        ] {
            assert_eq!(blocks(cols).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    #[should_panic(expected = "no multiple of 32")]
    fn other_lengths_are_a_caller_s_bug() {
        transform(Backend::detect(), &mut [0.0; 48]);
    }
}
