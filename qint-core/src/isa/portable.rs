//! The token of every CPU: plain Rust over arrays of sixteen.
use super::{Isa, Lanes};
use half::{bf16, f16};

/// No requirement at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

#[inline(always)]
fn zip(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    core::array::from_fn(|i| f(a[i], b[i]))
}

impl Isa for Portable {
    type F32 = Lanes;
    type I32 = [i32; 16];

    #[inline(always)]
    fn run<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; 16]
    }
    #[inline(always)]
    fn load(self, values: &Lanes) -> Lanes {
        *values
    }
    #[inline(always)]
    fn store(self, values: Lanes, to: &mut Lanes) {
        *to = values;
    }
    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        core::array::from_fn(|i| fma(a[i], b[i], c[i]))
    }
    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round_to_i32(self, a: Lanes) -> [i32; 16] {
        a.map(|x| libm::rintf(x) as i32)
    }
    #[inline(always)]
    fn to_f32(self, a: [i32; 16]) -> Lanes {
        a.map(|x| x as f32)
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: Lanes, exponent: [i32; 16]) -> Lanes {
        core::array::from_fn(|i| f32::from_bits(a[i].to_bits().wrapping_add((exponent[i] as u32) << 23)))
    }
    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> Lanes {
        values.map(f16::to_f32)
    }
    #[inline(always)]
    fn load_bf16(self, values: &[bf16; 16]) -> Lanes {
        values.map(bf16::to_f32)
    }
    #[inline(always)]
    fn load_i8(self, values: &[i8; 16]) -> Lanes {
        values.map(f32::from)
    }
}

/// a · b + c with one rounding.
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(feature = "std")]
    return a.mul_add(b, c);
    #[cfg(not(feature = "std"))]
    return libm::fmaf(a, b, c);
}
