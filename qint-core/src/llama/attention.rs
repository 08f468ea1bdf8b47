//! Attention of one query position: some query heads against the stored keys and values of the KV head they share.
//!
//! ```text
//! for each chunk of 64 positions, counted from position 0:
//!   for each head:  score[j] = q · k[j]              (i8 keys: times the key's scale)
//!                   m' = max(m, scores), p[j] = exp(score[j] − m'), c = exp(m − m')
//!                   sum = sum · c + Σ p;   out = out · c, then out += p[j] · v[j] in ascending j
//! out = out / sum
//! ```
//! Chunks lie where they lie whatever a call computes, so the bits of a result depend on its position only. Queries come
//! scaled with 1/√head_dim. A sliding window cuts positions off the first chunk.
use super::kv::HeadView;
use crate::{
    backend::{Backend, Operation},
    element::{Element, LANES, dot, load_part, store_part},
    isa::Isa,
    math::exp,
};
use core::ops::Range;

/// Positions that share one step of the running softmax.
const CHUNK: usize = 64;
/// Heads that are worked on together, so that a chunk of keys and values is read from memory once.
const HEADS: usize = 8;

/// Writes the attention outputs of `queries` (`[heads][head_dim]`, rotated and scaled) over `positions` to `out`.
pub(super) fn attend(
    backend: Backend,
    head: HeadView<'_>,
    positions: Range<usize>,
    head_dim: usize,
    queries: &[f32],
    out: &mut [f32],
) {
    for (queries, out) in queries.chunks(HEADS * head_dim).zip(out.chunks_mut(HEADS * head_dim)) {
        let positions = positions.clone();
        match head {
            HeadView::F32 { keys, values } => {
                backend.run(Attend { keys, values, scales: None, positions, head_dim, queries, out });
            }
            HeadView::F16 { keys, values } => {
                backend.run(Attend { keys, values, scales: None, positions, head_dim, queries, out });
            }
            HeadView::I8 { keys, values, key_scales, value_scales } => {
                let scales = Some((key_scales, value_scales));
                backend.run(Attend { keys, values, scales, positions, head_dim, queries, out });
            }
        }
    }
}

/// At most [`HEADS`] heads; keys and values are `[capacity][head_dim]`, scales `[capacity]`.
struct Attend<'a, T> {
    keys: &'a [T],
    values: &'a [T],
    scales: Option<(&'a [f32], &'a [f32])>,
    positions: Range<usize>,
    head_dim: usize,
    queries: &'a [f32],
    out: &'a mut [f32],
}

/// A softmax in progress.
#[derive(Clone, Copy)]
struct Running {
    max: f32,
    sum: f32,
}

impl<T: Element> Operation for Attend<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let mut running = [Running { max: f32::NEG_INFINITY, sum: 0.0 }; HEADS];
        self.out.fill(0.0);
        let mut start = self.positions.start;
        while start < self.positions.end {
            let end = self.positions.end.min(start - start % CHUNK + CHUNK);
            let heads = self.queries.chunks_exact(self.head_dim).zip(self.out.chunks_exact_mut(self.head_dim));
            for ((query, out), running) in heads.zip(&mut running) {
                let chunk = start * self.head_dim..end * self.head_dim;
                let mut weights = [f32::NEG_INFINITY; CHUNK];
                scores(isa, query, &self.keys[chunk.clone()], &mut weights);
                let weights_used = &mut weights[..end - start];
                multiply(weights_used, self.scales.map(|scales| &scales.0[start..end]));
                let correction = running.step(isa, &mut weights, end - start);
                let weights_used = &mut weights[..end - start];
                multiply(weights_used, self.scales.map(|scales| &scales.1[start..end]));
                accumulate(isa, weights_used, &self.values[chunk], correction, out);
            }
            start = end;
        }
        for (out, running) in self.out.chunks_exact_mut(self.head_dim).zip(running) {
            for part in out.chunks_mut(LANES) {
                store_part(isa, isa.div(load_part(isa, part), isa.splat(running.sum)), part);
            }
        }
    }
}

impl Running {
    /// Turns the first `count` scores into weights, the others (−∞) into 0. Returns what the outputs so far must be
    /// multiplied with.
    #[inline(always)]
    fn step<I: Isa>(&mut self, isa: I, scores: &mut [f32; CHUNK], count: usize) -> f32 {
        let mut largest = isa.splat(self.max);
        for part in scores.as_chunks::<LANES>().0 {
            largest = isa.max(isa.load(part), largest);
        }
        let mut lanes = [0.0; LANES];
        isa.store(largest, &mut lanes);
        let max = lanes.into_iter().fold(self.max, |max, x| if x > max { x } else { max });
        let mut correction = [0.0; LANES];
        isa.store(exp(isa, isa.splat(self.max - max)), &mut correction);
        for part in scores.as_chunks_mut::<LANES>().0 {
            isa.store(exp(isa, isa.sub(isa.load(part), isa.splat(max))), part);
        }
        scores[count..].fill(0.0);
        let mut sum = isa.splat(0.0);
        for part in scores.as_chunks::<LANES>().0 {
            sum = isa.add(sum, isa.load(part));
        }
        self.sum = self.sum * correction[0] + isa.sum(sum);
        self.max = max;
        correction[0]
    }
}

#[inline(always)]
fn scores<I: Isa, T: Element>(isa: I, query: &[f32], keys: &[T], scores: &mut [f32]) {
    for (score, key) in scores.iter_mut().zip(keys.chunks_exact(query.len())) {
        *score = dot(isa, query, key);
    }
}

#[inline(always)]
fn multiply(weights: &mut [f32], scales: Option<&[f32]>) {
    for (weight, scale) in weights.iter_mut().zip(scales.unwrap_or_default()) {
        *weight *= scale;
    }
}

/// `out = out · correction`, then plus `weights[j] · values[j]` in ascending j by fma.
#[inline(always)]
fn accumulate<I: Isa, T: Element>(isa: I, weights: &[f32], values: &[T], correction: f32, out: &mut [f32]) {
    const WIDE: usize = 4;
    let stride = out.len();
    let (wide, rest) = out.as_chunks_mut::<{ WIDE * LANES }>();
    for (index, out) in wide.iter_mut().enumerate() {
        let first = index * WIDE * LANES;
        let out = out.as_chunks_mut::<LANES>().0;
        let mut sums = [isa.splat(0.0); WIDE];
        for i in 0..WIDE {
            sums[i] = isa.mul(isa.load(&out[i]), isa.splat(correction));
        }
        for (weight, value) in weights.iter().zip(values.chunks_exact(stride)) {
            let value = value[first..][..WIDE * LANES].as_chunks::<LANES>().0;
            for i in 0..WIDE {
                sums[i] = isa.fma(isa.splat(*weight), T::load(isa, &value[i]), sums[i]);
            }
        }
        for i in 0..WIDE {
            isa.store(sums[i], &mut out[i]);
        }
    }
    for (index, out) in rest.chunks_mut(LANES).enumerate() {
        let first = wide.len() * WIDE * LANES + index * LANES;
        let mut sum = isa.mul(load_part(isa, out), isa.splat(correction));
        for (weight, value) in weights.iter().zip(values.chunks_exact(stride)) {
            sum = isa.fma(isa.splat(*weight), load_part(isa, &value[first..][..out.len()]), sum);
        }
        store_part(isa, sum, out);
    }
}
