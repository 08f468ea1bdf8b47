//! The input of matrices: rows of f32 become what the matrices' kernels read, each row once.
use crate::{
    Error,
    activation::{self, ActivationFormat, Activations, SUM_COLS, TOKEN_BLOCK, padded_tokens},
    backend::Backend,
    dense::{self, DenseActivations},
    kernel,
    layout::{PANEL_ROWS, padded_cols},
    matrix::Matrix,
    team::{RowsMut, Team, all},
};

/// Room for the input of a matrix, as long as a [`Plan`](super::Plan) says.
#[derive(Debug)]
pub(super) struct InputBuffers<'a> {
    pub(super) floats: &'a mut [f32],
    pub(super) scales: &'a mut [f32],
    pub(super) codes: &'a mut [i8],
    pub(super) sums: &'a mut [i32],
}

/// An input, ready for all matrices that share it. (Its f32 are transformed if the format says so.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    floats: DenseActivations<'a>,
    quantized: Option<Activations<'a>>,
}

/// One input: its columns, and the format that its matrices expect.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputShape {
    pub(super) cols: usize,
    pub(super) format: Option<ActivationFormat>,
    /// What an error calls it.
    pub(super) name: &'static str,
}

impl InputShape {
    /// What `matrix` expects, and all others that share its input.
    pub(super) fn of(matrix: &Matrix<'_>, name: &'static str) -> InputShape {
        let format = match matrix {
            Matrix::Quantized(_, format) => Some(*format),
            Matrix::Dense(_) => None,
        };
        InputShape { cols: matrix.cols(), format, name }
    }
}

impl InputBuffers<'_> {
    /// Fills one row of `shape.cols` numbers from each of the `rows` sources, and quantizes it if the format says so. `fill`
    /// says whether all is finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub(super) fn fill<S: Iterator + Send>(
        &mut self,
        (backend, team): (Backend, &dyn Team),
        shape: InputShape,
        rows: usize,
        sources: S,
        fill: impl Fn(S::Item, &mut [f32]) -> bool + Sync,
    ) -> Result<Input<'_>, Error> {
        let stride = padded_cols(shape.cols);
        let floats = &mut self.floats[..rows * stride];
        let Some(format) = shape.format else {
            let items = sources.zip(floats.chunks_exact_mut(stride));
            let finite = all(team, items, |(source, row)| fill(source, &mut row[..shape.cols]));
            return Input::new(floats, stride, None, finite, shape.name);
        };
        let (blocks, room) = (stride.div_ceil(format.block.cols()), padded_tokens(rows));
        let codes = &mut self.codes[..room * stride];
        let scales = &mut self.scales[..room * blocks];
        let sums = &mut self.sums[..room * stride / SUM_COLS];
        let together = room.min(TOKEN_BLOCK);
        let quantized =
            codes.chunks_exact_mut(together * stride).zip(sums.chunks_exact_mut(together * stride / SUM_COLS));
        let targets =
            floats.chunks_mut(together * stride).zip(scales.chunks_exact_mut(together * blocks)).zip(quantized);
        let finite = all(team, Blocks(sources).zip(targets), |(sources, ((floats, scales), (codes, sums)))| {
            let mut finite = true;
            for (row, source) in floats.chunks_exact_mut(stride).zip(sources.into_iter().flatten()) {
                finite &= fill(source, &mut row[..shape.cols]);
                row[shape.cols..].fill(0.0);
            }
            activation::quantize_block(backend, floats, stride, format, codes, scales, sums).is_ok() && finite
        });
        let quantized = Activations::new(rows, stride, format.block, codes, scales, sums)?;
        Input::new(floats, stride, Some(quantized), finite, shape.name)
    }
}

/// The items of an iterator, four at a time.
struct Blocks<I>(I);

impl<I: Iterator> Iterator for Blocks<I> {
    type Item = [Option<I::Item>; TOKEN_BLOCK];

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.0.next()?;
        let mut block = [Some(first), None, None, None];
        for place in &mut block[1..] {
            *place = self.0.next();
        }
        Some(block)
    }
}

impl<'a> Input<'a> {
    fn new(
        values: &'a [f32],
        stride: usize,
        quantized: Option<Activations<'a>>,
        finite: bool,
        name: &'static str,
    ) -> Result<Input<'a>, Error> {
        let input = Input { floats: DenseActivations { values, stride }, quantized };
        if finite { Ok(input) } else { Err(Error::NotFinite { at: name }) }
    }

    /// `out[t][r] = Σ matrix[r] · x[t]` for the rows of `out`, which start at a multiple of 16.
    pub(super) fn multiply(&self, backend: Backend, matrix: &Matrix<'_>, out: &mut RowsMut<'_>) {
        match (matrix, &self.quantized) {
            (Matrix::Dense(matrix), _) => dense::matmul(backend, matrix, self.floats, out),
            (Matrix::Quantized(matrix, _), Some(x)) => {
                let rows = out.range();
                let panels = rows.start / PANEL_ROWS..rows.end.div_ceil(PANEL_ROWS);
                kernel::matmul(backend, matrix, x, panels, out);
            }
            // `Weights::new` lets only matrices of one format share an input.
            (Matrix::Quantized(..), None) => unreachable!("a quantized matrix met an input that was not quantized"),
        }
    }
}
