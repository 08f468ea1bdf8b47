//! What happens to one token's activations between products.
use crate::{Bench, portable};
use qint_core::{
    activation::{ActivationFormat, SUM_COLS, quantize},
    backend::Backend,
    math::{NormGain, rms_norm},
};
use qint_tests::products::{Random, bits};

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| random.scale()).collect()
}

/// Hadamard transform and rounding to i8.
pub struct Quantization {
    x: Vec<f32>,
    work: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Quantization {
    /// Of that many columns, a multiple of 256.
    pub fn new(cols: usize) -> Quantization {
        let blocks = cols / ActivationFormat::DEFAULT.block.cols();
        let (codes, scales, sums) = (vec![0; cols], vec![0.0; blocks], vec![0; cols / SUM_COLS]);
        Quantization { x: numbers(cols, 1), work: vec![0.0; cols], codes, scales, sums }
    }
}

impl Bench for Quantization {
    fn run(&mut self, backend: Backend) {
        let Quantization { x, work, codes, scales, sums } = self;
        work.copy_from_slice(x);
        quantize(backend, work, ActivationFormat::DEFAULT, codes, scales, sums).expect("finite numbers");
    }

    fn check(&mut self, backend: Backend) {
        let [expected, found] = [portable(), backend].map(|backend| {
            self.codes.fill(0);
            self.run(backend);
            (self.codes.clone(), bits(&self.scales), self.sums.clone())
        });
        assert!(found == expected && found.0.iter().any(|&code| code != 0), "codes, scales or sums differ");
    }

    fn multiply_adds(&self) -> u64 {
        0
    }
}

/// RMSNorm.
pub struct Norm {
    x: Vec<f32>,
    gain: Vec<f32>,
    out: Vec<f32>,
}

impl Norm {
    /// Of that many numbers.
    pub fn new(count: usize) -> Norm {
        Norm { x: numbers(count, 1), gain: numbers(count, 2), out: vec![0.0; count] }
    }
}

impl Bench for Norm {
    fn run(&mut self, backend: Backend) {
        let gain = NormGain { weights: &self.gain, plus_one: false };
        assert!(rms_norm(backend, &self.x, gain, 1e-5, &mut self.out));
    }

    fn check(&mut self, backend: Backend) {
        let [expected, found] = [portable(), backend].map(|backend| {
            self.out.fill(f32::NAN);
            self.run(backend);
            bits(&self.out)
        });
        assert_eq!(found, expected);
    }

    fn multiply_adds(&self) -> u64 {
        0
    }
}
