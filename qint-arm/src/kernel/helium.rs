//! Cortex-M55: `helium*.s`, one token after the other; its stream; and the f32 parts of a product.
//!
//! ```text
//! for each group: [steps of 32 columns] [offset −bias · Σx]
//!     for each gather of 4 vectors of codes: for each field f: quads f, F + f, 2F + f, 3F + f of the gather, as bytes
//! [0] [0]
//! ```
//!
//! q8 alone has unsigned bytes, x + 128 ([`crate::prepared`] has the reason). A gather spans 16 · F columns: 16, 32, 64, 128. The last one of a group may have fewer vectors; then zeros are
//! gathered, and meet zeros.
#![allow(unsafe_code, reason = "assembly")]
use super::{Columns, Kernel, Panel, Stream, Sums, Words, columns::groups, linear};
use crate::float;
use core::{arch::global_asm, mem::MaybeUninit};
use qint_core::{
    activation::SUM_COLS,
    codec::{Codec, Group},
};

// Target features don't reach assembly outside functions, so it names its CPU.
global_asm!(
    concat!(
        ".cpu cortex-m55\n",
        include_str!("begin.s"),
        include_str!("helium.s"),
        include_str!("helium_narrow.s"),
        include_str!("helium_f32.s")
    ),
    options(raw)
);

panels! {
    qint_helium_q8 qint_helium_q8_corrected qint_helium_q4 qint_helium_q2 qint_helium_q4_linear qint_helium_q2_linear
    qint_helium_q1
}

// SAFETY: defined in helium_f32.s with these arguments, by the procedure call standard.
unsafe extern "C" {
    fn qint_helium_scale(_: *mut [f32; 16], _: *const Sums, a: u32);
    fn qint_helium_add_scaled(_: *mut [f32; 16], _: *const Sums, a: u32);
    fn qint_helium_outputs(y: *mut [f32; 16], sums: *const [f32; 16], a: u32, row_scales: *const [f32; 16]);
    fn qint_helium_absmax(x: *const f32, steps: usize) -> u32;
    fn qint_helium_round(x: *const f32, steps: usize, divisor: u32, codes: *mut [i8; 4], sums: *mut i32);
}

#[inline]
pub(crate) const fn choose(codec: Codec, _: usize) -> Kernel {
    let (panel, table): (Panel, &[u32]) = match codec {
        Codec::Q8 => (qint_helium_q8, &[]),
        Codec::Q4 => (qint_helium_q4, &Q4),
        Codec::Q4Linear => (qint_helium_q4_linear, &[]),
        Codec::Q2 => (qint_helium_q2, &Q2),
        Codec::Q2Linear => (qint_helium_q2_linear, &[]),
        Codec::Q1 => (qint_helium_q1, &[]),
    };
    Kernel { lanes: 1, stream: Stream::Helium, panel, table }
}

/// The level of the lowest field of every byte, four in a word.
static Q4: [u32; 64] = table(Codec::Q4);
static Q2: [u32; 64] = table(Codec::Q2);

const fn table(codec: Codec) -> [u32; 64] {
    let mut words = [0; 64];
    let mut byte = 0;
    while byte < 256 {
        words[byte / 4] |= (codec.level(byte as u8) as u8 as u32) << (byte % 4 * 8);
        byte += 1;
    }
    words
}

/// The kernel for the stream of q8 that takes corrections ([`crate::prepared`]).
pub(super) const CORRECTED: Panel = qint_helium_q8_corrected;

/// Words of the stream of `cols` columns.
pub(super) const fn words(codec: Codec, group: Group, cols: usize) -> usize {
    let (whole, rest) = (cols / group.cols(), cols % group.cols());
    let last = if rest == 0 { 0 } else { group_words(codec, rest) };
    2 + whole * group_words(codec, group.cols()) + last
}

const fn group_words(codec: Codec, cols: usize) -> usize {
    let fields = codec.fields();
    2 + cols.div_ceil(16 * fields) * 4 * fields
}

#[inline(never)]
pub(super) fn write(codec: Codec, group: Group, x: Columns<'_>, to: &mut Words<'_>) {
    let bias = match linear(codec) {
        Some((_, bias)) => bias,
        None => 0,
    };
    for (first, steps) in groups(x.steps, group.cols() / SUM_COLS) {
        to.put([steps as u32, (-bias * x.sum(first, steps, 0)).cast_unsigned()]);
        let (quads, stride) = x.strided(first, steps);
        match (codec, stride) {
            (Codec::Q8, 1) => gathers::<1, 1, 4>(quads, 0x80, to),
            (Codec::Q8, _) => gathers::<1, 4, 16>(quads, 0x80, to),
            (Codec::Q4Linear | Codec::Q4, 1) => gathers::<2, 1, 8>(quads, 0, to),
            (Codec::Q4Linear | Codec::Q4, _) => gathers::<2, 4, 32>(quads, 0, to),
            (Codec::Q2Linear | Codec::Q2, 1) => gathers::<4, 1, 16>(quads, 0, to),
            (Codec::Q2Linear | Codec::Q2, _) => gathers::<4, 4, 64>(quads, 0, to),
            (_, 1) => gathers::<8, 1, 32>(quads, 0, to),
            (_, _) => gathers::<8, 4, 128>(quads, 0, to),
        }
    }
    to.put([0; 2]);
}

/// Gathers of four vectors of F fields, or of those that are left. The token's quads are S apart: a gather spans
/// N = 4 · F · S. The bits of `flip` are flipped in every byte.
#[inline(never)]
fn gathers<const F: usize, const S: usize, const N: usize>(quads: &[[i8; 4]], flip: u8, to: &mut Words<'_>) {
    const { assert!(N == 4 * F * S) };
    let word = |quad: [i8; 4]| u32::from_le_bytes(quad.map(i8::cast_unsigned)) ^ u32::from_le_bytes([flip; 4]);
    let (whole, rest) = quads.as_chunks::<N>();
    for quads in whole {
        for field in 0..F {
            to.put::<4>(core::array::from_fn(|vector| word(quads[(vector * F + field) * S])));
        }
    }
    if !rest.is_empty() {
        for field in 0..F {
            to.put::<4>(core::array::from_fn(|vector| {
                rest.get((vector * F + field) * S).map_or(0, |quad| word(*quad))
            }));
        }
    }
}

/// 0.0 + (f32(sum) · a).
#[inline(always)]
pub(crate) fn scaled<'a>(totals: &'a mut MaybeUninit<[f32; 16]>, sums: &Sums, a: f32) -> &'a mut [f32; 16] {
    // SAFETY: sixteen are read and sixteen written.
    unsafe { qint_helium_scale(totals.as_mut_ptr(), sums, a.to_bits()) };
    // SAFETY: they were written.
    unsafe { totals.assume_init_mut() }
}

/// total + (f32(sum) · a). Vectors flush subnormal numbers, but there are none: sums are integers, and a is 0 or at least
/// 2⁻⁶⁷, which [`Inputs::expand`](crate::inputs::Inputs::expand) makes sure of.
#[inline(always)]
pub(crate) fn add_scaled(totals: &mut [f32; 16], sums: &Sums, a: f32) {
    // SAFETY: sixteen are read and sixteen written.
    unsafe { qint_helium_add_scaled(totals, sums, a.to_bits()) };
}

/// (0.0 + (f32(sum) · a)) · row_scale: the outputs, where there is only one activation block. The bits of `y` are the sums.
#[inline(always)]
pub(crate) fn outputs(y: &mut [f32; 16], a: f32, row_scales: &[f32; 16]) {
    // Of a from 2⁻⁶⁰ on, no product is subnormal: |sum| >= 1 and |row_scale| >= 2⁻⁶⁰, or one of them is 0.
    const MIN_SCALE: f32 = 1.0 / (1u64 << 60) as f32;
    if a >= MIN_SCALE {
        // SAFETY: sixteen are read and written.
        unsafe { qint_helium_outputs(y, y, a.to_bits(), row_scales) };
    } else {
        float::outputs_one_by_one(y, a, row_scales);
    }
}

/// The largest of the numbers' bits without their signs.
#[inline(always)]
pub(crate) fn absmax_bits(x: &[[f32; SUM_COLS]]) -> u32 {
    if x.is_empty() {
        return 0;
    }
    // SAFETY: there are as many steps, at least one.
    unsafe { qint_helium_absmax(x.as_ptr().cast(), x.len()) >> 1 }
}

/// round-half-even(x / divisor), and the sums of every 32, of one token; of as many steps as `sums` holds.
#[inline(always)]
pub(crate) fn round(x: &[[f32; SUM_COLS]], divisor: f32, codes: &mut [[i8; SUM_COLS]], sums: &mut [i32]) {
    let steps = x.len().min(codes.len()).min(sums.len());
    if steps > 0 {
        // SAFETY: all three hold as many steps, at least one.
        unsafe {
            qint_helium_round(
                x.as_ptr().cast(),
                steps,
                divisor.to_bits(),
                codes.as_mut_ptr().cast(),
                sums.as_mut_ptr(),
            );
        }
    }
}
