//! `rope_freqs.weight` → Llama 3's rope scaling.
//!
//! The file holds one divisor for each rotary frequency, not the numbers that it was computed from: 1 for high
//! frequencies, `factor` for low ones, a ramp between. Published models have `low_freq_factor` 1, `high_freq_factor` 4 and
//! an original context that is a power of two; the one that gives every divisor again is taken. (Only
//! original_context / low and original_context / high matter, so nothing is lost by fixing one of the three.)
use crate::{Error, Result};
use qint_core::llama::RopeScaling;
use std::f64::consts::TAU;

const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
/// Files hold the divisors as f32, computed partly in f32.
const TOLERANCE: f64 = 1e-4;

/// The scaling that divides the frequencies by `factors`.
pub(super) fn from_factors(factors: &[f32], theta: f64, head_dim: usize) -> Result<RopeScaling> {
    let refuse = || Error::unsupported("rope_freqs.weight with divisors that are not those of Llama 3", "");
    if factors.len() != head_dim / 2 || factors.iter().any(|factor| !factor.is_finite() || *factor < 1.0) {
        return Err(refuse());
    }
    let factor = f64::from(factors.iter().copied().fold(1.0, f32::max));
    if factor == 1.0 {
        return Ok(RopeScaling::None);
    }
    let candidates = (4..=24).map(|power| f64::from(1u32 << power));
    let fits = |&context: &f64| {
        factors.iter().enumerate().all(|(i, &given)| {
            let frequency = theta.powf(-2.0 * i as f64 / head_dim as f64);
            (divisor(frequency, factor, context) / f64::from(given) - 1.0).abs() < TOLERANCE
        })
    };
    let original_context = candidates.into_iter().find(fits).ok_or_else(refuse)?;
    Ok(RopeScaling::Llama3 { factor, low_frequency: LOW, high_frequency: HIGH, original_context })
}

fn divisor(frequency: f64, factor: f64, original_context: f64) -> f64 {
    let turns = original_context * frequency / TAU;
    let smooth = ((turns - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
    1.0 / ((1.0 - smooth) / factor + smooth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_scaling_of_published_models() {
        for (factor, context, theta, head_dim) in
            [(8.0, 8192.0, 500_000.0_f64, 128), (32.0, 8192.0, 500_000.0, 64), (8.0, 64.0, 500_000.0, 20)]
        {
            let frequencies = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64));
            let factors: Vec<f32> = frequencies.map(|f| divisor(f, factor, context) as f32).collect();
            let expected =
                RopeScaling::Llama3 { factor, low_frequency: 1.0, high_frequency: 4.0, original_context: context };
            assert_eq!(from_factors(&factors, theta, head_dim).unwrap(), expected);
            let mut other = factors.clone();
            other[head_dim / 4] *= 1.001;
            assert!(from_factors(&other, theta, head_dim).is_err());
        }
        assert_eq!(from_factors(&[1.0; 8], 1e4, 16).unwrap(), RopeScaling::None);
        assert!(from_factors(&[1.0; 7], 1e4, 16).is_err());
        assert!(from_factors(&[f32::NAN; 8], 1e4, 16).is_err());
    }
}
