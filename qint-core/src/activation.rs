//! Activation quantization: f32 activations become i8 codes with one f32 scale per block of columns.
//!
//! The input of a matrix is zero-padded to the matrix's padded columns, transformed if the format says so, and rounded:
//! scale a = absmax/127, code = round-half-to-even(x / a). docs/numerics.md has the exact formulas.
use crate::{Error, backend::Backend};

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
        use crate::matrix::expect_length;
        if padded_cols == 0 || !padded_cols.is_multiple_of(SUM_COLS) || padded_cols > crate::layout::MAX_DIMENSION {
            return Err(Error::Dimension {
                what: "padded columns",
                given: padded_cols,
                limit: crate::layout::MAX_DIMENSION,
            });
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
/// [`Error::NotFinite`] if an activation is NaN or infinite (also after the transform).
pub fn quantize(
    backend: Backend,
    x: &mut [f32],
    format: ActivationFormat,
    codes: &mut [i8],
    scales: &mut [f32],
    sums: &mut [i32],
) -> Result<(), Error> {
    let _ = (backend, x, format, codes, scales, sums);
    todo!()
}
