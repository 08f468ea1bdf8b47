//! [`Isa::dot32`](crate::isa::Isa::dot32) for AVX2, on `vpmaddubsw`: 32 unsigned bytes times 32 signed bytes, neighbours
//! added to 16-bit numbers.
//!
//! ```text
//! for each quad (4 columns of 16 rows), for each token:
//!     pairs = vpmaddubsw(levels, x)                       16-bit sums of two products
//!     sums += vpmaddwd(pairs, sub_scales)                 32-bit sums of two pairs
//! sums += vpmaddwd(−BIAS · sub_scales, Σx)
//! ```
//!
//! 1. Unsigned levels of at most 127 times activations of at most 127 give pairs of at most 2 · 127 · 127 = 32,258 < 2¹⁵:
//!    nothing saturates.
//! 2. `vpmaddwd` adds the pairs to 32 bits anyway, so it multiplies with the sub-scale on the way instead of with ones.
//! 3. If eight pairs still fit 16 bits (levels of at most 16), they are added before `vpmaddwd`: seven of eight are saved.
//! 4. The bias comes off once per 32 columns. |Σx| ≤ 32 · 127 and |BIAS · sub_scale| ≤ 127 · 128 fit 16 bits.
//! 5. q8 spans 8 bits. There |level| is the unsigned factor (|−128| = 128 is fine: 2 · 128 · 127 = 32,512) and x takes the
//!    level's sign. No bias then.
//!
//! Intermediate 32-bit sums may wrap around; the final ones fit, so they are exact.
use super::{Avx2, Bytes, I32};
use crate::isa::{Isa, LevelRange, Step};
use core::arch::x86_64::__m256i;

#[inline(always)]
pub(super) fn dot32<'x, R: LevelRange, const T: usize>(
    isa: Avx2,
    sums: [I32; T],
    levels: impl Fn(usize) -> Bytes,
    x: impl Fn(usize) -> Step<'x>,
    sub_scales: &[u8; 16],
) -> [I32; T] {
    const { assert!(R::MAX <= 127 || R::BIAS == 128) };
    let sub_scales = isa.pairs_of_i8(sub_scales);
    if R::MAX > 127 {
        return signed(isa, sums, levels, x, sub_scales);
    }
    let sums = if 8 * 2 * 127 * R::MAX <= i16::MAX as i32 {
        narrow(isa, sums, levels, &x, sub_scales)
    } else {
        wide(isa, sums, levels, &x, sub_scales)
    };
    without_bias(isa, sums, R::BIAS, x, sub_scales)
}

/// Tricks 1 and 2.
#[inline(always)]
fn wide<'x, const T: usize>(
    isa: Avx2,
    mut sums: [I32; T],
    levels: impl Fn(usize) -> Bytes,
    x: impl Fn(usize) -> Step<'x>,
    sub_scales: I32,
) -> [I32; T] {
    for quad in 0..8 {
        let levels = levels(quad);
        for (t, sums) in sums.iter_mut().enumerate() {
            let x = isa.splat_quad(x(t).codes, quad);
            *sums = add_products(isa, *sums, multiply(isa, levels, [x, x]), sub_scales);
        }
    }
    sums
}

/// Tricks 1, 2 and 3.
#[inline(always)]
fn narrow<'x, const T: usize>(
    isa: Avx2,
    mut sums: [I32; T],
    levels: impl Fn(usize) -> Bytes,
    x: impl Fn(usize) -> Step<'x>,
    sub_scales: I32,
) -> [I32; T] {
    let mut pairs = [isa.zero(); T];
    for quad in 0..8 {
        let levels = levels(quad);
        for (t, pairs) in pairs.iter_mut().enumerate() {
            let x = isa.splat_quad(x(t).codes, quad);
            let more = multiply(isa, levels, [x, x]);
            *pairs = [isa.add_i16x16(pairs[0], more[0]), isa.add_i16x16(pairs[1], more[1])];
        }
    }
    for (sums, pairs) in sums.iter_mut().zip(pairs) {
        *sums = add_products(isa, *sums, pairs, sub_scales);
    }
    sums
}

/// Tricks 2 and 5.
#[inline(always)]
fn signed<'x, const T: usize>(
    isa: Avx2,
    mut sums: [I32; T],
    levels: impl Fn(usize) -> Bytes,
    x: impl Fn(usize) -> Step<'x>,
    sub_scales: I32,
) -> [I32; T] {
    for quad in 0..8 {
        let unsigned = levels(quad);
        let levels = [isa.minus_128(unsigned[0]), isa.minus_128(unsigned[1])];
        let magnitudes = [isa.magnitude_i8(levels[0]), isa.magnitude_i8(levels[1])];
        for (t, sums) in sums.iter_mut().enumerate() {
            let x = isa.splat_quad(x(t).codes, quad);
            let x = [isa.with_sign_of(x, levels[0]), isa.with_sign_of(x, levels[1])];
            *sums = add_products(isa, *sums, multiply(isa, magnitudes, x), sub_scales);
        }
    }
    sums
}

/// Trick 4.
#[inline(always)]
fn without_bias<'x, const T: usize>(
    isa: Avx2,
    mut sums: [I32; T],
    bias: i32,
    x: impl Fn(usize) -> Step<'x>,
    sub_scales: I32,
) -> [I32; T] {
    // Pairs (−BIAS · sub_scale, 0) meet the two halves of Σx as a 32-bit number.
    let bias = isa.splat_i32(-bias & 0xffff);
    let factors = [isa.multiply_i16(sub_scales[0], bias), isa.multiply_i16(sub_scales[1], bias)];
    for (t, sums) in sums.iter_mut().enumerate() {
        let x_sum = isa.splat_i32(x(t).sum);
        *sums = add_products(isa, *sums, [x_sum, x_sum], factors);
    }
    sums
}

/// Bytes times bytes, neighbours added to 16 bits.
#[inline(always)]
fn multiply(isa: Avx2, unsigned: Bytes, signed: [__m256i; 2]) -> I32 {
    [isa.multiply_add_u8_i8(unsigned[0], signed[0]), isa.multiply_add_u8_i8(unsigned[1], signed[1])]
}

/// `sums` and 16-bit `a` times `b`, neighbours added to 32 bits.
#[inline(always)]
fn add_products(isa: Avx2, sums: I32, a: I32, b: I32) -> I32 {
    [isa.add_i32x8(sums[0], isa.multiply_add_i16(a[0], b[0])), isa.add_i32x8(sums[1], isa.multiply_add_i16(a[1], b[1]))]
}
