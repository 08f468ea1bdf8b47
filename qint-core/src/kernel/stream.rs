//! One token: a stream over the panels. Codes go from memory through registers into sums, decoded once and kept nowhere.
use super::{
    Matmul,
    decode::{Decode, Streamed},
    panel::Panel,
};
use crate::{
    activation::{Activations, SUM_COLS},
    codec::Group,
    isa::{GroupInputs, GroupLevels, Isa},
    layout::{Layout, PANEL_ROWS, VECTOR_BYTES},
};
use core::marker::PhantomData;

/// Groups whose offsets are worked out once per product: 16,384 columns in groups of 32.
const OFFSETS: usize = 512;

#[inline(always)]
pub(super) fn matmul<I: Isa, D: Decode>(isa: I, job: Matmul<'_, '_>) {
    match job.matrix.layout().group() {
        Group::G32 => panels::<I, D, 1>(isa, job),
        Group::G64 => panels::<I, D, 2>(isa, job),
        Group::G128 => panels::<I, D, 4>(isa, job),
    }
}

/// With groups of `STEPS` · 32 columns.
#[inline(always)]
fn panels<I: Isa, D: Decode, const STEPS: usize>(isa: I, job: Matmul<'_, '_>) {
    let Matmul { matrix, x, panels, out } = job;
    let row_scales = &matrix.row_scales()[panels.start * PANEL_ROWS..];
    let (row_scales, _) = row_scales.as_chunks::<PANEL_ROWS>();
    let mut offsets = Offsets::<STEPS>::new::<I, D>(x.single().1);
    for ((index, row_scales), out) in panels.zip(row_scales).zip(out.token(0).chunks_mut(PANEL_ROWS)) {
        let total = panel_dot::<I, D, STEPS>(isa, matrix.layout(), Panel::new(matrix, index), x, &mut offsets);
        let y = isa.mul(total, isa.load(row_scales));
        store_rows(isa, y, out);
    }
}

/// What [`Isa::offset`] makes of the sums of every group; of a long row, of one activation block after the other.
struct Offsets<'a, const STEPS: usize> {
    sums: &'a [i32],
    values: [i32; OFFSETS],
    all: bool,
}

impl<'a, const STEPS: usize> Offsets<'a, STEPS> {
    #[inline(always)]
    fn new<I: Isa, D: Decode>(sums: &'a [i32]) -> Offsets<'a, STEPS> {
        let all = sums.len().div_ceil(STEPS) <= OFFSETS;
        let mut offsets = Offsets { sums, values: [0; OFFSETS], all };
        if all {
            offsets.fill::<I, D>(0);
        }
        offsets
    }

    /// From group `first` on.
    #[inline(always)]
    fn fill<I: Isa, D: Decode>(&mut self, first: usize) {
        let sums = self.sums[first * STEPS..].chunks(STEPS);
        for (offset, sums) in self.values.iter_mut().zip(sums) {
            *offset = I::offset(D::BIAS, sums.iter().sum());
        }
    }

    /// Those of an activation block, from group `first` on.
    #[inline(always)]
    fn block<I: Isa, D: Decode>(&mut self, first: usize) -> &[i32] {
        if self.all {
            return &self.values[first..];
        }
        self.fill::<I, D>(first);
        &self.values
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
fn panel_dot<I: Isa, D: Decode, const STEPS: usize>(
    isa: I,
    layout: &Layout,
    panel: Panel<'_>,
    x: &Activations<'_>,
    offsets: &mut Offsets<'_, STEPS>,
) -> I::F32 {
    // The CPU fetches ahead as long as lines are read one after the other. The sub-scales come first in a panel but are read
    // beside its codes: asked for here, all at once, they keep the order; without this, half of the bandwidth is lost.
    for line in panel.sub_scales.iter().step_by(VECTOR_BYTES / PANEL_ROWS) {
        isa.prefetch(line);
    }
    let cols = x.block().cols();
    let (codes, _, scales) = x.single();
    let mut total = isa.splat(0.0);
    let mut first_group = 0;
    for (part, (codes, &a)) in panel.parts(layout, cols).zip(codes.chunks(cols / SUM_COLS).zip(scales)) {
        let mut sum = [[isa.zero()]];
        let offsets = offsets.block::<I, D>(first_group);
        let (vectors, codes) = (part.codes.chunks_exact(STEPS * D::VECTORS), codes.chunks_exact(STEPS));
        let last = (vectors.remainder(), codes.remainder());
        for (((vectors, codes), sub_scales), &offset) in vectors.zip(codes).zip(part.sub_scales).zip(offsets) {
            let levels = Vectors { isa, vectors, sub_scales, decoder: PhantomData::<D> };
            isa.dot_group::<Streamed<I, D>, 1, 1>(&mut sum, levels, Single { codes, offset });
        }
        if let ([_, ..], Some((sub_scales, before))) = (last.0, part.sub_scales.split_last()) {
            let levels = Vectors { isa, vectors: last.0, sub_scales, decoder: PhantomData::<D> };
            let x = Single { codes: last.1, offset: offsets[before.len()] };
            isa.dot_group::<Streamed<I, D>, 1, 1>(&mut sum, levels, x);
        }
        first_group += part.sub_scales.len();
        total = isa.add(total, isa.mul(isa.to_f32(sum[0][0]), isa.splat(a)));
    }
    total
}

/// A group of one panel, decoded as it comes out of memory.
struct Vectors<'a, I, D> {
    isa: I,
    vectors: &'a [[u8; VECTOR_BYTES]],
    sub_scales: &'a [u8; PANEL_ROWS],
    decoder: PhantomData<D>,
}

impl<I: Isa, D: Decode> GroupLevels<I::Bytes, 1> for Vectors<'_, I, D> {
    #[inline(always)]
    fn steps(&self) -> usize {
        self.vectors.len() / D::VECTORS
    }
    #[inline(always)]
    fn quad(&self, _: usize, step: usize, quad: usize) -> I::Bytes {
        let vector = &self.vectors[step * D::VECTORS + quad / D::FIELDS];
        let codes = self.isa.load_bytes(vector);
        if I::SHIFTED_LEVELS {
            D::decode_shifted(self.isa, codes, quad % D::FIELDS)
        } else {
            D::decode(self.isa, codes, quad % D::FIELDS)
        }
    }
    #[inline(always)]
    fn sub_scales(&self, _: usize) -> I::Bytes {
        self.isa.widen_sub_scales(self.sub_scales)
    }
}

/// One token's columns.
struct Single<'a> {
    codes: &'a [[i8; SUM_COLS]],
    offset: i32,
}

impl GroupInputs<1> for Single<'_> {
    #[inline(always)]
    fn quad(&self, _: usize, step: usize, quad: usize) -> [i8; 4] {
        self.codes[step].as_chunks::<4>().0[quad]
    }
    #[inline(always)]
    fn offset(&self, _: usize) -> i32 {
        self.offset
    }
}
