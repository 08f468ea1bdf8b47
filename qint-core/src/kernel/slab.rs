//! A stretch of one panel, decoded once for many tokens.
use super::{decode::Decode, panel::Panel};
use crate::{
    activation::{ActivationBlock, SUM_COLS},
    isa::Isa,
    layout::{PANEL_ROWS, VECTOR_BYTES},
};

/// Columns of a slab: a multiple of every activation block, and few enough for the slab and the activations of a tile of
/// tokens to stay in the first-level cache.
pub(super) const SLAB_COLS: usize = ActivationBlock::B1024.cols();
const MAX_STEPS: usize = SLAB_COLS / SUM_COLS;

/// Unsigned levels and sub-scales of up to 1024 columns, in steps of 32: 16.5 KiB. Aligned, so that no vector straddles two
/// cache lines.
#[repr(align(64))]
pub(super) struct Slab {
    levels: [[[u8; VECTOR_BYTES]; 8]; MAX_STEPS],
    sub_scales: [[u8; PANEL_ROWS]; MAX_STEPS],
    steps: usize,
}

impl Slab {
    pub(super) fn new() -> Slab {
        Slab { levels: [[[0; VECTOR_BYTES]; 8]; MAX_STEPS], sub_scales: [[0; PANEL_ROWS]; MAX_STEPS], steps: 0 }
    }

    /// Takes in `part`, of at most [`SLAB_COLS`] columns and with a sub-scale for every `group_steps` steps.
    #[inline(always)]
    pub(super) fn decode<I: Isa, D: Decode>(&mut self, isa: I, part: Panel<'_>, group_steps: usize) {
        let steps = part.codes.chunks_exact(D::VECTORS);
        self.steps = steps.len().min(MAX_STEPS);
        for (step, levels) in steps.zip(&mut self.levels) {
            for (quad, levels) in levels.iter_mut().enumerate() {
                let codes = isa.load_bytes(&step[quad / D::FIELDS]);
                isa.store_bytes(D::decode(isa, codes, quad % D::FIELDS), levels);
            }
        }
        for (steps, sub_scales) in self.sub_scales.chunks_mut(group_steps).zip(part.sub_scales) {
            steps.fill(*sub_scales);
        }
    }

    /// Steps of 32 columns.
    #[inline(always)]
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Eight quads of levels for every step.
    #[inline(always)]
    pub(super) fn levels(&self) -> &[[[u8; VECTOR_BYTES]; 8]] {
        &self.levels[..self.steps]
    }

    /// Sixteen sub-scales for every step.
    #[inline(always)]
    pub(super) fn sub_scales(&self) -> &[[u8; PANEL_ROWS]] {
        &self.sub_scales[..self.steps]
    }
}
