//! Matrices as checked views over the caller's bytes: quantized panels, or dense f32, f16 and bf16 values.
//!
//! The constructors check lengths, alignment and scales. Past them every position that a [`Layout`] names is inside the
//! bytes, so kernels check nothing.
use crate::{Error, activation::ActivationFormat, layout::Layout};
use half::{bf16, f16};

/// Row scales are 0 or at least this in magnitude.
pub const MIN_ROW_SCALE: f32 = 1.0 / (1u64 << 60) as f32;
/// Row scales are at most this in magnitude.
pub const MAX_ROW_SCALE: f32 = (1u64 << 60) as f32;
/// Panels in memory start at a multiple of this many bytes, so that a packed word is an aligned word. (In a container they
/// start at a multiple of 64.)
pub const PANELS_ALIGN: usize = 4;

/// A quantized matrix: `y[r] = row_scale[r] · Σ sub_scale · Σ level · x`.
#[derive(Clone, Copy, Debug)]
pub struct QMatrix<'a> {
    layout: Layout,
    panels: &'a [u8],
    row_scales: &'a [f32],
}

/// A matrix of floating-point numbers, row after row, without padding.
#[derive(Clone, Copy, Debug)]
pub struct DenseMatrix<'a> {
    rows: usize,
    cols: usize,
    values: DenseValues<'a>,
}

/// The numbers of a dense matrix.
#[derive(Clone, Copy, Debug)]
pub enum DenseValues<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16.
    F16(&'a [f16]),
    /// The upper half of binary32.
    BF16(&'a [bf16]),
}

/// The weights of one linear layer.
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// Packed codes, and what the kernel expects of its input.
    Quantized(QMatrix<'a>, ActivationFormat),
    /// Un-quantized weights; the input stays f32.
    Dense(DenseMatrix<'a>),
}

impl<'a> QMatrix<'a> {
    /// A view of `panels` ([`Layout::panels_bytes`] bytes) and `row_scales` ([`Layout::padded_rows`] numbers).
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Misaligned`] (panels start at a multiple of [`PANELS_ALIGN`]), or [`Error::RowScale`].
    pub fn new(layout: Layout, panels: &'a [u8], row_scales: &'a [f32]) -> Result<QMatrix<'a>, Error> {
        expect_length("panels", panels.len(), layout.panels_bytes())?;
        expect_length("row scales", row_scales.len(), layout.padded_rows())?;
        if !(panels.as_ptr() as usize).is_multiple_of(PANELS_ALIGN) {
            return Err(Error::Misaligned { what: "panels", needed: PANELS_ALIGN });
        }
        // All at once, without a branch each: views are made often where a caller keeps the bytes.
        if !row_scales.iter().fold(true, |all, &scale| all & is_row_scale(scale))
            && let Some((row, &scale)) = row_scales.iter().enumerate().find(|(_, scale)| !is_row_scale(**scale))
        {
            return Err(Error::RowScale { row, scale });
        }
        Ok(QMatrix { layout, panels, row_scales })
    }

    /// Shape, codec and positions.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All panels.
    pub const fn panels(&self) -> &'a [u8] {
        self.panels
    }

    /// One f32 per padded row.
    pub const fn row_scales(&self) -> &'a [f32] {
        self.row_scales
    }
}

impl<'a> DenseMatrix<'a> {
    /// A view of `rows` × `cols` numbers.
    ///
    /// # Errors
    /// [`Error::Length`] if there are more or fewer, [`Error::Dimension`] if a dimension is 0.
    pub fn new(rows: usize, cols: usize, values: DenseValues<'a>) -> Result<DenseMatrix<'a>, Error> {
        let needed = match rows.checked_mul(cols) {
            Some(needed) if needed > 0 => needed,
            _ => {
                return Err(Error::Dimension { what: "rows × columns", given: rows, limit: usize::MAX / cols.max(1) });
            }
        };
        expect_length("dense values", values.len(), needed)?;
        Ok(DenseMatrix { rows, cols, values })
    }

    /// Rows (outputs, N).
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns (inputs, K).
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The numbers.
    pub const fn values(&self) -> DenseValues<'a> {
        self.values
    }
}

impl DenseValues<'_> {
    /// How many numbers.
    pub const fn len(&self) -> usize {
        match self {
            DenseValues::F32(values) => values.len(),
            DenseValues::F16(values) => values.len(),
            DenseValues::BF16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Matrix<'_> {
    /// Rows (outputs, N), not padded.
    pub const fn rows(&self) -> usize {
        match self {
            Matrix::Quantized(matrix, _) => matrix.layout.rows(),
            Matrix::Dense(matrix) => matrix.rows,
        }
    }

    /// Columns (inputs, K), not padded.
    pub const fn cols(&self) -> usize {
        match self {
            Matrix::Quantized(matrix, _) => matrix.layout.cols(),
            Matrix::Dense(matrix) => matrix.cols,
        }
    }
}

/// Whether `scale` may be a row scale.
#[inline(always)]
fn is_row_scale(scale: f32) -> bool {
    (scale == 0.0) | ((scale.abs() >= MIN_ROW_SCALE) & (scale.abs() <= MAX_ROW_SCALE))
}

pub(crate) fn expect_length(what: &'static str, given: usize, needed: usize) -> Result<(), Error> {
    if given == needed { Ok(()) } else { Err(Error::Length { what, given, needed }) }
}
