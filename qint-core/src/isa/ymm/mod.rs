//! The tokens of x86-64 CPUs with 256-bit registers: sixteen lanes are two of them. AVX2, FMA and F16C give all operations but
//! the products, which rest on one instruction, the token's [`Multiplier`]:
//!
//! | token | multiplier | CPUs |
//! |---|---|---|
//! | [`Avx2`] | `vpmaddubsw` | since 2013: Haswell, Excavator |
//! | [`AvxVnni`] | `vpdpbusd`, encoded as AVX-VNNI's (VEX) | desktops since 2021: Alder Lake, Zen 5 |
//! | [`AvxVnniEvex`] | `vpdpbusd`, encoded as AVX-512's (EVEX) | servers since 2019: Cascade Lake, Zen 4 |
//!
//! The last is there so that what AVX-VNNI does can be run and tested on the servers: it differs in the bytes of one
//! instruction.
mod dpbusd;
mod maddubs;
mod operations;

use super::{GroupInputs, GroupLevels, Isa, Lanes, LevelRange, Tile, features};
use core::arch::x86_64::{__m256, __m256i};
use dpbusd::Dpbusd;
use half::{bf16, f16};
use maddubs::Maddubs;

/// The proof that this CPU has AVX2, FMA, F16C and what the multiplier `M` needs. Only `detect` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ymm<M>(M);

/// AVX2, FMA and F16C.
pub type Avx2 = Ymm<Maddubs>;
/// AVX2, FMA, F16C and AVX-VNNI.
pub type AvxVnni = Ymm<Dpbusd<true>>;
/// AVX2, FMA, F16C and the 256-bit form of AVX-512-VNNI.
pub type AvxVnniEvex = Ymm<Dpbusd<false>>;

impl<M: Multiplier> Ymm<M> {
    /// What the token needs, in Rust's names of target features.
    pub const FEATURES: &'static [&'static str] = M::FEATURES;

    /// A token, if this CPU can do it. Without the `std` feature: if the program is compiled for such CPUs only.
    pub fn detect() -> Option<Ymm<M>> {
        // The features that `operations` enables for every token, whatever the multiplier lists.
        features::all(&["avx2", "fma", "f16c"]).then(|| M::detect().map(Ymm)).flatten()
    }
}

/// How a token multiplies levels with activations: one instruction, and what [`Isa`]'s methods of these names make of it.
pub trait Multiplier: Copy + Send + Sync + Sized {
    /// Everything that a token with this multiplier needs.
    const FEATURES: &'static [&'static str];
    /// Of [`Isa::SHIFTED_LEVELS`].
    const SHIFTED_LEVELS: bool;
    /// The proof that this CPU has the instruction.
    fn detect() -> Option<Self>;
    /// Of [`Isa::dot4`].
    fn dot4(isa: Ymm<Self>, sums: I32, unsigned: Bytes, signed: Bytes) -> I32;
    /// Of [`Isa::widen_sub_scales`].
    fn widen_sub_scales(isa: Ymm<Self>, sub_scales: &[u8; 16]) -> Bytes;
    /// Of [`Isa::offset`].
    fn offset(bias: i32, sum: i32) -> i32;
    /// Of [`Isa::dot_group`].
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        isa: Ymm<Self>,
        sums: &mut [[I32; T]; P],
        levels: &impl GroupLevels<Bytes, P>,
        x: &impl GroupInputs<T>,
    );
}

type F32 = [__m256; 2];
type I32 = [__m256i; 2];
type Bytes = [__m256i; 2];

impl<M: Multiplier> Isa for Ymm<M> {
    type F32 = F32;
    type I32 = I32;
    type Bytes = Bytes;
    const TILE: Tile = Tile::Small;
    const SHIFTED_LEVELS: bool = M::SHIFTED_LEVELS;
    const ROWS: usize = 4;

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
    fn store_f16(self, values: F32, to: &mut [f16; 16]) {
        let (halves, _) = to.as_chunks_mut::<8>();
        self.store_f16x8(self.narrow_to_f16(values[0]), &mut halves[0]);
        self.store_f16x8(self.narrow_to_f16(values[1]), &mut halves[1]);
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
    fn store_i16(self, values: I32, to: &mut [i16; 16]) {
        self.store_i16x16(self.narrow_to_i16(values), to);
    }
    #[inline(always)]
    fn load_pairs(self, values: &[i8; 32]) -> I32 {
        let (halves, _) = values.as_chunks::<16>();
        [self.widen_to_i16(&halves[0]), self.widen_to_i16(&halves[1])]
    }
    #[inline(always)]
    fn splat_pair(self, pair: [i16; 2]) -> I32 {
        [self.splat_i32(super::pair(pair)); 2]
    }
    #[inline(always)]
    fn dot2(self, sum: I32, a: I32, b: I32) -> I32 {
        let products = [self.multiply_add_i16(a[0], b[0]), self.multiply_add_i16(a[1], b[1])];
        self.add_i32(sum, products)
    }
    #[inline(always)]
    fn largest(self, a: F32) -> f32 {
        self.largest_f32(self.max_f32(a[0], a[1]))
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
    fn dot4(self, sums: I32, unsigned: Bytes, signed: Bytes) -> I32 {
        M::dot4(self, sums, unsigned, signed)
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
    fn widen_sub_scales(self, sub_scales: &[u8; 16]) -> Bytes {
        M::widen_sub_scales(self, sub_scales)
    }
    #[inline(always)]
    fn offset(bias: i32, sum: i32) -> i32 {
        M::offset(bias, sum)
    }
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        self,
        sums: &mut [[I32; T]; P],
        levels: impl GroupLevels<Bytes, P>,
        x: impl GroupInputs<T>,
    ) {
        M::dot_group::<R, P, T>(self, sums, &levels, &x);
    }
}
