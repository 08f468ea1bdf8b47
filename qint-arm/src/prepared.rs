//! A matrix, and what this core's kernels want to know of it beforehand.
//!
//! Helium multiplies signed bytes with signed ones or unsigned with unsigned. Codes of q8 are unsigned, so activations become
//! unsigned too, x + 128, and
//!
//! ```text
//! Σ level · x  =  Σ code · (x + 128)  −  128 · Σ x  −  128 · Σ code
//! ```
//!
//! The last sum belongs to the weights alone. Without it every sixteen codes take one instruction more. All other kernels need
//! nothing.
use crate::{inputs::expect, quantize::expect_length};
use qint_core::{
    Error,
    activation::ActivationBlock,
    codec::Codec,
    layout::{Layout, VECTOR_BYTES},
    matrix::QMatrix,
};

/// A matrix that is ready for this core. A reference to a [`QMatrix`] becomes one that knows nothing beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    matrix: &'a QMatrix<'a>,
    block: ActivationBlock,
    /// −128 · Σ sub-scale · Σ code of every `[activation block][padded row]`, or nothing.
    corrections: &'a [i32],
}

impl<'a> Prepared<'a> {
    /// How many integers of memory it takes: four bytes a row for q8 and every activation block on a Helium core, otherwise
    /// none.
    pub const fn words(layout: &Layout, block: ActivationBlock) -> usize {
        if cfg!(qint_kernels = "helium") && matches!(layout.codec(), Codec::Q8) {
            layout.padded_rows() * layout.padded_cols().div_ceil(block.cols())
        } else {
            0
        }
    }

    /// Looks through the weights, once, for activations in blocks of that length.
    ///
    /// # Errors
    /// [`Error::Length`] if `memory` does not hold [`words`](Prepared::words) numbers.
    pub fn new(matrix: &'a QMatrix<'a>, block: ActivationBlock, memory: &'a mut [i32]) -> Result<Prepared<'a>, Error> {
        let layout = matrix.layout();
        expect_length("memory of a prepared matrix", memory.len(), Prepared::words(layout, block))?;
        for (index, corrections) in memory.chunks_mut(layout.padded_rows().max(1)).enumerate() {
            for (row, correction) in corrections.iter_mut().enumerate() {
                *correction = correct(matrix, row, index * block.cols(), block);
            }
        }
        Ok(Prepared { matrix, block, corrections: memory })
    }

    /// The matrix.
    pub const fn matrix(&self) -> &'a QMatrix<'a> {
        self.matrix
    }

    /// What was found, if it is of use for activations in such blocks.
    pub(crate) fn corrections(&self, block: ActivationBlock) -> Result<&'a [i32], Error> {
        if !self.corrections.is_empty() {
            expect("activation block of a prepared matrix", self.block.cols(), block.cols())?;
        }
        Ok(self.corrections)
    }
}

impl<'a> From<&'a QMatrix<'a>> for Prepared<'a> {
    fn from(matrix: &'a QMatrix<'a>) -> Prepared<'a> {
        Prepared { matrix, block: ActivationBlock::B256, corrections: &[] }
    }
}

/// −128 · Σ sub-scale · Σ code of one row of q8, from column `start` on.
fn correct(matrix: &QMatrix<'_>, row: usize, start: usize, block: ActivationBlock) -> i32 {
    let (layout, group) = (matrix.layout(), matrix.layout().group().cols());
    let end = layout.padded_cols().min(start + block.cols());
    let mut sum = 0i32;
    for first in (start..end).step_by(group) {
        let quads = group.min(end - first) / 4;
        let bytes = matrix.panels().get(layout.code_position(row, first).byte..).unwrap_or_default();
        let codes = bytes.chunks(VECTOR_BYTES).take(quads).flat_map(|vector| vector.iter().take(4));
        let codes: i32 = codes.map(|code| i32::from(*code)).sum();
        let sub_scale = matrix.panels().get(layout.sub_scale_position(row, first / group)).copied().unwrap_or_default();
        sum = sum.wrapping_add(codes.wrapping_mul(i32::from(sub_scale.cast_signed())));
    }
    sum.wrapping_mul(-128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qint_core::{codec::Group, pack};

    #[test]
    fn corrections_are_the_sums_of_codes_that_were_packed() {
        const ROWS: usize = 18;
        const COLS: usize = 352;
        #[repr(align(64))]
        struct Panels([u8; 32 * (COLS + 8)]);
        let layout = Layout::new(ROWS, COLS, Codec::Q8, Group::G64).unwrap();
        let mut panels = Panels([0; _]);
        let panels = &mut panels.0[..layout.panels_bytes()];
        let code = |row: usize, col: usize| (row * 31 + col * 7) as u8;
        let sub_scale = |row: usize, group: usize| (row * 13 + group * 29) as i8;
        for row in 0..ROWS {
            let codes: [u8; COLS] = core::array::from_fn(|col| code(row, col));
            let sub_scales: [i8; COLS.div_ceil(64)] = core::array::from_fn(|group| sub_scale(row, group));
            pack::pack_row(&layout, row, &codes, &sub_scales, panels).unwrap();
        }
        let matrix = QMatrix::new(layout, panels, &[1.0; 32]).unwrap();
        for (row, start) in (0..ROWS).flat_map(|row| [(row, 0), (row, 256)]) {
            let columns = start..COLS.min(start + 256);
            let sum: i32 = columns.map(|col| i32::from(code(row, col)) * i32::from(sub_scale(row, col / 64))).sum();
            assert_eq!(correct(&matrix, row, start, ActivationBlock::B256), -128 * sum, "row {row} from {start} on");
        }
    }
}
