//! AVX2's multiplier, `vpmaddubsw`: 32 unsigned bytes times 32 signed bytes, neighbours added to 16-bit numbers.
//!
//! ```text
//! for each quad (4 columns of 16 rows), for each token:
//!     pairs = vpmaddubsw(levels, x)                       16-bit sums of two products
//!     sums += vpmaddwd(pairs, sub_scales)                 32-bit sums of two pairs
//! sums += vpmaddwd(−BIAS · sub_scales, Σx)                once per group
//! ```
//!
//! 1. Unsigned levels of at most 127 times activations of at most 127 give pairs of at most 2 · 127 · 127 = 32,258 < 2¹⁵:
//!    nothing saturates.
//! 2. `vpmaddwd` adds the pairs to 32 bits anyway, so it multiplies with the sub-scale on the way instead of with ones.
//! 3. Where several pairs fit 16 bits together (levels of at most 16), they are added before `vpmaddwd`: seven of eight are
//!    saved, and more with one bit.
//! 4. The bias comes off once per group. |Σx| ≤ 128 · 127 and |BIAS · sub_scale| ≤ 127 · 128 fit 16 bits.
//! 5. q8 spans 8 bits. There |level| is the unsigned factor (|−128| = 128 is fine: 2 · 128 · 127 = 32,512) and x takes the
//!    level's sign. No bias then.
//!
//! Intermediate 32-bit sums may wrap around; the final ones fit, so they are exact.
use super::{Avx2, Bytes, I32, Multiplier};
use crate::isa::{GroupInputs, GroupLevels, LevelRange, features};
use core::arch::x86_64::__m256i;

/// `vpmaddubsw` is part of AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maddubs(());

impl Multiplier for Maddubs {
    const FEATURES: &'static [&'static str] = &["avx2", "fma", "f16c"];
    const SHIFTED_LEVELS: bool = false;

    fn detect() -> Option<Maddubs> {
        features::all(Self::FEATURES).then_some(Maddubs(()))
    }
    #[inline(always)]
    fn dot4(isa: Avx2, sums: I32, unsigned: Bytes, signed: Bytes) -> I32 {
        let ones = isa.splat_i32(0x0001_0001);
        let dot = |unsigned, signed| isa.multiply_add_i16(isa.multiply_add_u8_i8(unsigned, signed), ones);
        [isa.add_i32x8(sums[0], dot(unsigned[0], signed[0])), isa.add_i32x8(sums[1], dot(unsigned[1], signed[1]))]
    }
    #[inline(always)]
    fn widen_sub_scales(isa: Avx2, sub_scales: &[u8; 16]) -> Bytes {
        isa.pairs_of_i8(sub_scales)
    }
    #[inline(always)]
    fn offset(_: i32, sum: i32) -> i32 {
        sum
    }
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        isa: Avx2,
        sums: &mut [[I32; T]; P],
        levels: &impl GroupLevels<Bytes, P>,
        x: &impl GroupInputs<T>,
    ) {
        for (p, sums) in sums.iter_mut().enumerate() {
            dot_panel::<R, P, T>(isa, sums, levels, p, x);
        }
    }
}

/// [`Isa::dot_group`](crate::isa::Isa::dot_group) for panel `p`.
#[inline(always)]
fn dot_panel<R: LevelRange, const P: usize, const T: usize>(
    isa: Avx2,
    sums: &mut [I32; T],
    levels: &impl GroupLevels<Bytes, P>,
    p: usize,
    x: &impl GroupInputs<T>,
) {
    const { assert!(R::MAX <= 127 || R::BIAS == 128) };
    let sub_scales = levels.sub_scales(p);
    let mut pairs = [[isa.splat_i32(0); 2]; T];
    // Trick 3: steps of 32 columns whose pairs fit 16 bits together; 0 if not even one does.
    let together = const { i16::MAX as i32 / (8 * 2 * 127 * R::MAX) } as usize;
    for step in 0..levels.steps() {
        for quad in 0..8 {
            let levels = levels.quad(p, step, quad);
            let factors = Factors::new::<R>(isa, levels);
            for t in 0..T {
                let products = factors.multiply::<R>(isa, isa.splat_quad(x.quad(t, step, quad)));
                if together == 0 {
                    sums[t] = add_products(isa, sums[t], products, sub_scales);
                } else {
                    pairs[t] = [isa.add_i16x16(pairs[t][0], products[0]), isa.add_i16x16(pairs[t][1], products[1])];
                }
            }
        }
        if together > 0 && ((step + 1).is_multiple_of(together.max(1)) || step + 1 == levels.steps()) {
            for t in 0..T {
                sums[t] = add_products(isa, sums[t], pairs[t], sub_scales);
                pairs[t] = [isa.splat_i32(0); 2];
            }
        }
    }
    if R::MAX <= 127 {
        without_bias(isa, sums, R::BIAS, x, sub_scales);
    }
}

/// The unsigned factors of a quad, and where the signs are for q8.
#[derive(Clone, Copy)]
struct Factors {
    unsigned: Bytes,
    signed: Bytes,
}

impl Factors {
    #[inline(always)]
    fn new<R: LevelRange>(isa: Avx2, levels: Bytes) -> Factors {
        if R::MAX <= 127 {
            return Factors { unsigned: levels, signed: levels };
        }
        let signed = [isa.minus_128(levels[0]), isa.minus_128(levels[1])];
        Factors { unsigned: [isa.magnitude_i8(signed[0]), isa.magnitude_i8(signed[1])], signed }
    }

    /// Tricks 1 and 5: bytes times bytes, neighbours added to 16 bits.
    #[inline(always)]
    fn multiply<R: LevelRange>(self, isa: Avx2, x: __m256i) -> I32 {
        let [low, high] = if R::MAX <= 127 {
            [x, x]
        } else {
            [isa.with_sign_of(x, self.signed[0]), isa.with_sign_of(x, self.signed[1])]
        };
        [isa.multiply_add_u8_i8(self.unsigned[0], low), isa.multiply_add_u8_i8(self.unsigned[1], high)]
    }
}

/// Trick 4.
#[inline(always)]
fn without_bias<const T: usize>(isa: Avx2, sums: &mut [I32; T], bias: i32, x: &impl GroupInputs<T>, sub_scales: I32) {
    // Pairs (−BIAS · sub_scale, 0) meet the two halves of Σx as a 32-bit number.
    let bias = isa.splat_i32(-bias & 0xffff);
    let factors = [isa.multiply_i16(sub_scales[0], bias), isa.multiply_i16(sub_scales[1], bias)];
    for (t, sums) in sums.iter_mut().enumerate() {
        let x_sum = isa.splat_i32(x.offset(t));
        *sums = add_products(isa, *sums, [x_sum, x_sum], factors);
    }
}

/// `sums` and 16-bit `a` times `b`, neighbours added to 32 bits (trick 2).
#[inline(always)]
fn add_products(isa: Avx2, sums: I32, a: I32, b: I32) -> I32 {
    [isa.add_i32x8(sums[0], isa.multiply_add_i16(a[0], b[0])), isa.add_i32x8(sums[1], isa.multiply_add_i16(a[1], b[1]))]
}
