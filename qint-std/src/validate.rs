//! What a container lost: its structure, its hashes, and the error of every matrix against the checkpoint it was made from.
//!
//! Errors of weights are relative root-mean-square errors, ‖Ŵ − W‖ / ‖W‖ over a whole matrix, in the domain of the
//! checkpoint: transformed matrices are transformed back first. The divergence of the outputs is [`crate::eval`]'s work.
use crate::{
    Error, Result,
    container::{Container, MatrixInfo},
    source::Source,
};
use qint_core::{
    activation::Transform,
    backend::Backend,
    codec::{Codec, Group},
    dequantize, hadamard,
    matrix::{Matrix, QMatrix},
};
use rayon::prelude::*;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Default factor between the error on a normal distribution and the limit for real weights, whose tails are heavier.
pub const DEFAULT_WEIGHT_FACTOR: f64 = 1.25;

/// One matrix, compared with the checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixReport {
    /// Its Hugging Face name.
    pub name: String,
    /// Its codec.
    pub codec: &'static str,
    /// Its group.
    pub group: usize,
    /// Relative root-mean-square error, ‖Ŵ − W‖ / ‖W‖; 0 for a matrix of zeros that stayed one.
    pub error: f64,
    /// The largest error allowed.
    pub limit: f64,
}

impl MatrixReport {
    /// Whether the error is within the limit.
    pub fn passed(&self) -> bool {
        self.error <= self.limit
    }
}

/// The relative root-mean-square error that a codec has on a normal distribution, at most (docs/decisions/0001).
pub fn gaussian_error(codec: Codec, group: Group) -> f64 {
    let by_group = match codec {
        Codec::Q8 => [0.0056, 0.0062, 0.0068],
        Codec::Q4 => [0.0740, 0.0815, 0.0875],
        Codec::Q4Linear => [0.0815, 0.0905, 0.0975],
        Codec::Q2 => [0.311, 0.327, 0.338],
        Codec::Q2Linear => [0.315, 0.331, 0.341],
        Codec::Q1 => [0.597, 0.600, 0.602],
    };
    match group {
        Group::G32 => by_group[0],
        Group::G64 => by_group[1],
        Group::G128 => by_group[2],
    }
}

/// Compares every matrix of `container` with `source`; the limit of each is `factor` × [`gaussian_error`]. `progress` is
/// called with (matrices done, matrices in all).
///
/// # Errors
/// [`Error::Argument`] if the two are different models; [`Error::Interrupted`]; errors of [`Source::read_rows`].
pub fn compare_weights(
    container: &Container,
    source: &dyn Source,
    factor: f64,
    progress: &dyn Fn(usize, usize),
    cancel: &AtomicBool,
) -> Result<Vec<MatrixReport>> {
    let matrices = &container.manifest().matrices;
    let mut reports = Vec::with_capacity(matrices.len());
    for (done, info) in matrices.iter().enumerate() {
        progress(done, matrices.len());
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let (codec, group) = (info.layout.codec(), info.layout.group());
        reports.push(MatrixReport {
            name: info.name.clone(),
            codec: codec.name(),
            group: group.cols(),
            error: matrix_error(container, info, source)?,
            limit: factor * gaussian_error(codec, group),
        });
    }
    Ok(reports)
}

/// Codes and sub-scales that decode exactly but that no writer produces: q8 code 0 and sub-scale −128.
pub fn reserved_codes(container: &Container) -> u64 {
    let matrices = container.manifest().matrices.par_iter();
    let found = matrices.filter_map(|info| container.reserved(&info.name));
    found.map(|reserved| reserved.codes + reserved.sub_scales).sum()
}

fn matrix_error(container: &Container, info: &MatrixInfo, source: &dyn Source) -> Result<f64> {
    let layout = &info.layout;
    let index = source.tensors().iter().position(|tensor| {
        let expected = &tensor.expected;
        expected.name == info.name && (expected.rows, expected.cols) == (layout.rows(), layout.cols())
    });
    let (Some(index), Some(matrix)) = (index, quantized(container, info)) else {
        return Err(Error::Argument {
            what: "reference",
            given: format!("a model without {} of {} × {}", info.name, layout.rows(), layout.cols()),
            allowed: "compare a container with the checkpoint it was made from".into(),
        });
    };
    let rows = (0..layout.rows()).into_par_iter();
    let (error, norm) = rows
        .map_init(Buffers::default, |buffers, row| buffers.row_error(&matrix, info, source, index, row))
        .try_reduce(|| (0.0, 0.0), |a, b| Ok((a.0 + b.0, a.1 + b.1)))?;
    Ok(if error == 0.0 { 0.0 } else { (error / norm).sqrt() })
}

fn quantized<'a>(container: &'a Container, info: &MatrixInfo) -> Option<QMatrix<'a>> {
    match container.matrix(&info.name)? {
        Matrix::Quantized(matrix, _) => Some(matrix),
        Matrix::Dense(_) => None,
    }
}

#[derive(Default)]
struct Buffers {
    stored: Vec<f32>,
    original: Vec<f32>,
}

impl Buffers {
    /// (‖ŵ − w‖², ‖w‖²) of one row.
    fn row_error(
        &mut self,
        matrix: &QMatrix<'_>,
        info: &MatrixInfo,
        source: &dyn Source,
        index: usize,
        row: usize,
    ) -> Result<(f64, f64)> {
        self.stored.resize(info.layout.padded_cols(), 0.0);
        self.original.resize(info.layout.cols(), 0.0);
        dequantize::row(matrix, row, &mut self.stored).map_err(Error::core(&info.name))?;
        if info.activation.transform == Transform::Hadamard {
            // The stored row is w·H/n, and H·H = n.
            hadamard::transform(Backend::detect(), &mut self.stored);
        }
        source.read_rows(index, row..row + 1, &mut self.original)?;
        let square = |x: f64| x * x;
        let pairs = self.stored.iter().zip(&self.original).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        Ok(pairs.fold((0.0, 0.0), |sums, (a, b)| (sums.0 + square(a - b), sums.1 + square(b))))
    }
}
