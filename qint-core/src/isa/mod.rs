//! One token type per kind of CPU. A value is the proof that this CPU can do it.
//!
//! [`Isa`] names a few dozen operations on sixteen lanes of 32 bits: a lane is a row of a panel, a column of an
//! activation vector, or one of sixteen strided partial sums. Kernels are written once, generic over `Isa`, and enter the
//! CPU's world once per call through [`Isa::run`]; everything below is `#[inline(always)]`.
//!
//! All operations give the same bits on every token.
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod features;
#[cfg(target_arch = "x86_64")]
mod operations;
mod portable;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod ymm;

#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512Vnni;
pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use ymm::{Avx2, AvxVnni, AvxVnniEvex};

/// Sixteen f32.
pub type Lanes = [f32; 16];

/// Which numbers a codec's levels become once they are made unsigned: `level + BIAS` lies in 0..=`MAX`.
pub trait LevelRange {
    /// Added to every level.
    const BIAS: i32;
    /// The largest biased level, at most 255. Multipliers that saturate need to know it.
    const MAX: i32;
    /// Biased levels of quad q come multiplied with 2^`SHIFTS[q % 4]`. Only a single token on a token with
    /// [`Isa::SHIFTED_LEVELS`] sees other shifts than 0; at least one is 0.
    const SHIFTS: [i32; 4] = [0; 4];
    /// An entry of `SHIFTS` that is 0.
    const UNSHIFTED: usize = {
        let mut index = 0;
        while Self::SHIFTS[index] != 0 {
            index += 1;
        }
        index
    };
}

/// The levels and sub-scales of one group of columns in `P` panels.
pub trait GroupLevels<B, const P: usize> {
    /// Steps of 32 columns.
    fn steps(&self) -> usize;
    /// Biased levels: 4 columns (quad 0..8 of a step) of 16 rows.
    fn quad(&self, panel: usize, step: usize, quad: usize) -> B;
    /// What [`Isa::widen_sub_scales`] made of the panel's sub-scales.
    fn sub_scales(&self, panel: usize) -> B;
}

/// The activations of `T` tokens in one group of columns.
pub trait GroupInputs<const T: usize> {
    /// Four columns of one token.
    fn quad(&self, token: usize, step: usize, quad: usize) -> [i8; 4];
    /// What [`Isa::offset`] made of the sum of all columns of one token.
    fn offset(&self, token: usize) -> i32;
}

/// Panels and tokens of a product that are worked on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// One panel, four tokens: sixteen registers of eight lanes.
    Small,
    /// Two panels, eight tokens: thirty-two registers of sixteen lanes.
    Large,
}

/// The operations of one kind of CPU.
pub trait Isa: Copy + Send + Sync {
    /// Sixteen f32 lanes.
    type F32: Copy;
    /// Sixteen i32 lanes.
    type I32: Copy;
    /// Sixty-four bytes: sixteen rows' quads.
    type Bytes: Copy;
    /// The largest tile of a product that registers hold.
    const TILE: Tile;
    /// Whether levels of any unsigned byte are multiplied without saturating, so that shifts need not be undone before.
    const SHIFTED_LEVELS: bool;
    /// Query rows of attention that share a key or value in registers: 1, 4 or 8.
    const ROWS: usize;

    /// Runs `f` with this CPU's instructions enabled. `f` and what it calls must be `#[inline(always)]`.
    fn run<R>(self, f: impl FnOnce() -> R) -> R;

    /// All lanes `value`.
    fn splat(self, value: f32) -> Self::F32;
    /// Sixteen numbers.
    fn load(self, values: &Lanes) -> Self::F32;
    /// Sixteen numbers.
    fn store(self, values: Self::F32, to: &mut Lanes);
    /// a + b.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a − b.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a · b.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a / b.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a · b + c with one rounding.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// a > b ? a : b (so b if either is NaN).
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a < b ? a : b (so b if either is NaN).
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Nearest integer, ties to even, for |a| < 2³¹.
    fn round_to_i32(self, a: Self::F32) -> Self::I32;
    /// Nearest f32, ties to even.
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// a · 2^exponent for normal a and results (adds to the exponent bits).
    fn scale_by_power_of_two(self, a: Self::F32, exponent: Self::I32) -> Self::F32;
    /// Sixteen IEEE binary16 numbers, exactly.
    fn load_f16(self, values: &[half::f16; 16]) -> Self::F32;
    /// Sixteen bfloat16 numbers, exactly.
    fn load_bf16(self, values: &[half::bf16; 16]) -> Self::F32;
    /// Sixteen i8 as f32.
    fn load_i8(self, values: &[i8; 16]) -> Self::F32;
    /// Sixteen IEEE binary16 numbers: nearest, ties to even; infinity from 65520 on.
    fn store_f16(self, values: Self::F32, to: &mut [half::f16; 16]);

    /// Lane i: lanes (i, i ^ H) = (u, v) become u + v where bit H of i is clear, u − v (in lane order) where it is set.
    /// H is 1, 2, 4 or 8.
    fn butterfly<const H: usize>(self, a: Self::F32) -> Self::F32;

    /// Sixteen zeros.
    fn zero(self) -> Self::I32;
    /// a + b.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The larger of a and b.
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Sixteen integers.
    fn store_i32(self, values: Self::I32, to: &mut [i32; 16]);
    /// Sixteen integers in −32768..=32767.
    fn store_i16(self, values: Self::I32, to: &mut [i16; 16]);
    /// Sixteen pairs of 16-bit integers: lane i holds numbers 2i and 2i + 1.
    fn load_pairs(self, values: &[i8; 32]) -> Self::I32;
    /// The same pair in all lanes.
    fn splat_pair(self, pair: [i16; 2]) -> Self::I32;
    /// `sum` plus both products of the pairs of a and b, modulo 2³².
    fn dot2(self, sum: Self::I32, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Thirty-two integers in −128..=127, as bytes.
    fn store_i8(self, low: Self::I32, high: Self::I32, to: &mut [i8; 32]);
    /// The bits of a number without its sign: ordered like the magnitudes, with infinity and NaN last.
    fn magnitude_bits(self, a: Self::F32) -> Self::I32;
    /// To every lane, its four bytes of `unsigned` (0..=127) times its four bytes of `signed` (i8, not −128), added: the
    /// multiplier that [`dot_group`](Isa::dot_group) rests on, alone.
    fn dot4(self, sums: Self::I32, unsigned: Self::Bytes, signed: Self::Bytes) -> Self::I32;

    /// Asks for the cache line where `place` begins; changes no result.
    fn prefetch<T>(self, place: &T);
    /// Asks for the cache line `distance` bytes after `place`, wherever that is, into the second-level cache.
    fn prefetch_far<T: ?Sized>(self, place: &T, distance: usize);
    /// The 64 bytes of a vector of codes.
    fn load_bytes(self, bytes: &[u8; 64]) -> Self::Bytes;
    /// The 64 bytes of a vector.
    fn store_bytes(self, bytes: Self::Bytes, to: &mut [u8; 64]);
    /// Of every byte, the bits under `mask` after a shift to the right (to the left if negative). No bit of `mask` may
    /// receive a bit of another byte.
    fn field(self, bytes: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes;
    /// `table[index]` for every byte; indices are below 16.
    fn lookup(self, table: &[u8; 16], indices: Self::Bytes) -> Self::Bytes;

    /// Sixteen sub-scales, i8, in the form that [`dot_group`](Isa::dot_group) wants them.
    fn widen_sub_scales(self, sub_scales: &[u8; 16]) -> Self::Bytes;
    /// A sum of activations in the form that [`dot_group`](Isa::dot_group) wants it, for levels with this bias; linear in
    /// the sum.
    fn offset(bias: i32, sum: i32) -> i32;
    /// The heart of every product: one group of columns, at most 128, of `P` panels, for `T` tokens. To lane r of
    /// `sums[p][t]` it adds
    ///
    /// `sub_scale(p, r) · Σ over the group's columns c of (level(p, r, c) − R::BIAS) · x(t, c)`
    ///
    /// exactly, modulo 2³². How to order, widen and correct for the bias is left to the CPU's multiplier.
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        self,
        sums: &mut [[Self::I32; T]; P],
        levels: impl GroupLevels<Self::Bytes, P>,
        x: impl GroupInputs<T>,
    );

    /// The sum of all lanes by the fixed tree: lanes i and i + 8, then 4, 2, 1.
    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        let mut lanes = [0.0; 16];
        self.store(a, &mut lanes);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }

    /// The largest of all lanes, none of which is NaN; of zeros, either.
    #[inline(always)]
    fn largest(self, a: Self::F32) -> f32 {
        let mut lanes = [0.0; 16];
        self.store(a, &mut lanes);
        lanes.into_iter().fold(f32::NEG_INFINITY, |largest, x| if x > largest { x } else { largest })
    }

    /// The exact sum of all lanes.
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i32 {
        let mut lanes = [0; 16];
        self.store_i32(a, &mut lanes);
        lanes.iter().sum()
    }

    /// The largest of all lanes.
    #[inline(always)]
    fn largest_i32(self, a: Self::I32) -> i32 {
        let mut lanes = [0; 16];
        self.store_i32(a, &mut lanes);
        lanes.into_iter().fold(i32::MIN, i32::max)
    }
}

/// A quad of activations as one lane.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn word(quad: [i8; 4]) -> i32 {
    let [a, b, c, d] = quad;
    i32::from_le_bytes([a.cast_unsigned(), b.cast_unsigned(), c.cast_unsigned(), d.cast_unsigned()])
}

/// Two 16-bit integers as one lane, the first in its low half.
#[inline(always)]
fn pair([low, high]: [i16; 2]) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}
