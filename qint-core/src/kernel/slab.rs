//! A stretch of some panels, decoded once for many tokens.
use super::{decode::Decode, panel::Panel};
use crate::{
    activation::{ActivationBlock, SUM_COLS},
    isa::Isa,
    layout::VECTOR_BYTES,
};

/// Columns of a slab: a multiple of every activation block, and few enough for the slab to stay close to the core.
pub(super) const SLAB_COLS: usize = ActivationBlock::B1024.cols();
/// Steps of a slab.
pub(super) const MAX_STEPS: usize = SLAB_COLS / SUM_COLS;

/// Biased levels of 32 columns.
pub(super) type StepLevels = [[u8; VECTOR_BYTES]; 8];

/// Biased levels and widened sub-scales of up to 1024 columns of `P` panels: 18 KiB a panel. Aligned, so that no vector
/// straddles two cache lines.
#[repr(align(64))]
pub(super) struct Slab<const P: usize> {
    levels: [[StepLevels; P]; MAX_STEPS],
    sub_scales: [[[u8; VECTOR_BYTES]; P]; MAX_STEPS],
    steps: usize,
    groups: usize,
}

impl<const P: usize> Slab<P> {
    pub(super) fn new() -> Slab<P> {
        let levels = [[[[0; VECTOR_BYTES]; 8]; P]; MAX_STEPS];
        Slab { levels, sub_scales: [[[0; VECTOR_BYTES]; P]; MAX_STEPS], steps: 0, groups: 0 }
    }

    /// Takes in `part` as panel `p`: at most [`SLAB_COLS`] columns, as many as the other panels have.
    #[inline(always)]
    pub(super) fn decode<I: Isa, D: Decode>(&mut self, isa: I, p: usize, part: Panel<'_>) {
        let steps = part.codes.chunks_exact(D::VECTORS);
        self.steps = steps.len().min(MAX_STEPS);
        for (step, levels) in steps.zip(&mut self.levels) {
            for (quad, levels) in levels[p].iter_mut().enumerate() {
                let codes = isa.load_bytes(&step[quad / D::FIELDS]);
                isa.store_bytes(D::decode(isa, codes, quad % D::FIELDS), levels);
            }
        }
        self.groups = part.sub_scales.len().min(MAX_STEPS);
        for (sub_scales, widened) in part.sub_scales.iter().zip(&mut self.sub_scales) {
            isa.store_bytes(isa.widen_sub_scales(sub_scales), &mut widened[p]);
        }
    }

    /// Steps of 32 columns.
    #[inline(always)]
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The levels of every step, of all panels.
    #[inline(always)]
    pub(super) fn levels(&self) -> &[[StepLevels; P]] {
        &self.levels[..self.steps]
    }

    /// Sixteen widened sub-scales of every group, of all panels.
    #[inline(always)]
    pub(super) fn sub_scales(&self) -> &[[[u8; VECTOR_BYTES]; P]] {
        &self.sub_scales[..self.groups]
    }
}
