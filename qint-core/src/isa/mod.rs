//! One token type per kind of CPU. A value is the proof that this CPU can do it.
//!
//! [`Isa`] names about a dozen operations on sixteen lanes of 32 bits: a lane is a row of a panel, a column of an
//! activation vector, or one of sixteen strided partial sums. Kernels are written once, generic over `Isa`, and enter the
//! CPU's world once per call through [`Isa::run`]; everything below is `#[inline(always)]`.
//!
//! All operations give the same bits on every token.
mod portable;

pub use portable::Portable;

/// Sixteen f32.
pub type Lanes = [f32; 16];

/// The operations of one kind of CPU.
pub trait Isa: Copy + Send + Sync {
    /// Sixteen f32 lanes.
    type F32: Copy;
    /// Sixteen i32 lanes.
    type I32: Copy;

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
}
