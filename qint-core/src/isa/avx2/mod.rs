//! The token of x86-64 CPUs since 2013 (Haswell, Excavator): AVX2, FMA and F16C. Sixteen lanes are two 256-bit registers.
//!
//! Products rest on `vpmaddubsw`: 32 unsigned bytes times 32 signed bytes, neighbours added to 16-bit numbers.
//!
//! 1. Unsigned levels of at most 127 times activations of at most 127 give pairs of at most 2 · 127 · 127 = 32,258 < 2¹⁵:
//!    nothing saturates.
//! 2. `vpmaddwd` adds the pairs to 32 bits anyway, so it multiplies with the sub-scale on the way instead of with ones.
//! 3. If eight pairs still fit 16 bits (levels of at most 16), they are added before `vpmaddwd`: seven of eight are saved.
//! 4. The bias comes off once per 32 columns: −BIAS · sub_scale · Σx.
//! 5. q8 spans 8 bits. There |level| is the unsigned factor (|−128| = 128 is fine: 2 · 128 · 127 = 32,512) and x takes the
//!    level's sign. No bias then.
mod operations;

use super::{Isa, Lanes, LevelRange, Step};
use core::arch::x86_64::{__m256, __m256i};
use half::{bf16, f16};

/// The proof that this CPU has AVX2, FMA and F16C. Only [`Avx2::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// A token, if this CPU can do it. Without the `std` feature: if the program is compiled for such CPUs only.
    pub fn detect() -> Option<Avx2> {
        #[cfg(feature = "std")]
        let found = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("f16c");
        #[cfg(not(feature = "std"))]
        let found = cfg!(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"));
        found.then_some(Avx2(()))
    }
}

type F32 = [__m256; 2];
type I32 = [__m256i; 2];
type Bytes = [__m256i; 2];

impl Isa for Avx2 {
    type F32 = F32;
    type I32 = I32;
    type Bytes = Bytes;
    const TILE: usize = 4;

    #[inline(always)]
    fn run<R>(self, f: impl FnOnce() -> R) -> R {
        self.enter(f)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> F32 {
        [self.splat_f32(value); 2]
    }
    #[inline(always)]
    fn load(self, values: &Lanes) -> F32 {
        let (halves, _) = values.as_chunks::<8>();
        [self.load_f32(&halves[0]), self.load_f32(&halves[1])]
    }
    #[inline(always)]
    fn store(self, values: F32, to: &mut Lanes) {
        let (halves, _) = to.as_chunks_mut::<8>();
        self.store_f32(values[0], &mut halves[0]);
        self.store_f32(values[1], &mut halves[1]);
    }
    #[inline(always)]
    fn add(self, a: F32, b: F32) -> F32 {
        [self.add_f32(a[0], b[0]), self.add_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn sub(self, a: F32, b: F32) -> F32 {
        [self.sub_f32(a[0], b[0]), self.sub_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn mul(self, a: F32, b: F32) -> F32 {
        [self.mul_f32(a[0], b[0]), self.mul_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn div(self, a: F32, b: F32) -> F32 {
        [self.div_f32(a[0], b[0]), self.div_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn fma(self, a: F32, b: F32, c: F32) -> F32 {
        [self.fma_f32(a[0], b[0], c[0]), self.fma_f32(a[1], b[1], c[1])]
    }
    #[inline(always)]
    fn max(self, a: F32, b: F32) -> F32 {
        [self.max_f32(a[0], b[0]), self.max_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn min(self, a: F32, b: F32) -> F32 {
        [self.min_f32(a[0], b[0]), self.min_f32(a[1], b[1])]
    }
    #[inline(always)]
    fn round_to_i32(self, a: F32) -> I32 {
        [self.round_f32(a[0]), self.round_f32(a[1])]
    }
    #[inline(always)]
    fn to_f32(self, a: I32) -> F32 {
        [self.i32_to_f32(a[0]), self.i32_to_f32(a[1])]
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: F32, exponent: I32) -> F32 {
        [self.add_exponent(a[0], exponent[0]), self.add_exponent(a[1], exponent[1])]
    }
    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> F32 {
        let (halves, _) = values.as_chunks::<8>();
        [self.widen_f16(&halves[0]), self.widen_f16(&halves[1])]
    }
    #[inline(always)]
    fn load_bf16(self, values: &[bf16; 16]) -> F32 {
        let (halves, _) = values.as_chunks::<8>();
        [self.widen_bf16(&halves[0]), self.widen_bf16(&halves[1])]
    }
    #[inline(always)]
    fn load_i8(self, values: &[i8; 16]) -> F32 {
        self.to_f32(self.widen_i8(values))
    }
    #[inline(always)]
    fn butterfly<const H: usize>(self, a: F32) -> F32 {
        const { assert!(H == 1 || H == 2 || H == 4 || H == 8) };
        if H == 8 {
            [self.add_f32(a[0], a[1]), self.sub_f32(a[0], a[1])]
        } else {
            [self.butterfly_f32::<H>(a[0]), self.butterfly_f32::<H>(a[1])]
        }
    }

    #[inline(always)]
    fn zero(self) -> I32 {
        [self.splat_i32(0); 2]
    }
    #[inline(always)]
    fn add_i32(self, a: I32, b: I32) -> I32 {
        [self.add_i32x8(a[0], b[0]), self.add_i32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn max_i32(self, a: I32, b: I32) -> I32 {
        [self.max_i32x8(a[0], b[0]), self.max_i32x8(a[1], b[1])]
    }
    #[inline(always)]
    fn store_i32(self, values: I32, to: &mut [i32; 16]) {
        let (halves, _) = to.as_chunks_mut::<8>();
        self.store_i32x8(values[0], &mut halves[0]);
        self.store_i32x8(values[1], &mut halves[1]);
    }
    #[inline(always)]
    fn store_i8(self, low: I32, high: I32, to: &mut [i8; 32]) {
        self.store_i8x32(self.narrow_to_i8(low, high), to);
    }
    #[inline(always)]
    fn magnitude_bits(self, a: F32) -> I32 {
        [self.without_sign(a[0]), self.without_sign(a[1])]
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8; 64], distance: usize) {
        self.prefetch_line(bytes, distance);
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> Bytes {
        let (halves, _) = bytes.as_chunks::<32>();
        [self.load_u8x32(&halves[0]), self.load_u8x32(&halves[1])]
    }
    #[inline(always)]
    fn store_bytes(self, bytes: Bytes, to: &mut [u8; 64]) {
        let (halves, _) = to.as_chunks_mut::<32>();
        self.store_u8x32(bytes[0], &mut halves[0]);
        self.store_u8x32(bytes[1], &mut halves[1]);
    }
    #[inline(always)]
    fn field(self, bytes: Bytes, shift: i32, mask: u8) -> Bytes {
        [self.masked(self.shifted(bytes[0], shift), mask), self.masked(self.shifted(bytes[1], shift), mask)]
    }
    #[inline(always)]
    fn lookup(self, table: &[u8; 16], indices: Bytes) -> Bytes {
        [self.shuffle(table, indices[0]), self.shuffle(table, indices[1])]
    }

    #[inline(always)]
    fn dot32<'x, R: LevelRange, const T: usize>(
        self,
        sums: [I32; T],
        levels: impl Fn(usize) -> Bytes,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: &[u8; 16],
    ) -> [I32; T] {
        const { assert!(R::MAX <= 127 || R::BIAS == 128) };
        let sub_scales = self.pairs_of_i8(sub_scales);
        if R::MAX > 127 {
            return self.dot32_signed(sums, levels, x, sub_scales);
        }
        let sums = if 8 * 2 * 127 * R::MAX <= i16::MAX as i32 {
            self.dot32_narrow(sums, levels, &x, sub_scales)
        } else {
            self.dot32_wide(sums, levels, &x, sub_scales)
        };
        self.without_bias(sums, R::BIAS, x, sub_scales)
    }
}

impl Avx2 {
    /// Tricks 1 and 2.
    #[inline(always)]
    fn dot32_wide<'x, const T: usize>(
        self,
        mut sums: [I32; T],
        levels: impl Fn(usize) -> Bytes,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: I32,
    ) -> [I32; T] {
        for quad in 0..8 {
            let levels = levels(quad);
            for t in 0..T {
                let x = self.splat_quad(x(t).codes, quad);
                for half in 0..2 {
                    let pairs = self.multiply_add_u8_i8(levels[half], x);
                    sums[t][half] = self.add_i32x8(sums[t][half], self.multiply_add_i16(pairs, sub_scales[half]));
                }
            }
        }
        sums
    }

    /// Tricks 1, 2 and 3.
    #[inline(always)]
    fn dot32_narrow<'x, const T: usize>(
        self,
        mut sums: [I32; T],
        levels: impl Fn(usize) -> Bytes,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: I32,
    ) -> [I32; T] {
        let mut pairs = [self.zero(); T];
        for quad in 0..8 {
            let levels = levels(quad);
            for t in 0..T {
                let x = self.splat_quad(x(t).codes, quad);
                for half in 0..2 {
                    pairs[t][half] = self.add_i16x16(pairs[t][half], self.multiply_add_u8_i8(levels[half], x));
                }
            }
        }
        for t in 0..T {
            for half in 0..2 {
                let dots = self.multiply_add_i16(pairs[t][half], sub_scales[half]);
                sums[t][half] = self.add_i32x8(sums[t][half], dots);
            }
        }
        sums
    }

    /// Tricks 2 and 5.
    #[inline(always)]
    fn dot32_signed<'x, const T: usize>(
        self,
        mut sums: [I32; T],
        levels: impl Fn(usize) -> Bytes,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: I32,
    ) -> [I32; T] {
        for quad in 0..8 {
            let unsigned = levels(quad);
            let levels = [self.minus_128(unsigned[0]), self.minus_128(unsigned[1])];
            let magnitudes = [self.magnitude_i8(levels[0]), self.magnitude_i8(levels[1])];
            for t in 0..T {
                let x = self.splat_quad(x(t).codes, quad);
                for half in 0..2 {
                    let signed = self.with_sign_of(x, levels[half]);
                    let pairs = self.multiply_add_u8_i8(magnitudes[half], signed);
                    sums[t][half] = self.add_i32x8(sums[t][half], self.multiply_add_i16(pairs, sub_scales[half]));
                }
            }
        }
        sums
    }

    /// Trick 4. |Σx| ≤ 32 · 127 and |BIAS · sub_scale| ≤ 127 · 128 fit 16 bits.
    #[inline(always)]
    fn without_bias<'x, const T: usize>(
        self,
        mut sums: [I32; T],
        bias: i32,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: I32,
    ) -> [I32; T] {
        // Pairs (−BIAS · sub_scale, 0) meet the two halves of Σx as a 32-bit number.
        let bias = self.splat_i32(-bias & 0xffff);
        let factors = [self.multiply_i16(sub_scales[0], bias), self.multiply_i16(sub_scales[1], bias)];
        for t in 0..T {
            let x_sum = self.splat_i32(x(t).sum);
            for half in 0..2 {
                sums[t][half] = self.add_i32x8(sums[t][half], self.multiply_add_i16(factors[half], x_sum));
            }
        }
        sums
    }
}
