extern crate std;
use super::*;
use crate::{backend::Backend, hadamard};
use proptest::prelude::*;
use std::{vec, vec::Vec};

const PLAIN: ActivationFormat = ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 };

type Quantized = (Vec<i8>, Vec<f32>, Vec<i32>);

fn quantized(backend: Backend, x: &[f32], format: ActivationFormat) -> Result<Quantized, Error> {
    let mut x = x.to_vec();
    let mut codes = vec![99; x.len()];
    let mut scales = vec![99.0; x.len().div_ceil(format.block.cols())];
    let mut sums = vec![99; x.len() / SUM_COLS];
    quantize(backend, &mut x, format, &mut codes, &mut scales, &mut sums)?;
    Ok((codes, scales, sums))
}

/// The formula, one number at a time.
fn naive(x: &[f32], block: usize) -> Quantized {
    let (mut codes, mut scales) = (Vec::new(), Vec::new());
    for x in x.chunks(block) {
        let absmax = x.iter().fold(0.0f32, |absmax, x| absmax.max(x.abs()));
        let a = if absmax < 2f32.powi(-60) { 0.0 } else { absmax / 127.0 };
        scales.push(a);
        codes.extend(x.iter().map(|x| if a == 0.0 { 0 } else { (x / a).round_ties_even() as i8 }));
    }
    let sums = codes.chunks(32).map(|codes| codes.iter().map(|&code| i32::from(code)).sum()).collect();
    (codes, scales, sums)
}

proptest! {
    #[test]
    fn every_backend_rounds_like_the_formula(
        x in (1..50usize).prop_flat_map(|steps| prop::collection::vec(-4f32..4., 32 * steps)),
        exponent in -70..60i32,
        block in prop::sample::select(vec![ActivationBlock::B256, ActivationBlock::B512, ActivationBlock::B1024]),
    ) {
        let x: Vec<f32> = x.iter().map(|x| x * 2f32.powi(exponent)).collect();
        let expected = naive(&x, block.cols());
        for backend in Backend::available() {
            let format = ActivationFormat { transform: Transform::None, block };
            prop_assert_eq!(&quantized(backend, &x, format).unwrap(), &expected, "{}", backend.name());
        }
    }

    #[test]
    fn the_transform_comes_first(x in (1..30usize).prop_flat_map(|steps| prop::collection::vec(-4f32..4., 32 * steps))) {
        for backend in Backend::available() {
            let mut transformed = x.clone();
            hadamard::transform(Backend::Portable(crate::isa::Portable), &mut transformed);
            let found = quantized(backend, &x, ActivationFormat::DEFAULT).unwrap();
            prop_assert_eq!(found, naive(&transformed, 256), "{}", backend.name());
        }
    }
}

#[test]
fn ties_go_to_even() {
    let mut x = [0.0; 32];
    x[..8].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127.0]);
    for backend in Backend::available() {
        let (codes, scales, sums) = quantized(backend, &x, PLAIN).unwrap();
        assert_eq!(codes[..8], [127, 0, 2, 2, 0, -2, -2, -127], "{}", backend.name());
        assert_eq!((scales, sums), (vec![1.0], vec![0]));
    }
}

/// On numbers where x · (1/a) would give other codes.
#[test]
fn rounding_divides() {
    let (absmax, mut x) = (0.1f32, [0.0; 256]);
    let a = absmax / 127.0;
    let halves = (0..127).map(|code| (code as f32 + 0.5) * a);
    let near = halves.flat_map(|half| [half.next_down(), half, half.next_up()]);
    let telling = near.filter(|x| (x / a).round_ties_even() != (x * (1.0 / a)).round_ties_even());
    let count = x[1..].iter_mut().zip(telling).map(|(x, value)| *x = value).count();
    assert!(count > 8, "only {count} numbers tell the two apart");
    x[0] = absmax;
    for backend in Backend::available() {
        assert_eq!(quantized(backend, &x, PLAIN).unwrap(), naive(&x, 256), "{}", backend.name());
    }
}

#[test]
fn tiny_blocks_are_zero() {
    let smallest = 2f32.powi(-60);
    for backend in Backend::available() {
        let below = f32::from_bits(smallest.to_bits() - 1);
        assert_eq!(quantized(backend, &[below; 32], PLAIN).unwrap(), (vec![0; 32], vec![0.0], vec![0]));
        let (codes, scales, sums) = quantized(backend, &[-smallest; 32], PLAIN).unwrap();
        assert_eq!((codes, scales, sums), (vec![-127; 32], vec![smallest / 127.0], vec![-127 * 32]));
    }
}

#[test]
fn nan_and_infinity_are_errors_wherever_they_stand() {
    for backend in Backend::available() {
        for position in [0, 17, 255, 256, 319] {
            for value in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; 320];
                x[position] = value;
                for format in [PLAIN, ActivationFormat::DEFAULT] {
                    let found = quantized(backend, &x, format);
                    assert_eq!(found, Err(Error::NotFinite { at: "activations" }), "{}", backend.name());
                }
            }
        }
        // Finite numbers that the transform adds up to infinity.
        assert!(quantized(backend, &[3e38; 32], PLAIN).is_ok());
        assert!(quantized(backend, &[3e38; 32], ActivationFormat::DEFAULT).is_err());
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let backend = Backend::detect();
    let run = |cols: usize, codes: usize, scales: usize, sums: usize| {
        let (mut codes, mut scales, mut sums) = (vec![0; codes], vec![0.0; scales], vec![0; sums]);
        quantize(backend, &mut vec![0.0; cols], PLAIN, &mut codes, &mut scales, &mut sums).is_ok()
    };
    assert!(run(320, 320, 2, 10));
    for (cols, codes, scales, sums) in
        [(0, 0, 0, 0), (33, 33, 1, 1), (320, 319, 2, 10), (320, 320, 1, 10), (320, 320, 2, 11)]
    {
        assert!(!run(cols, codes, scales, sums));
    }
}
