//! The softmax of several rows, chunk after chunk.
use crate::{
    element::LANES,
    isa::{Isa, Lanes},
    llama::kv_order::CHUNK,
    math::exp,
};

/// A chunk's scores of one row; then their weights.
pub(super) type Scores = [Lanes; CHUNK / LANES];

/// Softmaxes in progress: the largest score so far and sixteen partial sums of weights, by place in the chunk modulo 16.
pub(super) struct Running<I: Isa, const Q: usize> {
    max: [f32; Q],
    sums: [I::F32; Q],
}

impl<I: Isa, const Q: usize> Running<I, Q> {
    #[inline(always)]
    pub(super) fn new(isa: I) -> Running<I, Q> {
        Running { max: [f32::NEG_INFINITY; Q], sums: [isa.splat(0.0); Q] }
    }

    /// Turns the first `vectors` vectors of scores into weights: row q sees the places `seen[q].0..seen[q].1`, which lie in
    /// them; the others get weight 0. Returns what every row's outputs so far must be multiplied with, 1 for a row that sees
    /// nothing.
    #[inline(always)]
    pub(super) fn step(
        &mut self,
        isa: I,
        scores: &mut [Scores; Q],
        vectors: usize,
        seen: [(usize, usize); Q],
    ) -> Lanes {
        const { assert!(Q <= LANES) };
        let (mut max, mut changes) = (self.max, [0.0; LANES]);
        for q in 0..Q {
            let scores = &mut scores[q][..vectors];
            fill_outside(scores, seen[q], f32::NEG_INFINITY);
            let mut largest = isa.splat(self.max[q]);
            for part in scores {
                // A NaN is passed over here and turns up in the weights.
                largest = isa.max(isa.load(part), largest);
            }
            max[q] = isa.largest(largest);
            if seen[q].0 < seen[q].1 {
                changes[q] = self.max[q] - max[q];
            }
        }
        let mut corrections = [0.0; LANES];
        isa.store(exp(isa, isa.load(&changes)), &mut corrections);
        for q in 0..Q {
            let scores = &mut scores[q][..vectors];
            let max = isa.splat(max[q]);
            for part in &mut *scores {
                isa.store(exp(isa, isa.sub(isa.load(part), max)), part);
            }
            fill_outside(scores, seen[q], 0.0);
            let mut sum = isa.splat(0.0);
            for part in scores {
                sum = isa.add(sum, isa.load(part));
            }
            self.sums[q] = isa.fma(self.sums[q], isa.splat(corrections[q]), sum);
        }
        self.max = max;
        corrections
    }

    /// The sum of row q's weights.
    #[inline(always)]
    pub(super) fn total(&self, isa: I, q: usize) -> f32 {
        isa.sum(self.sums[q])
    }
}

#[inline(always)]
fn fill_outside(scores: &mut [Lanes], (start, end): (usize, usize), value: f32) {
    let scores = scores.as_flattened_mut();
    if (start, end) != (0, scores.len()) {
        scores[..start].fill(value);
        scores[end..].fill(value);
    }
}
