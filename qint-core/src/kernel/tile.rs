//! Several tokens: one activation block of a panel is decoded into a buffer, once, and multiplied with all tokens, a tile
//! of up to eight at a time. The f32 totals wait in the output between the blocks.
use super::{Matmul, decode::Decode, panel::Panel, stream::store_rows};
use crate::{
    activation::{ActivationBlock, SUM_COLS},
    isa::{Isa, Lanes, Step},
    layout::{PANEL_ROWS, VECTOR_BYTES},
};

/// Steps of 32 columns in the longest activation block.
const MAX_STEPS: usize = ActivationBlock::B1024.cols() / SUM_COLS;

/// One panel's part of one activation block, decoded: 16 KiB of levels for the longest.
struct Slab {
    /// Eight quads of unsigned levels per step.
    levels: [[[u8; VECTOR_BYTES]; 8]; MAX_STEPS],
    sub_scales: [[u8; PANEL_ROWS]; MAX_STEPS],
    steps: usize,
}

#[inline(always)]
pub(super) fn matmul<I: Isa, D: Decode>(isa: I, mut job: Matmul<'_, '_>) {
    let layout = *job.matrix.layout();
    let mut slab =
        Slab { levels: [[[0; VECTOR_BYTES]; 8]; MAX_STEPS], sub_scales: [[0; PANEL_ROWS]; MAX_STEPS], steps: 0 };
    for index in job.panels.clone() {
        let parts = Panel::new(job.matrix, index).parts(&layout, job.x.block().cols());
        let blocks = parts.len();
        for (block, part) in parts.enumerate() {
            slab.decode::<I, D>(isa, part, layout.group().cols() / SUM_COLS);
            all_tokens::<I, D>(isa, &mut job, &slab, Place { panel: index, block, blocks });
        }
    }
}

/// Which part of the product a slab is.
#[derive(Clone, Copy)]
struct Place {
    panel: usize,
    block: usize,
    blocks: usize,
}

impl Slab {
    #[inline(always)]
    fn decode<I: Isa, D: Decode>(&mut self, isa: I, part: Panel<'_>, group_steps: usize) {
        let steps = part.codes.chunks_exact(D::VECTORS);
        self.steps = steps.len();
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
}

#[inline(always)]
fn all_tokens<I: Isa, D: Decode>(isa: I, job: &mut Matmul<'_, '_>, slab: &Slab, place: Place) {
    let tokens = job.x.tokens();
    let mut token = 0;
    if I::TILE >= 8 {
        while tokens - token >= 8 {
            tile::<I, D, 8>(isa, job, slab, place, token);
            token += 8;
        }
    }
    while tokens - token >= 4 {
        tile::<I, D, 4>(isa, job, slab, place, token);
        token += 4;
    }
    match tokens - token {
        3 => tile::<I, D, 3>(isa, job, slab, place, token),
        2 => tile::<I, D, 2>(isa, job, slab, place, token),
        1 => tile::<I, D, 1>(isa, job, slab, place, token),
        _ => {}
    }
}

/// The tokens `first .. first + T`.
#[inline(always)]
fn tile<I: Isa, D: Decode, const T: usize>(isa: I, job: &mut Matmul<'_, '_>, slab: &Slab, place: Place, first: usize) {
    let sums = tile_dot::<I, D, T>(isa, job, slab, place.block, first);
    let row_scales = &job.matrix.row_scales()[place.panel * PANEL_ROWS..];
    let rows = (place.panel - job.panels.start) * PANEL_ROWS;
    for (token, sum) in (first..).zip(sums) {
        let a = job.x.scales()[token * place.blocks + place.block];
        let out = &mut job.out.token(token)[rows..];
        let before = if place.block == 0 { isa.splat(0.0) } else { isa.load(&load_rows(out)) };
        let mut total = isa.add(before, isa.mul(isa.to_f32(sum), isa.splat(a)));
        if place.block + 1 == place.blocks {
            total = isa.mul(total, isa.load(&load_rows(row_scales)));
        }
        store_rows(isa, total, out);
    }
}

/// The integer sums of `T` tokens.
#[inline(always)]
fn tile_dot<I: Isa, D: Decode, const T: usize>(
    isa: I,
    job: &Matmul<'_, '_>,
    slab: &Slab,
    block: usize,
    first: usize,
) -> [I::I32; T] {
    let steps = slab.steps.min(MAX_STEPS);
    let steps_per_token = job.x.padded_cols() / SUM_COLS;
    let (codes, _) = job.x.codes().as_chunks::<SUM_COLS>();
    // Slices of one known length: the loop below needs no bounds check.
    let mut x: [(&[[i8; SUM_COLS]], &[i32]); T] = [(&[], &[]); T];
    for (token, x) in (first..).zip(&mut x) {
        let start = token * steps_per_token + block * (job.x.block().cols() / SUM_COLS);
        *x = (&codes[start..][..steps], &job.x.sums()[start..][..steps]);
    }
    let levels = &slab.levels[..steps];
    let sub_scales = &slab.sub_scales[..steps];

    let mut sums = [isa.zero(); T];
    for step in 0..steps {
        sums = isa.dot32::<D, T>(
            sums,
            #[inline(always)]
            |quad| isa.load_bytes(&levels[step][quad]),
            #[inline(always)]
            |t| Step { codes: &x[t].0[step], sum: x[t].1[step] },
            &sub_scales[step],
        );
    }
    sums
}

/// The first 16 rows of `rows`, or all of them and zeros.
#[inline(always)]
fn load_rows(rows: &[f32]) -> Lanes {
    match rows.first_chunk::<PANEL_ROWS>() {
        Some(lanes) => *lanes,
        None => core::array::from_fn(|row| rows.get(row).copied().unwrap_or(0.0)),
    }
}
