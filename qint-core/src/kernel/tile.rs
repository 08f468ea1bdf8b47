//! Several tokens: a stretch of a panel is decoded into a [`Slab`], once, and multiplied with all tokens, a tile of up to
//! eight at a time. The f32 totals of a tile stay in registers within a slab and wait in the output between slabs.
use super::{
    Matmul,
    decode::Decode,
    panel::Panel,
    slab::{SLAB_COLS, Slab},
    stream::store_rows,
};
use crate::{
    activation::{Activations, SUM_COLS},
    isa::{Isa, Lanes, Step},
    layout::{PANEL_ROWS, VECTOR_BYTES},
};

#[inline(always)]
pub(super) fn matmul<I: Isa, D: Decode>(isa: I, mut job: Matmul<'_, '_>) {
    let layout = *job.matrix.layout();
    let mut slab = Slab::new();
    for panel in job.panels.clone() {
        let mut place = Place { panel, first_step: 0 };
        for part in Panel::new(job.matrix, panel).parts(&layout, SLAB_COLS) {
            slab.decode::<I, D>(isa, part, layout.group().cols() / SUM_COLS);
            all_tokens::<I, D>(isa, &mut job, &slab, place);
            place.first_step += slab.steps();
        }
    }
}

/// Where a slab comes from.
#[derive(Clone, Copy)]
struct Place {
    panel: usize,
    first_step: usize,
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

/// The tokens `first .. first + T`: totals out of the output, a slab further, and back.
#[inline(always)]
fn tile<I: Isa, D: Decode, const T: usize>(isa: I, job: &mut Matmul<'_, '_>, slab: &Slab, place: Place, first: usize) {
    let row = (place.panel - job.panels.start) * PANEL_ROWS;
    let mut totals = [isa.splat(0.0); T];
    if place.first_step > 0 {
        for (t, total) in totals.iter_mut().enumerate() {
            *total = isa.load(&load_rows(&job.out.token(first + t)[row..]));
        }
    }
    totals = add_slab::<I, D, T>(isa, job.x, slab, place.first_step, first, totals);
    if (place.first_step + slab.steps()) * SUM_COLS == job.x.padded_cols() {
        let row_scales = isa.load(&load_rows(&job.matrix.row_scales()[place.panel * PANEL_ROWS..]));
        for total in &mut totals {
            *total = isa.mul(*total, row_scales);
        }
    }
    for (t, total) in totals.into_iter().enumerate() {
        store_rows(isa, total, &mut job.out.token(first + t)[row..]);
    }
}

/// `totals` and, for each activation block of the slab, its integer sums times a.
#[inline(always)]
fn add_slab<I: Isa, D: Decode, const T: usize>(
    isa: I,
    x: &Activations<'_>,
    slab: &Slab,
    first_step: usize,
    first: usize,
    mut totals: [I::F32; T],
) -> [I::F32; T] {
    let block_steps = x.block().cols() / SUM_COLS;
    let blocks = slab.levels().chunks(block_steps).zip(slab.sub_scales().chunks(block_steps));
    for (block, (levels, sub_scales)) in blocks.enumerate() {
        let step = first_step + block * block_steps;
        let inputs = inputs::<T>(x, first, step, levels.len());
        let sums = dot_block::<I, D, T>(isa, levels, sub_scales, &inputs);
        for ((total, sum), input) in totals.iter_mut().zip(sums).zip(&inputs) {
            *total = isa.add(*total, isa.mul(isa.to_f32(sum), isa.splat(input.scale)));
        }
    }
    totals
}

/// The integer sums of one activation block.
#[inline(always)]
fn dot_block<I: Isa, D: Decode, const T: usize>(
    isa: I,
    levels: &[[[u8; VECTOR_BYTES]; 8]],
    sub_scales: &[[u8; PANEL_ROWS]],
    inputs: &[Input<'_>; T],
) -> [I::I32; T] {
    let steps = levels.len();
    let sub_scales = &sub_scales[..steps];
    let mut sums = [isa.zero(); T];
    for step in 0..steps {
        sums = isa.dot32::<D, T>(
            sums,
            #[inline(always)]
            |quad| isa.load_bytes(&levels[step][quad]),
            #[inline(always)]
            |t| Step { codes: &inputs[t].codes[step], sum: inputs[t].sums[step] },
            &sub_scales[step],
        );
    }
    sums
}

/// One token's activations in one block.
#[derive(Clone, Copy)]
struct Input<'x> {
    codes: &'x [[i8; SUM_COLS]],
    sums: &'x [i32],
    scale: f32,
}

/// Slices of one known length for the tokens `first .. first + T`: the loop over the steps checks no bounds.
#[inline(always)]
fn inputs<'x, const T: usize>(x: &Activations<'x>, first: usize, first_step: usize, steps: usize) -> [Input<'x>; T] {
    let (codes, _) = x.codes().as_chunks::<SUM_COLS>();
    let block_steps = x.block().cols() / SUM_COLS;
    let steps_per_token = x.padded_cols() / SUM_COLS;
    let blocks_per_token = steps_per_token.div_ceil(block_steps);
    let mut inputs = [Input { codes: &[], sums: &[], scale: 0.0 }; T];
    for (t, input) in inputs.iter_mut().enumerate() {
        let start = (first + t) * steps_per_token + first_step;
        *input = Input {
            codes: &codes[start..][..steps],
            sums: &x.sums()[start..][..steps],
            scale: x.scales()[(first + t) * blocks_per_token + first_step / block_steps],
        };
    }
    inputs
}

/// The first 16 rows of `rows`, or all of them and zeros.
#[inline(always)]
fn load_rows(rows: &[f32]) -> Lanes {
    match rows.first_chunk::<PANEL_ROWS>() {
        Some(lanes) => *lanes,
        None => core::array::from_fn(|row| rows.get(row).copied().unwrap_or(0.0)),
    }
}
