//! Several tokens: a stretch of some panels is decoded into a [`Slab`], once, and multiplied with all tokens, a tile of them at
//! a time. The f32 totals of a tile wait in the output between slabs.
use super::{
    Matmul,
    decode::Decode,
    panel::Panel,
    slab::{MAX_STEPS, SLAB_COLS, Slab, StepLevels},
    stream::store_rows,
};
use crate::{
    activation::{Activations, BlockOfTokens, SUM_COLS, StepBlock, TOKEN_BLOCK},
    isa::{GroupInputs, GroupLevels, Isa, Lanes, Tile},
    layout::{PANEL_ROWS, VECTOR_BYTES},
};
use core::array;

#[inline(always)]
pub(super) fn matmul<I: Isa, D: Decode>(isa: I, mut job: Matmul<'_, '_>) {
    let mut panel = job.panels.start;
    if const { matches!(I::TILE, Tile::Large) } {
        let mut slab = Slab::new();
        while job.panels.end - panel >= 2 {
            panels::<I, D, 2>(isa, &mut job, &mut slab, panel);
            panel += 2;
        }
    }
    if panel < job.panels.end {
        let mut slab = Slab::new();
        while panel < job.panels.end {
            panels::<I, D, 1>(isa, &mut job, &mut slab, panel);
            panel += 1;
        }
    }
}

/// `P` panels from `panel` on, and all tokens.
#[inline(always)]
fn panels<I: Isa, D: Decode, const P: usize>(isa: I, job: &mut Matmul<'_, '_>, slab: &mut Slab<P>, panel: usize) {
    let layout = *job.matrix.layout();
    let mut parts: [_; P] = array::from_fn(|p| Panel::new(job.matrix, panel + p).parts(&layout, SLAB_COLS));
    let group_steps = layout.group().cols() / SUM_COLS;
    let following = (panel + P) * layout.panel_bytes()..job.panels.end * layout.panel_bytes();
    let following = job.matrix.panels().get(following).unwrap_or_default();
    let mut following = following.chunks((P * layout.panel_bytes()).div_ceil(parts[0].len()));
    let mut place = Place { panel, first_step: 0, group_steps, ahead: &[] };
    for _ in 0..parts[0].len() {
        place.ahead = following.next().unwrap_or_default();
        for (p, part) in parts.iter_mut().enumerate() {
            if let Some(part) = part.next() {
                slab.decode::<I, D>(isa, p, part);
            }
        }
        all_tokens::<I, D, P>(isa, job, slab, place);
        place.first_step += slab.steps();
    }
}

/// Where a slab comes from.
#[derive(Clone, Copy)]
struct Place<'a> {
    panel: usize,
    first_step: usize,
    group_steps: usize,
    /// A share of the panels that are next, to be asked for meanwhile: with few tokens, memory is what takes longest.
    ahead: &'a [u8],
}

#[inline(always)]
fn all_tokens<I: Isa, D: Decode, const P: usize>(
    isa: I,
    job: &mut Matmul<'_, '_>,
    slab: &Slab<P>,
    mut place: Place<'_>,
) {
    let tokens = job.x.tokens();
    let mut token = 0;
    if const { matches!(I::TILE, Tile::Large) && P > 1 } {
        while tokens - token > 4 {
            tile::<I, D, P, 8, 2>(isa, job, slab, place, token);
            token = tokens.min(token + 8);
            place.ahead = &[];
        }
    }
    while token < tokens {
        tile::<I, D, P, 4, 1>(isa, job, slab, place, token);
        token = tokens.min(token + 4);
        place.ahead = &[];
    }
}

/// The `T` tokens, `B` blocks of four, from `first` on (those that there are): totals out of the output, a slab further, and
/// back.
#[inline(always)]
fn tile<I: Isa, D: Decode, const P: usize, const T: usize, const B: usize>(
    isa: I,
    job: &mut Matmul<'_, '_>,
    slab: &Slab<P>,
    place: Place<'_>,
    first: usize,
) {
    const { assert!(B * TOKEN_BLOCK == T) };
    let row = (place.panel - job.panels.start) * PANEL_ROWS;
    let present = T.min(job.x.tokens() - first);
    let mut totals = [[isa.splat(0.0); T]; P];
    if place.first_step > 0 {
        for t in 0..present {
            let rows = &job.out.token(first + t)[row..];
            for (p, totals) in totals.iter_mut().enumerate() {
                totals[t] = isa.load(&load_rows(&rows[p * PANEL_ROWS..]));
            }
        }
    }
    isa.run(
        #[inline(always)]
        || add_slab::<I, D, P, T, B>(isa, job.x, slab, place, first, &mut totals),
    );
    if (place.first_step + slab.steps()) * SUM_COLS == job.x.padded_cols() {
        for (p, totals) in totals.iter_mut().enumerate() {
            let row_scales = isa.load(&load_rows(&job.matrix.row_scales()[(place.panel + p) * PANEL_ROWS..]));
            for total in totals {
                *total = isa.mul(*total, row_scales);
            }
        }
    }
    for t in 0..present {
        let rows = &mut job.out.token(first + t)[row..];
        for (p, totals) in totals.iter().enumerate() {
            store_rows(isa, totals[t], &mut rows[p * PANEL_ROWS..]);
        }
    }
}

/// Adds, for each activation block of the slab, its integer sums times a.
#[inline(always)]
fn add_slab<I: Isa, D: Decode, const P: usize, const T: usize, const B: usize>(
    isa: I,
    x: &Activations<'_>,
    slab: &Slab<P>,
    place: Place<'_>,
    first: usize,
    totals: &mut [[I::F32; T]; P],
) {
    let block_steps = x.block().cols() / SUM_COLS;
    let (blocks, first_block) = (slab.steps().div_ceil(block_steps), place.first_step / block_steps);
    let inputs: [BlockOfTokens<'_>; B] = array::from_fn(|b| {
        let steps = place.first_step..place.first_step + slab.steps();
        x.block_of_tokens(first / TOKEN_BLOCK + b).part(steps, first_block..first_block + blocks)
    });
    let offsets = offsets::<I, D, T, B>(&inputs, place.group_steps);
    let mut groups = slab.sub_scales().iter().zip(&offsets);
    let mut ahead = place.ahead.chunks(VECTOR_BYTES);
    let lines = ahead.len().div_ceil(slab.sub_scales().len());
    let mut step = 0;
    for block in 0..blocks {
        let mut sums = [[isa.zero(); T]; P];
        for (sub_scales, offsets) in groups.by_ref().take(block_steps / place.group_steps) {
            for line in ahead.by_ref().take(lines) {
                isa.prefetch_far(line, 0);
            }
            let next = slab.steps().min(step + place.group_steps);
            let levels = &slab.levels()[step..next];
            let codes: [&[StepBlock]; B] = array::from_fn(|b| &inputs[b].codes[step..next]);
            isa.dot_group::<D, P, T>(&mut sums, Decoded { isa, levels, sub_scales }, Tokens { codes, offsets });
            step = next;
        }
        for t in 0..T {
            let a = isa.splat(inputs[t / TOKEN_BLOCK].scales[block][t % TOKEN_BLOCK]);
            for p in 0..P {
                totals[p][t] = isa.add(totals[p][t], isa.mul(isa.to_f32(sums[p][t]), a));
            }
        }
    }
}

/// The sums over each group of a slab, as the CPU wants them.
#[inline(always)]
fn offsets<I: Isa, D: Decode, const T: usize, const B: usize>(
    inputs: &[BlockOfTokens<'_>; B],
    group_steps: usize,
) -> [[i32; T]; MAX_STEPS] {
    let mut offsets = [[0; T]; MAX_STEPS];
    // 4 % of a product on AVX-VNNI; with large tiles the general way is as fast.
    if const { matches!(I::TILE, Tile::Small) } && group_steps == 1 {
        for (b, input) in inputs.iter().enumerate() {
            for (offsets, sums) in offsets.iter_mut().zip(input.sums) {
                for (t, sum) in sums.iter().enumerate() {
                    offsets[b * TOKEN_BLOCK + t] = I::offset(D::BIAS, *sum);
                }
            }
        }
        return offsets;
    }
    let shift = group_steps.ilog2();
    for (b, input) in inputs.iter().enumerate() {
        for (step, sums) in input.sums.iter().enumerate().take(MAX_STEPS) {
            let offsets = &mut offsets[(step >> shift) % MAX_STEPS];
            for (t, sum) in sums.iter().enumerate() {
                offsets[b * TOKEN_BLOCK + t] += I::offset(D::BIAS, *sum);
            }
        }
    }
    offsets
}

/// A group out of a slab.
struct Decoded<'a, I, const P: usize> {
    isa: I,
    levels: &'a [[StepLevels; P]],
    sub_scales: &'a [[u8; VECTOR_BYTES]; P],
}

impl<I: Isa, const P: usize> GroupLevels<I::Bytes, P> for Decoded<'_, I, P> {
    #[inline(always)]
    fn steps(&self) -> usize {
        self.levels.len()
    }
    #[inline(always)]
    fn quad(&self, panel: usize, step: usize, quad: usize) -> I::Bytes {
        self.isa.load_bytes(&self.levels[step][panel][quad])
    }
    #[inline(always)]
    fn sub_scales(&self, panel: usize) -> I::Bytes {
        self.isa.load_bytes(&self.sub_scales[panel])
    }
}

/// A group of the columns of some blocks of tokens.
struct Tokens<'a, const T: usize, const B: usize> {
    codes: [&'a [StepBlock]; B],
    offsets: &'a [i32; T],
}

impl<const T: usize, const B: usize> GroupInputs<T> for Tokens<'_, T, B> {
    #[inline(always)]
    fn quad(&self, token: usize, step: usize, quad: usize) -> [i8; 4] {
        self.codes[token / TOKEN_BLOCK][step][quad][token % TOKEN_BLOCK]
    }
    #[inline(always)]
    fn offset(&self, token: usize) -> i32 {
        self.offsets[token]
    }
}

/// The first 16 rows of `rows`, or all of them and zeros.
#[inline(always)]
fn load_rows(rows: &[f32]) -> Lanes {
    match rows.first_chunk::<PANEL_ROWS>() {
        Some(lanes) => *lanes,
        None => array::from_fn(|row| rows.get(row).copied().unwrap_or(0.0)),
    }
}
