//! The token of x86-64 servers since 2019 (Cascade Lake, Zen 4): AVX-512 with VNNI. Sixteen lanes are one 512-bit register.
//!
//! Products rest on `vpdpbusd`: per lane, four unsigned bytes times four signed ones, added to 32 bits. It wants unsigned
//! levels, which is what codecs decode to, q8 included; nothing saturates. The bias is where the sums of 32 columns start:
//! −BIAS · Σx, multiplied outside of the vector units, which are busy. One `vpmulld` per 32 columns brings in the sub-scales.
mod operations;

use super::{Isa, Lanes, LevelRange, Step};
use core::arch::x86_64::{__m512, __m512i};
use half::{bf16, f16};

/// The proof that this CPU has AVX-512 F, BW, VL and VNNI. Only [`Avx512Vnni::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Vnni(());

impl Avx512Vnni {
    /// A token, if this CPU can do it. Without the `std` feature: if the program is compiled for such CPUs only.
    pub fn detect() -> Option<Avx512Vnni> {
        #[cfg(feature = "std")]
        let found = std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512vnni");
        #[cfg(not(feature = "std"))]
        let found = cfg!(all(
            target_feature = "avx512f",
            target_feature = "avx512bw",
            target_feature = "avx512vl",
            target_feature = "avx512vnni"
        ));
        found.then_some(Avx512Vnni(()))
    }
}

impl Isa for Avx512Vnni {
    type F32 = __m512;
    type I32 = __m512i;
    type Bytes = __m512i;
    const TILE: usize = 8;

    #[inline(always)]
    fn run<R>(self, f: impl FnOnce() -> R) -> R {
        self.enter(f)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        self.splat_f32(value)
    }
    #[inline(always)]
    fn load(self, values: &Lanes) -> __m512 {
        self.load_f32(values)
    }
    #[inline(always)]
    fn store(self, values: __m512, to: &mut Lanes) {
        self.store_f32(values, to);
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        self.add_f32(a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        self.sub_f32(a, b)
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        self.mul_f32(a, b)
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        self.div_f32(a, b)
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        self.fma_f32(a, b, c)
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        self.max_f32(a, b)
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        self.min_f32(a, b)
    }
    #[inline(always)]
    fn round_to_i32(self, a: __m512) -> __m512i {
        self.round_f32(a)
    }
    #[inline(always)]
    fn to_f32(self, a: __m512i) -> __m512 {
        self.i32_to_f32(a)
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: __m512, exponent: __m512i) -> __m512 {
        self.add_exponent(a, exponent)
    }
    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> __m512 {
        self.widen_f16(self.load_f16x16(values))
    }
    #[inline(always)]
    fn load_bf16(self, values: &[bf16; 16]) -> __m512 {
        self.widen_bf16(self.load_bf16x16(values))
    }
    #[inline(always)]
    fn load_i8(self, values: &[i8; 16]) -> __m512 {
        self.i32_to_f32(self.widen_i8(self.load_i8x16(values)))
    }
    #[inline(always)]
    fn butterfly<const H: usize>(self, a: __m512) -> __m512 {
        const { assert!(H == 1 || H == 2 || H == 4 || H == 8) };
        self.butterfly_f32::<H>(a)
    }

    #[inline(always)]
    fn zero(self) -> __m512i {
        self.splat_i32(0)
    }
    #[inline(always)]
    fn add_i32(self, a: __m512i, b: __m512i) -> __m512i {
        self.add_i32x16(a, b)
    }
    #[inline(always)]
    fn max_i32(self, a: __m512i, b: __m512i) -> __m512i {
        self.max_i32x16(a, b)
    }
    #[inline(always)]
    fn store_i32(self, values: __m512i, to: &mut [i32; 16]) {
        self.store_i32x16(values, to);
    }
    #[inline(always)]
    fn store_i8(self, low: __m512i, high: __m512i, to: &mut [i8; 32]) {
        let (halves, _) = to.as_chunks_mut::<16>();
        self.store_i8x16(self.narrow_to_i8(low), &mut halves[0]);
        self.store_i8x16(self.narrow_to_i8(high), &mut halves[1]);
    }
    #[inline(always)]
    fn magnitude_bits(self, a: __m512) -> __m512i {
        self.without_sign(a)
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8; 64], distance: usize) {
        self.prefetch_line(bytes, distance);
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> __m512i {
        self.load_u8x64(bytes)
    }
    #[inline(always)]
    fn store_bytes(self, bytes: __m512i, to: &mut [u8; 64]) {
        self.store_u8x64(bytes, to);
    }
    #[inline(always)]
    fn field(self, bytes: __m512i, shift: i32, mask: u8) -> __m512i {
        self.masked(self.shifted(bytes, shift), mask)
    }
    #[inline(always)]
    fn lookup(self, table: &[u8; 16], indices: __m512i) -> __m512i {
        self.shuffle_bytes(self.load_u8x16(table), indices)
    }

    #[inline(always)]
    fn dot32<'x, R: LevelRange, const T: usize>(
        self,
        mut sums: [__m512i; T],
        levels: impl Fn(usize) -> __m512i,
        x: impl Fn(usize) -> Step<'x>,
        sub_scales: &[u8; 16],
    ) -> [__m512i; T] {
        let sub_scales = self.widen_i8(self.load_u8x16(sub_scales));
        let mut dots = [self.zero(); T];
        for (t, dot) in dots.iter_mut().enumerate() {
            *dot = self.splat_i32(-R::BIAS * x(t).sum);
        }
        for quad in 0..8 {
            let levels = levels(quad);
            for (t, dot) in dots.iter_mut().enumerate() {
                let (quads, _) = x(t).codes.as_chunks::<4>();
                *dot = self.dot4(*dot, levels, self.splat_i32(super::word(quads[quad])));
            }
        }
        for (sum, dot) in sums.iter_mut().zip(dots) {
            *sum = self.add_i32x16(*sum, self.multiply_i32(dot, sub_scales));
        }
        sums
    }
}
