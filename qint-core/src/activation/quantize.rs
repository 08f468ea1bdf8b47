//! Transform and rounding.
use super::{ActivationFormat, QuadBlock, SUM_COLS, TOKEN_BLOCK, Transform, padded_tokens};
use crate::{
    Error,
    backend::{Backend, Operation},
    hadamard,
    isa::{Isa, Lanes},
    layout::MAX_DIMENSION,
    matrix::expect_length,
};

impl ActivationFormat {
    /// Activations below this in magnitude, all over a block, count as zero: the scale stays far from subnormal numbers.
    pub const MIN_ABSMAX: f32 = 1.0 / (1u64 << 60) as f32;

    /// Columns of a token and its activation blocks, if these are buffers of [`quantize_tokens`].
    ///
    /// # Errors
    /// [`Error::Dimension`] if the columns are no multiple of 32, [`Error::Length`] if a buffer doesn't fit.
    #[inline(always)]
    pub fn expect_buffers(
        self,
        tokens: usize,
        x: &[f32],
        codes: &[i8],
        scales: &[f32],
        sums: &[i32],
    ) -> Result<(usize, usize), Error> {
        let cols = x.len().checked_div(tokens).unwrap_or_default();
        if cols == 0 || !cols.is_multiple_of(SUM_COLS) || cols > MAX_DIMENSION {
            return Err(Error::Dimension { what: "padded columns", given: cols, limit: MAX_DIMENSION });
        }
        let (blocks, room) = (cols.div_ceil(self.block.cols()), padded_tokens(tokens));
        expect_length("activations", x.len(), tokens * cols)?;
        expect_length("activation codes", codes.len(), room * cols)?;
        expect_length("activation scales", scales.len(), room * blocks)?;
        expect_length("activation sums", sums.len(), room * cols / SUM_COLS)?;
        Ok((cols, blocks))
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
    quantize_tokens(backend, 1, x, format, codes, scales, sums)
}

/// Quantizes `tokens` tokens, `x` being `[tokens][cols]` with a multiple of 32 columns; `codes`, `scales` and `sums` are what
/// [`Activations::new`](super::Activations::new) takes.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_tokens(
    backend: Backend,
    tokens: usize,
    x: &mut [f32],
    format: ActivationFormat,
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let (cols, blocks) = format.expect_buffers(tokens, x, codes, scales, sums)?;
    let together = padded_tokens(tokens).min(TOKEN_BLOCK);
    let codes = codes.chunks_exact_mut(together * cols).zip(sums.chunks_exact_mut(together * cols / SUM_COLS));
    let scales = scales.chunks_exact_mut(together * blocks);
    for ((x, (codes, sums)), scales) in x.chunks_mut(together * cols).zip(codes).zip(scales) {
        quantize_block(backend, x, cols, format, codes, scales, sums)?;
    }
    Ok(())
}

/// Quantizes one token, or the tokens of one block (rows that are missing in the last one become zeros): `x` is
/// `[rows][cols]`; `codes`, `scales` and `sums` have room for one token or four. All fit each other.
///
/// # Errors
/// [`Error::NotFinite`].
pub(crate) fn quantize_block(
    backend: Backend,
    x: &mut [f32],
    cols: usize,
    format: ActivationFormat,
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    if x.len() < codes.len() {
        codes.fill(0);
        scales.fill(0.0);
        sums.fill(0);
    }
    let (alone, block) = (codes.len() == cols, format.block.cols());
    for (token, x) in x.chunks_exact_mut(cols).enumerate() {
        if format.transform == Transform::Hadamard {
            hadamard::transform(backend, x);
        }
        if alone {
            let to = Alone { codes: codes.as_chunks_mut().0, scales, sums };
            backend.run(Round { x, block, to })?;
        } else {
            let codes = codes.as_chunks_mut::<4>().0.as_chunks_mut().0;
            let to = Interleaved { codes, scales: scales.as_chunks_mut().0, sums: sums.as_chunks_mut().0, token };
            backend.run(Round { x, block, to })?;
        }
    }
    Ok(())
}

/// Where a token's codes go.
trait Target {
    /// Stores the codes and the sum of 32 columns.
    fn put(&mut self, step: usize, codes: [i8; SUM_COLS], sum: i32);
    /// Stores the scale of an activation block.
    fn put_scale(&mut self, block: usize, scale: f32);
}

struct Alone<'a> {
    codes: &'a mut [[i8; SUM_COLS]],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl Target for Alone<'_> {
    #[inline(always)]
    fn put(&mut self, step: usize, codes: [i8; SUM_COLS], sum: i32) {
        (self.codes[step], self.sums[step]) = (codes, sum);
    }
    #[inline(always)]
    fn put_scale(&mut self, block: usize, scale: f32) {
        self.scales[block] = scale;
    }
}

struct Interleaved<'a> {
    codes: &'a mut [QuadBlock],
    scales: &'a mut [[f32; TOKEN_BLOCK]],
    sums: &'a mut [[i32; TOKEN_BLOCK]],
    token: usize,
}

impl Target for Interleaved<'_> {
    #[inline(always)]
    fn put(&mut self, step: usize, codes: [i8; SUM_COLS], sum: i32) {
        let (quads, _) = codes.as_chunks::<4>();
        for (to, quad) in self.codes[step * quads.len()..].iter_mut().zip(quads) {
            to[self.token] = *quad;
        }
        self.sums[step][self.token] = sum;
    }
    #[inline(always)]
    fn put_scale(&mut self, block: usize, scale: f32) {
        self.scales[block][self.token] = scale;
    }
}

/// The rounding of one token, into places that fit it.
struct Round<'a, T> {
    x: &'a [f32],
    block: usize,
    to: T,
}

impl<T: Target> Operation for Round<'_, T> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) -> Result<(), Error> {
        for (index, x) in self.x.chunks(self.block).enumerate() {
            let (x, _) = x.as_chunks::<16>();
            let absmax = absmax(isa, x);
            if !absmax.is_finite() {
                return Err(Error::NotFinite { at: "activations" });
            }
            let first = index * self.block / SUM_COLS;
            if absmax < ActivationFormat::MIN_ABSMAX {
                self.to.put_scale(index, 0.0);
                (0..x.len() / 2).for_each(|step| self.to.put(first + step, [0; SUM_COLS], 0));
            } else {
                let scale = absmax / 127.0;
                self.to.put_scale(index, scale);
                round_block(isa, x, scale, first, &mut self.to);
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

/// code = round-half-to-even(x / a), for the steps from `first` on.
#[inline(always)]
fn round_block<I: Isa>(isa: I, x: &[Lanes], a: f32, first: usize, to: &mut impl Target) {
    let a = isa.splat(a);
    let (x, _) = x.as_chunks::<2>();
    for (step, x) in x.iter().enumerate() {
        let low = isa.round_to_i32(isa.div(isa.load(&x[0]), a));
        let high = isa.round_to_i32(isa.div(isa.load(&x[1]), a));
        let mut codes = [0; SUM_COLS];
        isa.store_i8(low, high, &mut codes);
        to.put(first + step, codes, isa.sum_i32(isa.add_i32(low, high)));
    }
}
