//! The token of x86-64 servers since 2019 (Cascade Lake, Zen 4): AVX-512 with VNNI. Sixteen lanes are one 512-bit register.
//!
//! Products rest on `vpdpbusd` ([`vnni`](super::vnni)).
//!
//! 1. A tile of two panels and eight tokens has 16 accumulators: 2 loads of levels and 8 broadcasts feed 16 `vpdpbusd`.
//! 2. One `vpmulld` per group brings in the sub-scales. The sums of an activation block stay in the other 16 registers; with
//!    twelve tokens they would not fit, and storing them costs more than the larger tile saves.
mod operations;

use super::{
    GroupInputs, GroupLevels, Isa, Lanes, LevelRange, Tile, features,
    vnni::{self, Vnni},
    word,
};
use core::arch::x86_64::{__m512, __m512i};
use half::{bf16, f16};

/// The proof that this CPU has AVX-512 F, BW, VL and VNNI. Only [`Avx512Vnni::detect`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512Vnni(());

impl Avx512Vnni {
    /// What the token needs, in Rust's names of target features.
    pub const FEATURES: &'static [&'static str] = &["avx512f", "avx512bw", "avx512vl", "avx512vnni"];

    /// A token, if this CPU can do it. Without the `std` feature: if the program is compiled for such CPUs only.
    pub fn detect() -> Option<Avx512Vnni> {
        features::all(Self::FEATURES).then_some(Avx512Vnni(()))
    }
}

impl Isa for Avx512Vnni {
    type F32 = __m512;
    type I32 = __m512i;
    type Bytes = __m512i;
    const TILE: Tile = Tile::Large;
    const SHIFTED_LEVELS: bool = true;
    const ROWS: usize = 8;

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
    fn store_f16(self, values: __m512, to: &mut [f16; 16]) {
        self.store_f16x16(self.narrow_to_f16(values), to);
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
    fn store_i16(self, values: __m512i, to: &mut [i16; 16]) {
        self.store_i16x16(self.narrow_to_i16(values), to);
    }
    #[inline(always)]
    fn load_pairs(self, values: &[i8; 32]) -> __m512i {
        self.widen_to_i16(self.load_i8x32(values))
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> __m512i {
        self.splat_i32(super::pair(pair))
    }
    #[inline(always)]
    fn dot2(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        self.dot_pairs(sum, a, b)
    }
    #[inline(always)]
    fn largest(self, a: __m512) -> f32 {
        self.largest_f32(a)
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
    fn dot4(self, sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        Avx512Vnni::dot4(self, sums, unsigned, signed)
    }

    #[inline(always)]
    fn prefetch<T>(self, place: &T) {
        self.prefetch_into_l1(core::ptr::from_ref(place).cast());
    }
    #[inline(always)]
    fn prefetch_far<T: ?Sized>(self, place: &T, distance: usize) {
        self.prefetch_into_l2(core::ptr::from_ref(place).cast(), distance);
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
    fn widen_sub_scales(self, sub_scales: &[u8; 16]) -> __m512i {
        self.widen_i8(self.load_u8x16(sub_scales))
    }
    #[inline(always)]
    fn offset(bias: i32, sum: i32) -> i32 {
        vnni::offset(bias, sum)
    }
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        self,
        sums: &mut [[__m512i; T]; P],
        levels: impl GroupLevels<__m512i, P>,
        x: impl GroupInputs<T>,
    ) {
        vnni::dot_group::<_, R, P, T>(self, sums, &levels, &x);
    }
}

impl Vnni for Avx512Vnni {
    #[inline(always)]
    fn splat_lanes(self, value: i32) -> __m512i {
        self.splat_i32(value)
    }
    #[inline(always)]
    fn splat_quads(self, quad: [i8; 4]) -> __m512i {
        self.splat_i32(word(quad))
    }
    #[inline(always)]
    fn shift_right(self, sums: __m512i, count: i32) -> __m512i {
        self.shifted_i32(sums, count)
    }
    #[inline(always)]
    fn times(self, dots: __m512i, sub_scales: __m512i) -> __m512i {
        self.multiply_i32(dots, sub_scales)
    }
}
