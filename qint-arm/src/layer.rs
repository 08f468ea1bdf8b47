//! A linear layer in one call: transform, rounding, streams, product. For shapes that are known when the program runs, and
//! for those that are known before.
use crate::{
    inputs::Inputs,
    matmul::matmul,
    prepared::Prepared,
    quantize::{expect_length, quantize},
};
use qint_core::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Activations, SUM_COLS, padded_tokens},
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
};

/// Words of memory that [`apply`] needs: codes, scales and sums of the activations, and their streams.
pub const fn workspace_words(layout: &Layout, block: ActivationBlock, tokens: usize) -> usize {
    let (room, cols) = (padded_tokens(tokens), layout.padded_cols());
    room * (cols / 4 + cols / SUM_COLS + cols.div_ceil(block.cols())) + Inputs::words(layout, block, tokens)
}

/// `out[t] = W · x[t]`: `x` is `[tokens][padded columns]`, zero-padded, and overwritten by the transform; `out` is
/// `[tokens][rows]`; the first [`workspace_words`] of `workspace` are used.
///
/// # Errors
/// [`Error::NotFinite`] if an activation is NaN or infinite; [`Error::Length`] if a buffer doesn't fit.
///
/// # Example
/// ```
/// use qint_core::{activation::*, codec::*, layout::Layout, matrix::QMatrix, pack};
/// use qint_arm::layer;
/// # fn main() -> Result<(), qint_core::Error> {
/// // One row, 32 columns, every weight 0.5 · 3 · (10 − 8) = 3.
/// #[repr(align(64))]
/// struct Panels([u8; 320]);
/// let mut panels = Panels([0; 320]);
/// let layout = Layout::new(1, 32, Codec::Q4Linear, Group::G32)?;
/// pack::pack_row(&layout, 0, &[10; 32], &[3], &mut panels.0)?;
/// let mut row_scales = [0.0; 16];
/// row_scales[0] = 0.5;
/// let matrix = QMatrix::new(layout, &panels.0, &row_scales)?;
///
/// let format = ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 };
/// let (mut workspace, mut y) = ([0; 128], [0.0; 1]);
/// assert!(layer::workspace_words(&layout, format.block, 1) <= 128);
/// layer::apply(&matrix, format, 1, &mut [127.0; 32], &mut workspace, &mut y)?;
/// assert_eq!(y, [32.0 * 3.0 * 127.0]);
/// # Ok(())
/// # }
/// ```
pub fn apply<'a>(
    matrix: impl Into<Prepared<'a>>,
    format: ActivationFormat,
    tokens: usize,
    x: &mut [f32],
    workspace: &mut [u32],
    out: &mut [f32],
) -> Result<(), Error> {
    apply_prepared(matrix.into(), format, tokens, x, workspace, out)
}

fn apply_prepared(
    matrix: Prepared<'_>,
    format: ActivationFormat,
    tokens: usize,
    x: &mut [f32],
    workspace: &mut [u32],
    out: &mut [f32],
) -> Result<(), Error> {
    let layout = matrix.matrix().layout();
    match &inputs(layout, format, tokens, x, workspace) {
        Ok(x) => matmul(matrix, x, 0..layout.panels(), out),
        Err(error) => Err(*error),
    }
}

/// Rounds activations and expands them into streams. (Not inlined: it needs no stack any more when the product begins.)
#[inline(never)]
fn inputs<'a>(
    layout: &Layout,
    format: ActivationFormat,
    tokens: usize,
    x: &mut [f32],
    workspace: &'a mut [u32],
) -> Result<Inputs<'a>, Error> {
    let (room, cols) = (padded_tokens(tokens), layout.padded_cols());
    expect_length("activations", x.len(), tokens * cols)?;
    let (given, needed) = (workspace.len(), workspace_words(layout, format.block, tokens));
    let short = Error::Length { what: "workspace", given, needed };
    let (codes, rest) = workspace.split_at_mut_checked(room * cols / 4).ok_or(short)?;
    let (sums, rest) = rest.split_at_mut_checked(room * cols / SUM_COLS).ok_or(short)?;
    let (scales, rest) = rest.split_at_mut_checked(room * cols.div_ceil(format.block.cols())).ok_or(short)?;
    let (codes, sums, scales) = (bytes(codes), integers(sums), floats(scales));
    quantize(tokens, x, format, codes, scales, sums)?;
    Inputs::expand(layout, &Activations::new(tokens, cols, format.block, codes, scales, sums)?, rest)
}

/// A matrix whose shape is known when the program is compiled: buffers of another shape don't compile.
#[derive(Clone, Copy, Debug)]
pub struct FixedMatrix<'a, const ROWS: usize, const COLS: usize>(QMatrix<'a>);

impl<'a, const ROWS: usize, const COLS: usize> FixedMatrix<'a, ROWS, COLS> {
    /// As [`QMatrix::new`]. `COLS` must be a multiple of 32 (which is checked when it is compiled).
    ///
    /// # Errors
    /// As [`QMatrix::new`].
    pub fn new(codec: Codec, group: Group, panels: &'a [u8], row_scales: &'a [f32]) -> Result<Self, Error> {
        QMatrix::new(Self::layout(codec, group)?, panels, row_scales).map(FixedMatrix)
    }

    /// The layout of this shape.
    ///
    /// # Errors
    /// [`Error::Dimension`] if the panels don't fit `usize`.
    pub const fn layout(codec: Codec, group: Group) -> Result<Layout, Error> {
        const { assert!(COLS.is_multiple_of(SUM_COLS), "a fixed matrix has a multiple of 32 columns") }
        Layout::new(ROWS, COLS, codec, group)
    }

    /// The same matrix.
    pub const fn matrix(&self) -> &QMatrix<'a> {
        &self.0
    }

    /// `out = W · x`; [`apply`] for one token.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if an activation is NaN or infinite, [`Error::Length`] if the workspace is too short.
    pub fn apply(
        &self,
        format: ActivationFormat,
        x: &mut [f32; COLS],
        workspace: &mut [u32],
        out: &mut [f32; ROWS],
    ) -> Result<(), Error> {
        apply(&self.0, format, 1, x, workspace, out)
    }
}

#[allow(unsafe_code)]
fn bytes(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: every word is four i8, and their alignment is smaller.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 4 * words.len()) }
}

#[allow(unsafe_code)]
fn integers(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: i32 has the size and alignment of u32, and any bits.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

#[allow(unsafe_code)]
fn floats(words: &mut [u32]) -> &mut [f32] {
    // SAFETY: f32 has the size and alignment of u32, and any bits.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}
