//! Attention of a block of tokens: every query head against the stored keys and values of its KV head.
//!
//! ```text
//! for each chunk of 128 positions, counted from position 0, that the query sees:
//!   s[j] = q · k[j]
//!   m' = max(m, s);  p[j] = exp(s[j] − m');  f = exp(m − m')
//!   l = l·f + Σ p;   out = out·f + Σ p[j]·v[j]
//! out = out / l
//! ```
//! Queries are rotated and scaled with 1/√head_dim first. docs/numerics.md has every rounding.
//!
//! How it is made fast:
//! 1. Both sums of products are one small matrix product ([`multiply`]): rows times vectors of sixteen lanes, without a sum
//!    over lanes. For scores a lane is a position, for outputs it is a component; `kv_order` stores keys and values so.
//! 2. A tile of [`Isa::ROWS`] rows (the heads that share a KV head, of one or several tokens) uses every vector once it is read
//!    and widened; the sums stay in registers.
//! 3. i8 keys and values are multiplied with 16-bit integers, two products a lane at a time, exactly ([`Stored`]).
//!
//! A row's result depends on its own position only: chunks lie where they lie, lanes that a row doesn't see have weight 0,
//! and a chunk that it doesn't see at all changes nothing. So tiles, blocks and calls can be cut anywhere. Memory that holds
//! no position yet may hold anything.
mod softmax;
mod stored;
#[cfg(test)]
mod tests;

use super::{
    MAX_HEAD_DIM,
    kv::{HeadNumbers, HeadView},
    kv_order::{CHUNK, KvOrder},
    rope,
};
use crate::{
    backend::{Backend, Operation},
    element::{LANES, load_part, store_part},
    isa::{Isa, Lanes},
    team::RowsMut,
};
use half::f16;
use softmax::{Running, Scores};
use stored::{Stored, multiply};

/// Consecutive tokens of one sequence, and some of the heads that share a KV head.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// Position of the first token.
    pub(super) first: usize,
    /// A token at position i sees the positions above i − window.
    pub(super) window: Option<usize>,
    pub(super) head_dim: usize,
    /// `[tokens][head_dim]`: cosines and sines.
    pub(super) rotary: &'a [f32],
    /// `[tokens][heads · head_dim]`, neither rotated nor scaled. Overwritten.
    pub(super) queries: RowsMut<'a>,
    /// The outputs, of the same shape.
    pub(super) out: RowsMut<'a>,
}

/// Computes the outputs of `block` over what `head` holds, the tokens' own keys and values included.
pub(super) fn attend(backend: Backend, head: HeadView<'_>, block: Block<'_>) {
    let order = head.order;
    match head.numbers {
        HeadNumbers::F32 { keys, values } => {
            let (keys, values) = (vectors::<_, LANES>(keys), vectors(values));
            backend.run(Attend { order, keys, values, scales: None, block });
        }
        HeadNumbers::F16 { keys, values } => {
            let (keys, values): (&[[f16; LANES]], _) = (vectors(keys), vectors(values));
            backend.run(Attend { order, keys, values, scales: None, block });
        }
        HeadNumbers::I8 { keys, values, key_scales, value_scales } => {
            let (keys, values) = (vectors::<_, { 2 * LANES }>(keys), vectors(values));
            backend.run(Attend { order, keys, values, scales: Some((key_scales, value_scales)), block });
        }
    }
}

fn vectors<T, const N: usize>(numbers: &[T]) -> &[[T; N]] {
    numbers.as_chunks().0
}

struct Attend<'a, S> {
    order: KvOrder,
    keys: &'a [S],
    values: &'a [S],
    /// Of keys and values, by position.
    scales: Option<(&'a [f32], &'a [f32])>,
    block: Block<'a>,
}

/// One head of one token, and the positions it sees.
#[derive(Clone, Copy)]
struct Row {
    token: usize,
    /// Where the head begins among the token's columns.
    column: usize,
    start: usize,
    end: usize,
}

/// The part of a chunk that a tile needs: the positions before `base + end`.
#[derive(Clone, Copy)]
struct Chunk {
    base: usize,
    end: usize,
}

impl Chunk {
    /// Vectors of scores.
    fn vectors(self) -> usize {
        self.end.div_ceil(LANES)
    }
}

impl<S: Stored> Operation for Attend<'_, S> {
    type Output = ();

    /// Tiles of as many rows as fit the registers, with as many columns of accumulators as fit beside them.
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let mut next = 0;
        if I::ROWS == 8 {
            self.tiles::<I, 8, 2>(isa, &mut next);
            self.tiles::<I, 4, 4>(isa, &mut next);
            self.tiles::<I, 3, 4>(isa, &mut next);
            self.tiles::<I, 2, 4>(isa, &mut next);
            self.tiles::<I, 1, 4>(isa, &mut next);
        } else if I::ROWS == 4 {
            self.tiles::<I, 4, 1>(isa, &mut next);
            self.tiles::<I, 3, 1>(isa, &mut next);
            self.tiles::<I, 2, 2>(isa, &mut next);
            self.tiles::<I, 1, 4>(isa, &mut next);
        } else {
            self.tiles::<I, 1, 1>(isa, &mut next);
        }
    }
}

impl<S: Stored> Attend<'_, S> {
    /// All tiles of `Q` rows from row `next` on.
    #[inline(always)]
    fn tiles<I: Isa, const Q: usize, const V: usize>(&mut self, isa: I, next: &mut usize) {
        let heads = self.block.queries.range().len() / self.block.head_dim;
        let rows = self.block.queries.tokens() * heads;
        if *next + Q > rows {
            return;
        }
        let mut queries = [[S::NOTHING; MAX_HEAD_DIM]; Q];
        while *next + Q <= rows {
            let mut tile = [self.row(0, 0); Q];
            for (row, index) in tile.iter_mut().zip(*next..) {
                *row = self.row(index / heads, index % heads);
            }
            self.tile::<I, Q, V>(isa, tile, &mut queries);
            *next += Q;
        }
    }

    #[inline(always)]
    fn row(&self, token: usize, head: usize) -> Row {
        let end = self.block.first + token + 1;
        let start = self.block.window.map_or(0, |window| end.saturating_sub(window));
        Row { token, column: head * self.block.head_dim, start, end }
    }

    #[inline(always)]
    fn tile<I: Isa, const Q: usize, const V: usize>(
        &mut self,
        isa: I,
        rows: [Row; Q],
        queries: &mut [[S::Factor; MAX_HEAD_DIM]; Q],
    ) {
        let mut query_scales = [0.0; Q];
        for q in 0..Q {
            query_scales[q] = self.prepare(isa, rows[q], &mut queries[q]);
        }
        let (mut start, mut end) = (usize::MAX, 0);
        for row in &rows {
            (start, end) = (start.min(row.start), end.max(row.end));
        }
        let mut running = Running::new(isa);
        let mut scores = [[[0.0; LANES]; CHUNK / LANES]; Q];
        let mut base = start - start % CHUNK;
        while base < end {
            let chunk = Chunk { base, end: CHUNK.min(end - base) };
            self.score::<I, Q, V>(isa, chunk, queries, query_scales, &mut scores);
            let mut seen = [(0, 0); Q];
            for q in 0..Q {
                let place = |position: usize| position.saturating_sub(base).min(CHUNK);
                seen[q] = (place(rows[q].start), place(rows[q].end));
            }
            let corrections = running.step(isa, &mut scores, chunk.vectors(), seen);
            self.add_values::<I, Q, V>(isa, chunk, &scores, corrections, rows);
            base += CHUNK;
        }
        for (q, row) in rows.into_iter().enumerate() {
            let total = isa.splat(running.total(isa, q));
            for part in self.out(row).chunks_mut(LANES) {
                // Adding +0 leaves no −0: which zeros were added on the way must not show.
                let quotient = isa.div(load_part(isa, part), total);
                store_part(isa, isa.add(quotient, isa.splat(0.0)), part);
            }
        }
    }

    #[inline(always)]
    fn out(&mut self, row: Row) -> &mut [f32] {
        &mut self.block.out.token(row.token)[row.column..][..self.block.head_dim]
    }

    /// Rotates and scales one query and clears its output. Returns the scale of its factors.
    #[inline(always)]
    fn prepare<I: Isa>(&mut self, isa: I, row: Row, factors: &mut [S::Factor]) -> f32 {
        self.out(row).fill(0.0);
        let head_dim = self.block.head_dim;
        let query = &mut self.block.queries.token(row.token)[row.column..][..head_dim];
        rope::rotate(isa, query, &self.block.rotary[row.token * head_dim..][..head_dim]);
        let scale = isa.splat(1.0 / libm::sqrtf(head_dim as f32));
        for part in query.chunks_mut(LANES) {
            store_part(isa, isa.mul(load_part(isa, part), scale), part);
        }
        S::query(isa, query, factors)
    }

    /// The scores of all rows with the positions of a chunk.
    #[inline(always)]
    fn score<I: Isa, const Q: usize, const V: usize>(
        &self,
        isa: I,
        chunk: Chunk,
        queries: &[[S::Factor; MAX_HEAD_DIM]; Q],
        query_scales: [f32; Q],
        scores: &mut [Scores; Q],
    ) {
        let stride = self.order.chunk(chunk.base) / LANES;
        let steps = self.block.head_dim / S::DEPTH;
        let keys = &self.keys[chunk.base / LANES * steps..][..steps * stride];
        let mut padded = [0.0; CHUNK];
        let key_scales = self.scales.map(|(keys, _)| padded_scales(keys, chunk, &mut padded));
        multiply::<I, S, Q, V, MAX_HEAD_DIM>(
            isa,
            queries,
            (keys, stride),
            chunk.vectors(),
            #[inline(always)]
            |q, column, sums| {
                for (&sum, column) in sums.iter().zip(column..) {
                    let key_scale = key_scales.map_or(isa.splat(1.0), |scales| isa.load(&scales[column]));
                    let score = S::to_f32(isa, sum, isa.mul(isa.splat(query_scales[q]), key_scale));
                    isa.store(score, &mut scores[q][column]);
                }
            },
        );
    }

    /// `out = out · correction + Σ weight · value` for all rows.
    #[inline(always)]
    fn add_values<I: Isa, const Q: usize, const V: usize>(
        &mut self,
        isa: I,
        chunk: Chunk,
        weights: &[Scores; Q],
        corrections: Lanes,
        rows: [Row; Q],
    ) {
        let mut padded = [0.0; CHUNK];
        let value_scales = self.scales.map(|(_, values)| padded_scales(values, chunk, &mut padded));
        let mut factors = [[S::NOTHING; CHUNK]; Q];
        let mut scales = [0.0; Q];
        for q in 0..Q {
            scales[q] = S::weights(isa, &weights[q][..chunk.vectors()], value_scales, &mut factors[q]);
        }
        let (lines, stride) = (chunk.end.div_ceil(S::DEPTH), self.order.width() / LANES);
        let values = &self.values[chunk.base / S::DEPTH * stride..][..lines * stride];
        multiply::<I, S, Q, V, CHUNK>(
            isa,
            &factors,
            (values, stride),
            stride,
            #[inline(always)]
            |q, column, sums| {
                let (full, rest) = self.out(rows[q])[column * LANES..].as_chunks_mut::<LANES>();
                let (scale, correction) = (isa.splat(scales[q]), isa.splat(corrections[q]));
                for (&sum, out) in sums.iter().zip(&mut *full) {
                    isa.store(isa.fma(isa.load(out), correction, S::to_f32(isa, sum, scale)), out);
                }
                if let Some(&sum) = sums.get(full.len()) {
                    store_part(isa, isa.fma(load_part(isa, rest), correction, S::to_f32(isa, sum, scale)), rest);
                }
            },
        );
    }
}

/// The scales of a chunk's positions, 0 where the tile sees none.
#[inline(always)]
fn padded_scales<'a>(scales: &'a [f32], chunk: Chunk, padded: &'a mut [f32; CHUNK]) -> &'a [Lanes] {
    let scales = &scales[chunk.base..];
    if chunk.end < CHUNK {
        padded[..chunk.end].copy_from_slice(&scales[..chunk.end]);
        return padded.as_chunks().0;
    }
    scales[..CHUNK].as_chunks().0
}
