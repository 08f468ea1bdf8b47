//! Activation quantization: f32 activations become i8 codes with one f32 scale per block of columns.
//!
//! The input of a matrix is zero-padded to the matrix's padded columns, transformed if the format says so, and rounded:
//! scale a = absmax/127, code = round-half-to-even(x / a). docs/numerics.md has the exact formulas.
use crate::{
    Error,
    backend::{Backend, Operation},
    hadamard,
    isa::{Isa, Lanes},
    layout::MAX_DIMENSION,
    matrix::expect_length,
};

/// What happens to x before rounding. It belongs to the input: all matrices that share one must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// Nothing.
    None,
    /// A Walsh-Hadamard transform in blocks of 256 columns ([`crate::hadamard`]); the matrix's columns were transformed too.
    Hadamard,
}

/// Columns that share one activation scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ActivationBlock {
    /// 256 columns, the default.
    B256 = 256,
    /// 512 columns.
    B512 = 512,
    /// 1024 columns.
    B1024 = 1024,
}

/// How activations are prepared for a quantized matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationFormat {
    /// What happens before rounding.
    pub transform: Transform,
    /// Columns per scale.
    pub block: ActivationBlock,
}

/// Columns whose codes are summed together in [`Activations::sums`]; the smallest group.
pub const SUM_COLS: usize = 32;

/// Quantized activations of several tokens: a checked view, token after token.
#[derive(Clone, Copy, Debug)]
pub struct Activations<'a> {
    tokens: usize,
    padded_cols: usize,
    block: ActivationBlock,
    codes: &'a [i8],
    scales: &'a [f32],
    sums: &'a [i32],
}

impl ActivationBlock {
    /// Its columns: 256, 512 or 1024.
    pub const fn cols(self) -> usize {
        self as usize
    }

    /// The block of that many columns.
    pub const fn from_cols(cols: usize) -> Option<ActivationBlock> {
        match cols {
            256 => Some(ActivationBlock::B256),
            512 => Some(ActivationBlock::B512),
            1024 => Some(ActivationBlock::B1024),
            _ => None,
        }
    }
}

impl ActivationFormat {
    /// Hadamard transform, blocks of 256: what the converter uses unless told otherwise.
    pub const DEFAULT: ActivationFormat =
        ActivationFormat { transform: Transform::Hadamard, block: ActivationBlock::B256 };
}

impl<'a> Activations<'a> {
    /// A view of `tokens × padded_cols` codes in −127..=127, `tokens × ceil(padded_cols / block)` scales and
    /// `tokens × padded_cols / 32` sums of codes.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Dimension`] (`padded_cols` is a multiple of 32).
    pub fn new(
        tokens: usize,
        padded_cols: usize,
        block: ActivationBlock,
        codes: &'a [i8],
        scales: &'a [f32],
        sums: &'a [i32],
    ) -> Result<Activations<'a>, Error> {
        if padded_cols == 0 || !padded_cols.is_multiple_of(SUM_COLS) || padded_cols > MAX_DIMENSION {
            return Err(Error::Dimension { what: "padded columns", given: padded_cols, limit: MAX_DIMENSION });
        }
        expect_length("activation codes", codes.len(), tokens * padded_cols)?;
        expect_length("activation scales", scales.len(), tokens * padded_cols.div_ceil(block.cols()))?;
        expect_length("activation sums", sums.len(), tokens * padded_cols / SUM_COLS)?;
        Ok(Activations { tokens, padded_cols, block, codes, scales, sums })
    }

    /// Number of tokens.
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// Columns of each token, a multiple of 32.
    pub const fn padded_cols(&self) -> usize {
        self.padded_cols
    }

    /// Columns per scale.
    pub const fn block(&self) -> ActivationBlock {
        self.block
    }

    /// Codes in −127..=127, `[tokens][padded_cols]`.
    pub const fn codes(&self) -> &'a [i8] {
        self.codes
    }

    /// Scales, `[tokens][ceil(padded_cols / block)]`.
    pub const fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// Sums of 32 codes each, `[tokens][padded_cols / 32]`.
    pub const fn sums(&self) -> &'a [i32] {
        self.sums
    }
}

/// Quantizes one token. `x` holds its activations zero-padded to a multiple of 32 columns and is overwritten by the
/// transform; `codes` has the same length, `scales` one entry per block, `sums` one per 32 columns.
///
/// # Errors
/// [`Error::NotFinite`] if an activation is NaN or infinite (also after the transform); [`Error::Dimension`] or
/// [`Error::Length`] if the buffers don't fit.
pub fn quantize(
    backend: Backend,
    x: &mut [f32],
    format: ActivationFormat,
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let cols = x.len();
    if cols == 0 || !cols.is_multiple_of(SUM_COLS) || cols > MAX_DIMENSION {
        return Err(Error::Dimension { what: "padded columns", given: cols, limit: MAX_DIMENSION });
    }
    expect_length("activation codes", codes.len(), cols)?;
    expect_length("activation scales", scales.len(), cols.div_ceil(format.block.cols()))?;
    expect_length("activation sums", sums.len(), cols / SUM_COLS)?;

    if format.transform == Transform::Hadamard {
        hadamard::transform(backend, x);
    }
    backend.run(Round { x, block: format.block, codes, scales, sums })
}

/// Activations below this in magnitude, all over a block, count as zero: the scale stays far from subnormal numbers.
const MIN_ABSMAX: f32 = 1.0 / (1u64 << 60) as f32;

/// The second half of [`quantize`], on buffers that fit each other.
struct Round<'a> {
    x: &'a [f32],
    block: ActivationBlock,
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl Operation for Round<'_> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Result<(), Error> {
        let cols = self.block.cols();
        let x = self.x.chunks(cols);
        let codes = self.codes.chunks_mut(cols).zip(self.sums.chunks_mut(cols / SUM_COLS));
        for ((x, (codes, sums)), scale) in x.zip(codes).zip(self.scales) {
            let (x, _) = x.as_chunks::<16>();
            let absmax = absmax(isa, x);
            if !absmax.is_finite() {
                return Err(Error::NotFinite { at: "activations" });
            }
            if absmax < MIN_ABSMAX {
                *scale = 0.0;
                codes.fill(0);
                sums.fill(0);
            } else {
                *scale = absmax / 127.0;
                round_block(isa, x, *scale, codes, sums);
            }
        }
        Ok(())
    }
}

/// The largest magnitude, found as the largest integer among the bits without their sign: NaN and infinity win.
#[inline(always)]
fn absmax<I: Isa>(isa: I, x: &[Lanes]) -> f32 {
    let mut largest = isa.zero();
    for lanes in x {
        largest = isa.max_i32(largest, isa.magnitude_bits(isa.load(lanes)));
    }
    f32::from_bits(isa.largest_i32(largest).cast_unsigned())
}

/// code = round-half-to-even(x / a).
#[inline(always)]
fn round_block<I: Isa>(isa: I, x: &[Lanes], a: f32, codes: &mut [i8], sums: &mut [i32]) {
    let a = isa.splat(a);
    let (x, _) = x.as_chunks::<2>();
    let (codes, _) = codes.as_chunks_mut::<SUM_COLS>();
    for ((x, codes), sum) in x.iter().zip(codes).zip(sums) {
        let low = isa.round_to_i32(isa.div(isa.load(&x[0]), a));
        let high = isa.round_to_i32(isa.div(isa.load(&x[1]), a));
        isa.store_i8(low, high, codes);
        *sum = isa.sum_i32(isa.add_i32(low, high));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
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
}
