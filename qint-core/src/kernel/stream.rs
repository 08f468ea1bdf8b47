//! One token: a stream over the panels. Codes go from memory through registers into sums, decoded once and kept nowhere.
use super::{Matmul, decode::Decode, panel::Panel};
use crate::{
    activation::{Activations, SUM_COLS},
    isa::{Isa, Step},
    layout::{Layout, PANEL_ROWS},
};

/// How far ahead of the codes in use memory is asked for: narrow codecs gain half as much again, 1 KiB and 4 KiB are slower.
const PREFETCH_BYTES: usize = 2048;

#[inline(always)]
pub(super) fn matmul<I: Isa, D: Decode>(isa: I, job: Matmul<'_, '_>) {
    let Matmul { matrix, x, panels, out } = job;
    let row_scales = &matrix.row_scales()[panels.start * PANEL_ROWS..];
    let (row_scales, _) = row_scales.as_chunks::<PANEL_ROWS>();
    for ((index, row_scales), out) in panels.zip(row_scales).zip(out.token(0).chunks_mut(PANEL_ROWS)) {
        let total = panel_dot::<I, D>(isa, matrix.layout(), Panel::new(matrix, index), x);
        let y = isa.mul(total, isa.load(row_scales));
        store_rows(isa, y, out);
    }
}

/// Stores as many lanes as `out` has rows, at most 16.
#[inline(always)]
pub(super) fn store_rows<I: Isa>(isa: I, values: I::F32, out: &mut [f32]) {
    match out.first_chunk_mut::<PANEL_ROWS>() {
        Some(out) => isa.store(values, out),
        None => {
            let mut lanes = [0.0; PANEL_ROWS];
            isa.store(values, &mut lanes);
            for (out, lane) in out.iter_mut().zip(lanes) {
                *out = lane;
            }
        }
    }
}

/// Σ over activation blocks, before the row scales.
#[inline(always)]
fn panel_dot<I: Isa, D: Decode>(isa: I, layout: &Layout, panel: Panel<'_>, x: &Activations<'_>) -> I::F32 {
    let cols = x.block().cols();
    let (steps, _) = x.codes().as_chunks::<SUM_COLS>();
    let blocks = steps.chunks(cols / SUM_COLS).zip(x.sums().chunks(cols / SUM_COLS)).zip(x.scales());
    let group_steps = layout.group().cols() / SUM_COLS;

    let mut total = isa.splat(0.0);
    for (part, ((x, x_sums), &a)) in panel.parts(layout, cols).zip(blocks) {
        let sum = block_dot::<I, D>(isa, part, group_steps, x, x_sums);
        total = isa.add(total, isa.mul(isa.to_f32(sum), isa.splat(a)));
    }
    total
}

/// The integer sums of one activation block.
#[inline(always)]
fn block_dot<I: Isa, D: Decode>(
    isa: I,
    part: Panel<'_>,
    group_steps: usize,
    x: &[[i8; SUM_COLS]],
    x_sums: &[i32],
) -> I::I32 {
    let codes = part.codes.chunks(group_steps * D::VECTORS);
    let x = x.chunks(group_steps).zip(x_sums.chunks(group_steps));
    let mut sum = isa.zero();
    for ((sub_scales, codes), (x, x_sums)) in part.sub_scales.iter().zip(codes).zip(x) {
        for (codes, (x, &x_sum)) in codes.chunks_exact(D::VECTORS).zip(x.iter().zip(x_sums)) {
            for line in codes {
                isa.prefetch(line, PREFETCH_BYTES);
            }
            [sum] = isa.dot32::<D, 1>(
                [sum],
                #[inline(always)]
                |quad| D::decode(isa, isa.load_bytes(&codes[quad / D::FIELDS]), quad % D::FIELDS),
                #[inline(always)]
                |_| Step { codes: x, sum: x_sum },
                sub_scales,
            );
        }
    }
    sum
}
