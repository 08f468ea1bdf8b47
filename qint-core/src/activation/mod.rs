//! Activation quantization: f32 activations become i8 codes with one f32 scale per block of columns.
//!
//! The input of a matrix is zero-padded to the matrix's padded columns, transformed if the format says so, and rounded:
//! scale a = absmax/127, code = round-half-to-even(x / a). docs/numerics.md has the exact formulas.
//!
//! One token's codes lie column after column. Several tokens come in blocks of four whose quads are interleaved, so that a
//! kernel finds what a few columns of several tokens need in neighbouring words, and always at the same distance:
//! `[block of tokens][quad][4 tokens][4 columns]`; likewise sums, `[block of tokens][step of 32 columns][4 tokens]`, and
//! scales, `[block of tokens][activation block][4 tokens]`.
mod quantize;

pub(crate) use quantize::quantize_block;
pub use quantize::{quantize, quantize_tokens};

use crate::{Error, layout::MAX_DIMENSION, matrix::expect_length};
use core::ops::Range;

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

/// Columns whose codes are summed together in [`Activations::sum`]; the smallest group.
pub const SUM_COLS: usize = 32;
/// Tokens whose quads are interleaved.
pub const TOKEN_BLOCK: usize = 4;

/// One quad of four tokens.
pub(crate) type QuadBlock = [[i8; 4]; TOKEN_BLOCK];
/// Thirty-two columns of four tokens.
pub(crate) type StepBlock = [QuadBlock; SUM_COLS / 4];

/// Tokens that there must be room for: one, or whole blocks of four.
pub const fn padded_tokens(tokens: usize) -> usize {
    if tokens == 1 { 1 } else { tokens.next_multiple_of(TOKEN_BLOCK) }
}

/// Quantized activations of one or several tokens: a checked view.
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
    /// A view of `padded_cols` codes in −127..=127, `ceil(padded_cols / block)` scales and `padded_cols / 32` sums of codes for
    /// each of the [`padded_tokens`], in the order that the module describes.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Dimension`] (`padded_cols` is a multiple of 32; no memory holds so many tokens).
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
        // Else the lengths below could wrap around.
        let limit = usize::MAX / padded_cols - (TOKEN_BLOCK - 1);
        if tokens > limit {
            return Err(Error::Dimension { what: "tokens", given: tokens, limit });
        }
        expect_length("activation codes", codes.len(), padded_tokens(tokens) * padded_cols)?;
        expect_length("activation scales", scales.len(), padded_tokens(tokens) * padded_cols.div_ceil(block.cols()))?;
        expect_length("activation sums", sums.len(), padded_tokens(tokens) * padded_cols / SUM_COLS)?;
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

    /// All codes, in the order that the module describes.
    pub const fn codes(&self) -> &'a [i8] {
        self.codes
    }

    /// All scales, in the order that the module describes.
    pub const fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// All sums of 32 codes, in the order that the module describes.
    pub const fn sums(&self) -> &'a [i32] {
        self.sums
    }

    /// The scale of one token's activation block.
    ///
    /// # Panics
    /// If there is no such token or block.
    pub const fn scale(&self, token: usize, block: usize) -> f32 {
        let blocks = self.padded_cols.div_ceil(self.block.cols());
        assert!(token < self.tokens && block < blocks, "no such activations");
        self.scales[self.position(token, block, blocks, 1)]
    }

    /// The code of one token's column, in −127..=127.
    ///
    /// # Panics
    /// If there is no such token or column.
    pub const fn code(&self, token: usize, col: usize) -> i8 {
        assert!(token < self.tokens && col < self.padded_cols, "no such activation");
        self.codes[self.position(token, col, self.padded_cols, 4)]
    }

    /// The sum of the 32 codes of one token from column 32 · `step` on.
    ///
    /// # Panics
    /// If there is no such token or step.
    pub const fn sum(&self, token: usize, step: usize) -> i32 {
        assert!(token < self.tokens && step < self.padded_cols / SUM_COLS, "no such activations");
        self.sums[self.position(token, step, self.padded_cols / SUM_COLS, 1)]
    }

    /// Where number `index` of the `per_token` numbers of a token lies, `together` of them being neighbours.
    const fn position(&self, token: usize, index: usize, per_token: usize, together: usize) -> usize {
        if self.tokens == 1 {
            return index;
        }
        let block = token / TOKEN_BLOCK * TOKEN_BLOCK * per_token;
        block + (index / together * TOKEN_BLOCK + token % TOKEN_BLOCK) * together + index % together
    }

    /// Of a single token: the codes and the sums of every 32 columns, and the scales.
    #[inline(always)]
    pub(crate) fn single(&self) -> (&'a [[i8; SUM_COLS]], &'a [i32], &'a [f32]) {
        (self.codes.as_chunks().0, self.sums, self.scales)
    }

    /// Of several tokens: those of block `index`.
    #[inline(always)]
    pub(crate) fn block_of_tokens(&self, index: usize) -> BlockOfTokens<'a> {
        let (steps, blocks) = (self.padded_cols / SUM_COLS, self.padded_cols.div_ceil(self.block.cols()));
        let (codes, _) = self.codes.as_chunks::<4>().0.as_chunks::<TOKEN_BLOCK>().0.as_chunks();
        BlockOfTokens { codes, sums: self.sums.as_chunks().0, scales: self.scales.as_chunks().0 }
            .part(index * steps..(index + 1) * steps, index * blocks..(index + 1) * blocks)
    }
}

/// Four tokens.
#[derive(Clone, Copy)]
pub(crate) struct BlockOfTokens<'a> {
    /// Every 32 columns.
    pub(crate) codes: &'a [StepBlock],
    /// Sums of every 32 columns.
    pub(crate) sums: &'a [[i32; TOKEN_BLOCK]],
    /// Scales of every activation block.
    pub(crate) scales: &'a [[f32; TOKEN_BLOCK]],
}

impl BlockOfTokens<'_> {
    /// Some of the steps, and the activation blocks that they belong to.
    #[inline(always)]
    pub(crate) fn part(self, steps: Range<usize>, blocks: Range<usize>) -> Self {
        BlockOfTokens { codes: &self.codes[steps.clone()], sums: &self.sums[steps], scales: &self.scales[blocks] }
    }
}

#[cfg(test)]
mod tests;
