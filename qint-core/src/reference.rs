//! The formulas of docs/numerics.md in plain loops: slow, and what everything else is compared with by `==`.
//!
//! ```text
//! total = +0.0
//! for each activation block, in column order:
//!     sum   = Σ over the block's groups: sub_scale · Σ level(code) · x      (integers, exact)
//!     total = total + (f32(sum) · a)                                        (two roundings, never one)
//! y = total · row_scale
//! ```
use crate::{activation::Activations, matrix::QMatrix};

/// One output of a linear layer.
///
/// # Panics
/// If `row` is not below the padded rows, `token` not below the tokens, or `x` has other padded columns than `matrix`.
pub fn dot(matrix: &QMatrix<'_>, row: usize, x: &Activations<'_>, token: usize) -> f32 {
    let blocks = x.padded_cols().div_ceil(x.block().cols());
    let mut total = 0.0f32;
    for block in 0..blocks {
        let scaled = block_sum(matrix, row, x, token, block) as f32 * x.scale(token, block);
        total += scaled;
    }
    total * matrix.row_scales()[row]
}

/// The integer sum of one activation block. It fits i32 for all codes and sub-scales: 128 · 127 · 128 · 1024 < 2³¹.
///
/// # Panics
/// As [`dot`], or if `block` is not below the blocks of a token.
pub fn block_sum(matrix: &QMatrix<'_>, row: usize, x: &Activations<'_>, token: usize, block: usize) -> i32 {
    let layout = matrix.layout();
    assert_eq!(x.padded_cols(), layout.padded_cols(), "padded columns of activations and matrix");
    let start = block * x.block().cols();
    let end = layout.padded_cols().min(start + x.block().cols());
    assert!(start < end, "block {block} begins after the last column");

    let mut sum = 0;
    for col in start..end {
        let code = layout.code_position(row, col);
        let level = layout.codec().level(matrix.panels()[code.byte] >> code.bit);
        let sub_scale = matrix.panels()[layout.sub_scale_position(row, col / layout.group().cols())].cast_signed();
        sum += i32::from(sub_scale) * i32::from(level) * i32::from(x.code(token, col));
    }
    sum
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use crate::{
        activation::ActivationBlock,
        codec::{Codec, Group},
        layout::Layout,
        pack::pack_row,
    };
    use std::{vec, vec::Vec};

    /// Bytes that start at a multiple of 4.
    pub(crate) struct Aligned(Vec<[u8; 64]>);

    impl Aligned {
        pub(crate) fn bytes(&self) -> &[u8] {
            let start = self.0.as_flattened().as_ptr().align_offset(4);
            assert_eq!(start, 0, "the allocator aligns to 4");
            self.0.as_flattened()
        }
    }

    pub(crate) fn aligned(bytes: &[u8]) -> Aligned {
        Aligned(bytes.as_chunks::<64>().0.to_vec())
    }

    #[test]
    fn the_largest_sums_are_exact() {
        let layout = Layout::new(1, 1024, Codec::Q8, Group::G128).unwrap();
        let mut panels = vec![0; layout.panels_bytes()];
        pack_row(&layout, 0, &[0; 1024], &[-128; 8], &mut panels).unwrap();
        let mut row_scales = [0.0; 16];
        row_scales[0] = 0.5;
        let panels = aligned(&panels);
        let matrix = QMatrix::new(layout, panels.bytes(), &row_scales).unwrap();
        let x = Activations::new(1, 1024, ActivationBlock::B1024, &[127; 1024], &[2.0], &[127 * 32; 32]).unwrap();
        assert_eq!(block_sum(&matrix, 0, &x, 0, 0), 128 * 127 * 128 * 1024);
        assert_eq!(dot(&matrix, 0, &x, 0), (128 * 127 * 128 * 1024) as f32);
    }
}
