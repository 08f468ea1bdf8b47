//! f32 rows become codes, sub-scales and row scales: by squared error, never by the largest magnitude alone.
//!
//! [`panel`] is the way from sixteen rows of a checkpoint to the bytes of a container: transform, quantize, pack. [`rows`]
//! is its middle part. Both give the same bytes on every CPU. [`Recipe`] says which codec a tensor gets.
mod coarse;
mod grid;
mod nearest;
mod recipe;
mod rule;
mod search;

pub(crate) use recipe::shared_input;
pub use recipe::{Assignment, Recipe};
pub use rule::{
    ActivationRule, Pattern, Rule, Scheme, parse_activation, show_activation, transform_from_name, transform_name,
};

use coarse::Coarse;
use grid::Grid;
use nearest::{Linear, Nearest, Table};
use qint_core::{
    Error,
    activation::Transform,
    backend::{Backend, Operation},
    codec::Codec,
    hadamard,
    isa::Isa,
    layout::{Layout, PANEL_ROWS},
    matrix::{MAX_ROW_SCALE, MIN_ROW_SCALE},
    pack,
};
use search::{Direct, FirstScale, Row, Search};

/// Quantized rows, row after row without interleaving.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// `[rows][padded_cols]`.
    pub codes: Vec<u8>,
    /// `[rows][groups]`.
    pub sub_scales: Vec<i8>,
    /// `[rows]`, 0 or within 2⁻⁶⁰..2⁶⁰.
    pub row_scales: Vec<f32>,
}

/// Memory that [`panel`] uses again and again.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    quantized: Rows,
}

/// One panel of a matrix: up to sixteen rows as read from a checkpoint become its bytes and row scales.
///
/// `weights` holds `[rows][layout.padded_cols()]` with zeros in the padding and is overwritten; `panel` is
/// [`Layout::panel_bytes`] long, `row_scales` 16. Rows that are missing become padding rows.
///
/// # Errors
/// [`Error::NotFinite`] for NaN, infinity, or weights beyond 2⁶⁰ times what levels can hold; [`Error::Length`].
pub fn panel(
    backend: Backend,
    layout: &Layout,
    transform: Transform,
    weights: &mut [f32],
    scratch: &mut Scratch,
    panel: &mut [u8],
    row_scales: &mut [f32; PANEL_ROWS],
) -> Result<(), Error> {
    let used = match transform {
        Transform::None => layout.cols(),
        Transform::Hadamard => {
            for row in weights.chunks_mut(layout.padded_cols()) {
                hadamard::inverse(backend, row);
            }
            layout.padded_cols()
        }
    };
    rows(backend, layout, used, weights, &mut scratch.quantized)?;
    let Rows { codes, sub_scales, row_scales: scales } = &scratch.quantized;
    let one = Layout::new(PANEL_ROWS, layout.cols(), layout.codec(), layout.group())?;
    panel.fill(0);
    row_scales.fill(0.0);
    row_scales[..scales.len()].copy_from_slice(scales);
    for (row, (codes, sub_scales)) in
        codes.chunks(layout.padded_cols()).zip(sub_scales.chunks(layout.groups())).enumerate()
    {
        pack::pack_row(&one, row, codes, sub_scales, panel)?;
    }
    Ok(())
}

/// Quantizes rows as they are, `[rows][layout.padded_cols()]`. Columns from `used` on are padding that meets zero
/// activations: they get code 0. `weights` is overwritten.
///
/// # Errors
/// As [`panel`].
///
/// # Examples
/// ```
/// # fn main() -> Result<(), qint_core::Error> {
/// use qint_core::{backend::Backend, codec::{Codec, Group}, layout::Layout};
/// let layout = Layout::new(1, 32, Codec::Q8, Group::G32)?;
/// let mut weights: Vec<f32> = (0..32).map(|i| (i - 16) as f32 / 16.0).collect();
/// let mut quantized = qint_std::quantize::Rows::default();
/// qint_std::quantize::rows(Backend::detect(), &layout, 32, &mut weights, &mut quantized)?;
/// let weight = |col: usize| {
///     quantized.row_scales[0] * f32::from(quantized.sub_scales[0]) * f32::from(Codec::Q8.level(quantized.codes[col]))
/// };
/// assert!((weight(0) - -1.0).abs() < 0.01 && (weight(31) - 15.0 / 16.0).abs() < 0.01);
/// # Ok(())
/// # }
/// ```
pub fn rows(
    backend: Backend,
    layout: &Layout,
    used: usize,
    weights: &mut [f32],
    quantized: &mut Rows,
) -> Result<(), Error> {
    let count = weights.len() / layout.padded_cols();
    quantized.codes.resize(count * layout.padded_cols(), 0);
    quantized.sub_scales.resize(count * layout.groups(), 0);
    quantized.row_scales.resize(count, 0.0);
    let job = (layout, used, weights, quantized);
    match layout.codec() {
        Codec::Q4 => {
            backend.run(Quantize { nearest: Table::<16>::new(Codec::Q4), first: Coarse::<16>::new(Codec::Q4), job })
        }
        Codec::Q2 => {
            backend.run(Quantize { nearest: Table::<4>::new(Codec::Q2), first: Coarse::<4>::new(Codec::Q2), job })
        }
        codec @ Codec::Q4Linear => {
            backend.run(Quantize { nearest: Linear::new(codec), first: Coarse::<16>::new(codec), job })
        }
        codec @ Codec::Q2Linear => {
            backend.run(Quantize { nearest: Linear::new(codec), first: Coarse::<4>::new(codec), job })
        }
        codec @ (Codec::Q8 | Codec::Q1) => {
            let nearest = Linear::new(codec);
            backend.run(Quantize { nearest, first: Direct(nearest), job })
        }
    }
}

struct Quantize<'a, N, F> {
    nearest: N,
    first: F,
    job: (&'a Layout, usize, &'a mut [f32], &'a mut Rows),
}

impl<N: Nearest, F: FirstScale> Operation for Quantize<'_, N, F> {
    type Output = Result<(), Error>;

    #[inline(always)]
    fn run<I: Isa>(self, _: I) -> Result<(), Error> {
        let (layout, used, weights, quantized) = self.job;
        let grid = Grid::of(layout.codec());
        let search = Search { nearest: self.nearest, first: self.first, grid, group: layout.group().cols() };
        let mut scales = vec![0.0; layout.groups()];
        let rows = weights
            .chunks_exact_mut(layout.padded_cols())
            .zip(quantized.codes.chunks_exact_mut(layout.padded_cols()))
            .zip(quantized.sub_scales.chunks_exact_mut(layout.groups()))
            .zip(&mut quantized.row_scales);
        for (((weights, codes), sub_scales), row_scale) in rows {
            let weights = &mut weights[..used];
            let exponent = normalize(weights)?;
            let scale = search.row(Row { weights, codes, sub_scales, scales: &mut scales });
            *row_scale = row_scale_within_range(scale, exponent)?;
        }
        Ok(())
    }
}

/// Multiplies the row with 2^−e so that its largest magnitude lies in 1..2, and returns e: no sum of squares can then
/// overflow or vanish.
#[inline(always)]
fn normalize(weights: &mut [f32]) -> Result<i32, Error> {
    let largest = search::largest(weights);
    if !largest.is_finite() {
        return Err(Error::NotFinite { at: "weights" });
    }
    // Subnormal rows count as the smallest normal ones: they come out as zeros below.
    let exponent = ((largest.to_bits() >> 23) as i32 - 127).max(-126);
    let factor = power_of_two(-exponent);
    for weight in weights {
        *weight *= factor;
    }
    Ok(exponent)
}

/// `scale` · 2^`exponent`; 0 if that is too small for the format.
#[inline(always)]
fn row_scale_within_range(scale: f32, exponent: i32) -> Result<f32, Error> {
    let scale = f64::from(scale) * f64::from(power_of_two(exponent));
    if scale > f64::from(MAX_ROW_SCALE) {
        return Err(Error::NotFinite { at: "weights (beyond 2^60)" });
    }
    Ok(if scale < f64::from(MIN_ROW_SCALE) { 0.0 } else { scale as f32 })
}

/// 2^`exponent` for −127..=127; −127 is subnormal.
#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    if exponent == -127 { f32::MIN_POSITIVE / 2.0 } else { f32::from_bits(((exponent + 127) as u32) << 23) }
}

#[cfg(test)]
mod tests;
