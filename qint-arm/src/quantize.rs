//! f32 activations become i8 codes with one scale per activation block: [`qint_core::activation`] without a panic path.
//!
//! ```text
//! a    = absmax / 127                  (absmax as the largest integer among the bits without their sign)
//! code = round-half-to-even(x / a)
//! ```
//!
//! Adding 1.5 · 2²³ rounds: the sum's unit is 1, ties go to even, and its lowest byte is the code.
use crate::hadamard;
#[cfg(qint_kernels = "helium")]
use crate::kernel::helium;
use qint_core::{
    Error,
    activation::{ActivationFormat, SUM_COLS, TOKEN_BLOCK, Transform, padded_tokens},
};

const ROUNDER: f32 = 12_582_912.0;

/// Quantizes `tokens` tokens, `x` being `[tokens][cols]`, zero-padded to a multiple of 32 columns; the transform overwrites
/// it. `codes`, `scales` and `sums` are what [`Activations::new`](qint_core::activation::Activations::new) takes.
///
/// # Errors
/// [`Error::NotFinite`] if an activation is NaN or infinite (also after the transform); [`Error::Dimension`] or
/// [`Error::Length`] if the buffers don't fit.
pub fn quantize(
    tokens: usize,
    x: &mut [f32],
    format: ActivationFormat,
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let (cols, blocks) = format.expect_buffers(tokens, x, codes, scales, sums)?;
    let room = padded_tokens(tokens);
    if tokens < room {
        codes.fill(0);
        scales.fill(0.0);
        sums.fill(0);
    }
    let together = room.min(TOKEN_BLOCK);
    for (token, x) in x.chunks_exact_mut(cols).enumerate() {
        if format.transform == Transform::Hadamard {
            hadamard::transform(x)?;
        }
        // Those of the token, or of its block of four.
        let first = token / TOKEN_BLOCK * TOKEN_BLOCK;
        let quads = codes.as_chunks_mut().0.get_mut(first * cols / 4..).unwrap_or_default();
        let scales = scales.get_mut(first * blocks..).unwrap_or_default();
        let sums = sums.get_mut(first * cols / SUM_COLS..).unwrap_or_default();
        if together == 1 {
            round::<1, 8>(x, token, format.block.cols(), quads, scales, sums)?;
        } else {
            round::<4, 32>(x, token, format.block.cols(), quads, scales, sums)?;
        }
    }
    Ok(())
}

/// Rounds one of L tokens; Q = 8 · L quads hold 32 columns.
#[inline(never)]
fn round<const L: usize, const Q: usize>(
    x: &[f32],
    lane: usize,
    block: usize,
    quads: &mut [[i8; 4]],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let (quads, sums) = (quads.as_chunks_mut::<Q>().0, sums.as_chunks_mut::<L>().0);
    let places = quads.chunks_mut(block / SUM_COLS).zip(sums.chunks_mut(block / SUM_COLS));
    for ((x, scales), (quads, sums)) in x.chunks(block).zip(scales.as_chunks_mut::<L>().0).zip(places) {
        let absmax = absmax(x);
        if !absmax.is_finite() {
            return Err(Error::NotFinite { at: "activations" });
        }
        let zero = absmax < ActivationFormat::MIN_ABSMAX;
        // Every code of a block that counts as zero is round(x / 1), and |x| is tiny.
        let divisor = if zero { 1.0 } else { absmax / 127.0 };
        scales[lane % L] = if zero { 0.0 } else { divisor };
        #[cfg(qint_kernels = "helium")]
        if L == 1 {
            let codes = quads.as_flattened_mut().as_flattened_mut().as_chunks_mut().0;
            helium::round(x.as_chunks().0, divisor, codes, sums.as_flattened_mut());
            continue;
        }
        for (x, (quads, sums)) in x.as_chunks::<SUM_COLS>().0.iter().zip(quads.iter_mut().zip(sums)) {
            sums[lane % L] = round_step::<L, Q>(x, divisor, lane % L, quads);
        }
    }
    Ok(())
}

/// The largest magnitude, found as the largest integer among the bits without their sign: NaN and infinity win.
#[cfg(qint_kernels = "helium")]
fn absmax(x: &[f32]) -> f32 {
    f32::from_bits(helium::absmax_bits(x.as_chunks().0))
}

/// The largest magnitude, found as the largest integer among the bits without their sign: NaN and infinity win.
#[cfg(not(qint_kernels = "helium"))]
#[inline(always)]
fn absmax(x: &[f32]) -> f32 {
    let mut largest = 0;
    for four in x.as_chunks::<4>().0 {
        for x in four {
            largest = largest.max(x.to_bits() << 1);
        }
    }
    f32::from_bits(largest >> 1)
}

/// Thirty-two codes, and their sum.
#[inline(always)]
fn round_step<const L: usize, const Q: usize>(
    x: &[f32; SUM_COLS],
    a: f32,
    lane: usize,
    quads: &mut [[i8; 4]; Q],
) -> i32 {
    let mut sum = 0u32;
    for (x, quads) in x.as_chunks::<4>().0.iter().zip(quads.as_chunks_mut::<L>().0) {
        for (x, code) in x.iter().zip(&mut quads[lane % L]) {
            let rounded = if cfg!(target_abi = "eabi") { by_bits(x / a) } else { by_addition(x / a) };
            *code = rounded as i8;
            sum = sum.wrapping_add(rounded);
        }
    }
    let added = if cfg!(target_abi = "eabi") { 0 } else { ROUNDER.to_bits().wrapping_mul(SUM_COLS as u32) };
    sum.wrapping_sub(added).cast_signed()
}

/// The integer nearest to x, ties to even, plus the bits of [`ROUNDER`], for |x| < 2²².
#[inline(always)]
fn by_addition(x: f32) -> u32 {
    (x + ROUNDER).to_bits()
}

/// The integer nearest to x, ties to even, for |x| < 2²³: what is quicker without an FPU. The bits below the point decide.
#[inline(always)]
fn by_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let exponent = bits >> 23 & 0xff;
    if exponent < 126 {
        return 0;
    }
    let (mantissa, below) = (bits & 0x7f_ffff | 0x80_0000, 150 - exponent.min(149));
    let (whole, fraction, half) = (mantissa >> below, mantissa & ((1 << below) - 1), 1 << (below - 1));
    let rounded = whole + u32::from(fraction + (whole & 1) > half);
    if x.is_sign_negative() { rounded.wrapping_neg() } else { rounded }
}

pub(crate) fn expect_length(what: &'static str, given: usize, needed: usize) -> Result<(), Error> {
    if given == needed { Ok(()) } else { Err(Error::Length { what, given, needed }) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use qint_core::{
        activation::{self, ActivationBlock},
        backend::Backend,
    };
    use std::{vec, vec::Vec};

    /// Codes, scales as bits, sums.
    type Quantized = Result<(Vec<i8>, Vec<u32>, Vec<i32>), Error>;

    /// By this crate, and by qint-core.
    fn both(tokens: usize, x: &[f32], format: ActivationFormat) -> [Quantized; 2] {
        let (cols, room) = (x.len() / tokens, padded_tokens(tokens));
        let blocks = cols.div_ceil(format.block.cols());
        [true, false].map(|ours| {
            let (mut x, mut codes) = (x.to_vec(), vec![1; room * cols]);
            let (mut scales, mut sums) = (vec![1.0; room * blocks], vec![1; room * cols / 32]);
            if ours {
                quantize(tokens, &mut x, format, &mut codes, &mut scales, &mut sums)?;
            } else {
                let backend = Backend::detect();
                activation::quantize_tokens(backend, tokens, &mut x, format, &mut codes, &mut scales, &mut sums)?;
            }
            Ok((codes, scales.iter().map(|a| a.to_bits()).collect(), sums))
        })
    }

    proptest! {
        #[test]
        fn the_codes_are_those_of_every_backend(
            tokens in 1..7usize,
            steps in 1..40usize,
            hadamard: bool,
            exponent in -70..30i32,
            seed in prop::collection::vec(-1.0f32..1.0, 6 * 40 * 32),
        ) {
            let transform = if hadamard { Transform::Hadamard } else { Transform::None };
            let x: Vec<f32> = seed[..tokens * steps * 32].iter().map(|x| x * 2f32.powi(exponent)).collect();
            let [ours, theirs] = both(tokens, &x, ActivationFormat { transform, block: ActivationBlock::B256 });
            prop_assert_eq!(ours, theirs);
        }
    }

    proptest! {
        #[test]
        fn both_ways_to_round_agree(x in -127.5f32..127.5, quarters in -508..=508i32) {
            for x in [x, quarters as f32 / 4.0, x / 128.0, x / 4096.0] {
                let expected = by_addition(x).wrapping_sub(ROUNDER.to_bits());
                prop_assert_eq!(by_bits(x), expected, "{}", x);
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_nan_is_an_error() {
        let format = ActivationFormat { transform: Transform::None, block: ActivationBlock::B512 };
        let mut x = [0.0; 64];
        x[..6].copy_from_slice(&[127.0, 0.5, 1.5, -0.5, -2.5, 126.5]);
        let [ours, theirs] = both(1, &x, format);
        assert_eq!(ours, theirs);
        assert_eq!(&ours.unwrap().0[..6], &[127, 0, 2, 0, -2, 126]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            x[63] = bad;
            let [ours, theirs] = both(1, &x, format);
            assert_eq!((ours.is_err(), theirs.is_err()), (true, true));
        }
    }
}
