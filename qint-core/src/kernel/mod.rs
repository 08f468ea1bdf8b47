//! Quantized matrix products over panels.
//!
//! ```text
//! for each panel (16 rows, one per lane):
//!     total = 0.0
//!     for each activation block:
//!         sum = 0
//!         for each group:        sum += sub_scale · Σ level · x        (integers: Isa::dot_group)
//!         total = total + (f32(sum) · a)
//!     y = total · row_scale
//! ```
//!
//! One token: `stream` decodes in registers, once, at the speed of memory. Several tokens: `tile` decodes a stretch of one
//! or two panels once and multiplies it with all tokens, a few at a time. `decode` has the one decoder of each codec; what
//! differs between CPUs is behind [`Isa`]. Both orders give the same bits: integers don't care, and each row has one f32
//! chain.
mod decode;
mod panel;
mod slab;
mod stream;
mod tile;

use crate::{
    activation::Activations,
    backend::{Backend, Operation},
    codec::Codec,
    isa::Isa,
    layout::PANEL_ROWS,
    matrix::QMatrix,
    team::RowsMut,
};
use core::ops::Range;
use decode::{Decode, Q1, Q2, Q2Linear, Q4, Q4Linear, Q8};

/// `out[t][r] = Σ W[r] · x[t]` for the rows of `panels` and all tokens of `x` (one token: a stream over the panels; several:
/// each decoded vector serves all of them). The same bits for any split into panel ranges and any batch.
///
/// `out` covers exactly the rows `16 · panels.start .. min(16 · panels.end, rows)`.
///
/// # Panics
/// If the shapes disagree: `x` has the matrix's padded columns, `out` has the tokens of `x` and the rows of `panels`.
///
/// # Example
/// ```
/// use qint_core::{activation::*, backend::Backend, codec::*, kernel, layout::Layout, matrix::QMatrix, pack, team::RowsMut};
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
/// // One token: 127 in every column.
/// let backend = Backend::detect();
/// let format = ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 };
/// let (mut codes, mut scales, mut sums) = ([0; 32], [0.0; 1], [0; 1]);
/// quantize(backend, &mut [127.0; 32], format, &mut codes, &mut scales, &mut sums)?;
/// let x = Activations::new(1, 32, format.block, &codes, &scales, &sums)?;
///
/// let mut y = [0.0; 1];
/// kernel::matmul(backend, &matrix, &x, 0..1, &mut RowsMut::whole(&mut y, 1));
/// assert_eq!(y, [32.0 * 3.0 * 127.0]);
/// # Ok(())
/// # }
/// ```
pub fn matmul(
    backend: Backend,
    matrix: &QMatrix<'_>,
    x: &Activations<'_>,
    panels: Range<usize>,
    out: &mut RowsMut<'_>,
) {
    let layout = matrix.layout();
    assert_eq!(x.padded_cols(), layout.padded_cols(), "padded columns of activations and matrix");
    assert_eq!(out.tokens(), x.tokens(), "tokens of output and activations");
    assert!(panels.start <= panels.end && panels.end <= layout.panels(), "{panels:?} of {} panels", layout.panels());
    let rows = layout.rows().min(panels.end * PANEL_ROWS).saturating_sub(panels.start * PANEL_ROWS);
    assert_eq!(out.range().len(), rows, "rows of output and panels");
    if let Backend::Products(products) = backend
        && (products.multiply)(matrix, x, out)
    {
        return;
    }
    backend.run(Matmul { matrix, x, panels, out });
}

/// A product whose shapes agree.
struct Matmul<'a, 'out> {
    matrix: &'a QMatrix<'a>,
    x: &'a Activations<'a>,
    panels: Range<usize>,
    out: &'a mut RowsMut<'out>,
}

impl Operation for Matmul<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        match self.matrix.layout().codec() {
            Codec::Q8 => self.decoded_by::<I, Q8>(isa),
            Codec::Q4 => self.decoded_by::<I, Q4>(isa),
            Codec::Q4Linear => self.decoded_by::<I, Q4Linear>(isa),
            Codec::Q2 => self.decoded_by::<I, Q2>(isa),
            Codec::Q2Linear => self.decoded_by::<I, Q2Linear>(isa),
            Codec::Q1 => self.decoded_by::<I, Q1>(isa),
        }
    }
}

impl Matmul<'_, '_> {
    #[inline(always)]
    fn decoded_by<I: Isa, D: Decode>(self, isa: I) {
        match self.x.tokens() {
            0 => {}
            // A function of its own for each codec, as the tiles are: that is how `cargo xtask inner-loops` finds them.
            1 => isa.run(
                #[inline(always)]
                || stream::matmul::<I, D>(isa, self),
            ),
            _ => tile::matmul::<I, D>(isa, self),
        }
    }
}
