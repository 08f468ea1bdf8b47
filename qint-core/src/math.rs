//! Functions of f32, built from [`Isa`] operations only: the same bits on every CPU.
//!
//! | function | formula | error |
//! |---|---|---|
//! | [`exp`] | 2ⁿ · p(x − n·ln 2), p of degree 7 | 1 ulp for −87 ≤ x ≤ 88 |
//! | [`silu`] | x / (1 + exp(−x)) | 4 ulp |
//! | [`gelu_tanh`] | x / (1 + exp(−2u)), u = √(2/π)·(x + 0.044715 x³) | 2 + 4·\|u\| ulp |
//!
//! NaN stays NaN everywhere. Outside its range `exp` gives exp(−87) or exp(88): nothing becomes 0 or infinity.
use crate::{
    backend::{Backend, Operation},
    element::{dot, zip_in_place},
    isa::Isa,
};

/// e^x with x brought into −87..=88 first.
#[inline(always)]
pub fn exp<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    const COEFFICIENTS: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    // NaN is the second operand, so that `max` and `min` let it through.
    let x = isa.min(isa.splat(88.0), isa.max(isa.splat(-87.0), x));
    let power = isa.round_to_i32(isa.mul(x, isa.splat(core::f32::consts::LOG2_E)));
    let whole = isa.to_f32(power);
    let rest = isa.fma(whole, isa.splat(-core::f32::consts::LN_2), x);
    let rest = isa.fma(whole, isa.splat(1.904_654_3e-9), rest); // f32(ln 2) − ln 2
    let mut sum = isa.splat(COEFFICIENTS[0]);
    for &coefficient in &COEFFICIENTS[1..] {
        sum = isa.fma(sum, rest, isa.splat(coefficient));
    }
    let sum = isa.fma(sum, isa.mul(rest, rest), rest);
    isa.scale_by_power_of_two(isa.add(sum, isa.splat(1.0)), power)
}

/// x · sigmoid(x).
#[inline(always)]
pub fn silu<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let power = exp(isa, isa.sub(isa.splat(0.0), x));
    isa.div(x, isa.add(isa.splat(1.0), power))
}

/// x · (1 + tanh u) / 2 with u = √(2/π)·(x + 0.044715 x³); (1 + tanh u) / 2 is the sigmoid of 2u.
#[inline(always)]
pub fn gelu_tanh<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    const TWICE_ROOT: f32 = 1.595_769; // 2·√(2/π)
    let square = isa.mul(x, x);
    let inner = isa.mul(x, isa.fma(square, isa.splat(0.044_715), isa.splat(1.0)));
    let power = exp(isa, isa.mul(inner, isa.splat(-TWICE_ROOT)));
    isa.div(x, isa.add(isa.splat(1.0), power))
}

/// Gains of a norm, one for each number.
#[derive(Clone, Copy, Debug)]
pub struct NormGain<'a> {
    /// Stored gains w.
    pub weights: &'a [f32],
    /// Whether the gain is 1 + w instead of w.
    pub plus_one: bool,
}

/// RMSNorm: `out = (x · (1 / √(mean(x²) + epsilon))) · gain`. All three are equally long. The sum of squares is taken in
/// sixteen strided partial sums.
///
/// Returns false if that sum is not finite: x holds NaN, infinity or numbers above 10¹⁹.
#[must_use]
pub fn rms_norm(backend: Backend, x: &[f32], gain: NormGain<'_>, epsilon: f32, out: &mut [f32]) -> bool {
    backend.run(RmsNorm { x, gain, epsilon, out })
}

struct RmsNorm<'a> {
    x: &'a [f32],
    gain: NormGain<'a>,
    epsilon: f32,
    out: &'a mut [f32],
}

impl Operation for RmsNorm<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        let squares = dot(isa, self.x, self.x);
        let mean = squares / self.x.len() as f32;
        let scale = isa.splat(1.0 / libm::sqrtf(mean + self.epsilon));
        let offset = isa.splat(if self.gain.plus_one { 1.0 } else { 0.0 });
        self.out.copy_from_slice(self.x);
        zip_in_place(
            isa,
            self.out,
            self.gain.weights,
            #[inline(always)]
            |x, gain| isa.mul(isa.mul(x, scale), isa.add(offset, gain)),
        );
        squares.is_finite()
    }
}

/// The MLP's hinge: `gate = f(gate) · up` with f = [`silu`], or [`gelu_tanh`] if `gelu`. Equally long.
pub(crate) fn gate(backend: Backend, gelu: bool, gate: &mut [f32], up: &[f32]) {
    backend.run(Gate { gelu, gate, up });
}

struct Gate<'a> {
    gelu: bool,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Operation for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        if self.gelu {
            zip_in_place(
                isa,
                self.gate,
                self.up,
                #[inline(always)]
                |gate, up| isa.mul(gelu_tanh(isa, gate), up),
            );
        } else {
            zip_in_place(
                isa,
                self.gate,
                self.up,
                #[inline(always)]
                |gate, up| isa.mul(silu(isa, gate), up),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn apply(f: impl Fn(crate::isa::Portable, [f32; 16]) -> [f32; 16], x: f32) -> f32 {
        f(crate::isa::Portable, [x; 16])[3]
    }

    fn ulps(found: f32, exact: f64) -> f64 {
        let exact32 = exact as f32;
        let ulp = f64::from(f32::from_bits(exact32.abs().to_bits() + 1)) - f64::from(exact32.abs());
        (f64::from(found) - exact).abs() / ulp
    }

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        let steps = 200_000;
        (0..=steps).map(move |i| from + (to - from) * (i as f32 / steps as f32))
    }

    #[test]
    fn exp_is_within_one_and_a_half_ulp() {
        let worst = grid(-87.0, 88.0).map(|x| ulps(apply(exp, x), f64::from(x).exp())).fold(0.0, f64::max);
        std::println!("exp: {worst:.3} ulp");
        assert!(worst < 1.5, "{worst}");
    }

    #[test]
    fn exp_saturates_and_keeps_nan() {
        assert_eq!(apply(exp, 0.0), 1.0);
        assert_eq!(apply(exp, -0.0), 1.0);
        assert_eq!(apply(exp, f32::INFINITY), apply(exp, 88.0));
        assert_eq!(apply(exp, f32::NEG_INFINITY), apply(exp, -87.0));
        assert!(apply(exp, f32::NEG_INFINITY).is_normal());
        assert!(apply(exp, f32::NAN).is_nan() && apply(silu, f32::NAN).is_nan() && apply(gelu_tanh, f32::NAN).is_nan());
    }

    #[test]
    fn silu_is_within_four_ulp() {
        let exact = |x: f64| x / (1.0 + (-x).exp());
        let worst = grid(-80.0, 80.0).map(|x| ulps(apply(silu, x), exact(f64::from(x)))).fold(0.0, f64::max);
        std::println!("silu: {worst:.3} ulp");
        assert!(worst < 4.0, "{worst}");
    }

    #[test]
    fn gelu_is_close_to_its_formula() {
        for x in grid(-9.0, 12.0) {
            let twice_u = (8.0 / std::f64::consts::PI).sqrt() * (f64::from(x) + 0.044715 * f64::from(x).powi(3));
            let exact = f64::from(x) / (1.0 + (-twice_u).exp());
            let bound = (2.0 + 2.0 * twice_u.abs()) * exact.abs() / f64::from(1 << 23);
            assert!((f64::from(apply(gelu_tanh, x)) - exact).abs() <= bound, "{x}: {exact}");
        }
        assert_eq!(apply(gelu_tanh, 1e20), 1e20);
        assert!(apply(gelu_tanh, -1e20).abs() < 1e-10);
    }

    struct Everything<'a>(&'a [f32; 16]);

    impl Operation for Everything<'_> {
        type Output = [[f32; 16]; 3];

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> [[f32; 16]; 3] {
            let x = isa.load(self.0);
            let mut results = [[0.0; 16]; 3];
            for (result, y) in results.iter_mut().zip([exp(isa, x), silu(isa, x), gelu_tanh(isa, x)]) {
                isa.store(y, result);
            }
            results
        }
    }

    #[test]
    fn backends_agree_bit_for_bit() {
        let special = [0.0, -0.0, 1e-45, -1e-38, 1e38, f32::INFINITY, f32::NEG_INFINITY, -87.0];
        let inputs: Vec<f32> = grid(-100.0, 100.0).chain(grid(-1.0, 1.0)).chain(special).collect();
        for x in inputs.as_chunks().0 {
            let bits = |backend: Backend| backend.run(Everything(x)).map(|y| y.map(f32::to_bits));
            let expected = bits(Backend::Portable(crate::isa::Portable));
            for backend in Backend::available() {
                assert_eq!(bits(backend), expected, "{}: {x:?}", backend.name());
            }
        }
    }

    #[test]
    fn norm_of_any_length_agrees_with_f64() {
        for length in [1, 12, 16, 17, 172, 576] {
            let x: Vec<f32> = (0..length).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect();
            let weights: Vec<f32> = (0..length).map(|i| (i % 7) as f32 / 3.0).collect();
            let mean = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / length as f64;
            for plus_one in [false, true] {
                let mut out = std::vec![0.0; length];
                let gain = NormGain { weights: &weights, plus_one };
                assert!(rms_norm(Backend::detect(), &x, gain, 1e-5, &mut out));
                for ((x, w), out) in x.iter().zip(&weights).zip(out) {
                    let exact = f64::from(*x) / (mean + 1e-5).sqrt() * (f64::from(*w) + f64::from(u8::from(plus_one)));
                    assert!((f64::from(out) - exact).abs() < 1e-6 * exact.abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn norm_reports_what_is_not_finite() {
        let gain = NormGain { weights: &[1.0; 20], plus_one: false };
        for broken in [f32::NAN, f32::INFINITY, 1e20] {
            let mut x = [1.0; 20];
            x[17] = broken;
            assert!(!rms_norm(Backend::detect(), &x, gain, 1e-5, &mut [0.0; 20]));
        }
    }
}
