//! A model's matrices, borrowed and checked to fit together.
use super::{Config, config::expect, embedding};
use crate::{
    Error,
    backend::Backend,
    layout::padded_cols,
    matrix::{Matrix, expect_length},
};

/// One transformer block. Matrix shapes are rows × columns.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `[hidden]`, before attention.
    pub attention_norm: &'a [f32],
    /// `heads · head_dim` × `hidden`, rotary pairs in two halves (Hugging Face order).
    pub q: Matrix<'a>,
    /// `kv_heads · head_dim` × `hidden`.
    pub k: Matrix<'a>,
    /// `kv_heads · head_dim` × `hidden`.
    pub v: Matrix<'a>,
    /// `hidden` × `heads · head_dim`.
    pub o: Matrix<'a>,
    /// `[hidden]`, before the MLP.
    pub mlp_norm: &'a [f32],
    /// `intermediate` × `hidden`.
    pub gate: Matrix<'a>,
    /// `intermediate` × `hidden`.
    pub up: Matrix<'a>,
    /// `hidden` × `intermediate`.
    pub down: Matrix<'a>,
}

/// A whole model.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    config: Config,
    embedding: Matrix<'a>,
    layers: &'a [Layer<'a>],
    final_norm: &'a [f32],
    head: Matrix<'a>,
}

impl<'a> Weights<'a> {
    /// A model of `config`: `embedding` and `head` are `vocabulary` × `hidden` and may be the same matrix (tied); there is
    /// one entry in `layers` per block; `final_norm` is `[hidden]`.
    ///
    /// # Errors
    /// As [`Config::check`]; [`Error::Mismatch`] or [`Error::Length`] if a shape differs from `config`, or if matrices that
    /// share an input (q, k, v; gate, up) expect it in different formats.
    pub fn new(
        config: Config,
        embedding: Matrix<'a>,
        layers: &'a [Layer<'a>],
        final_norm: &'a [f32],
        head: Matrix<'a>,
    ) -> Result<Weights<'a>, Error> {
        config.check()?;
        expect_shape(("embedding rows", "embedding columns"), &embedding, config.vocabulary, config.hidden)?;
        expect_shape(("head rows", "head columns"), &head, config.vocabulary, config.hidden)?;
        expect("layers", layers.len(), config.layers)?;
        layers.iter().try_for_each(|layer| layer.check(&config))?;
        expect_length("final norm", final_norm.len(), config.hidden)?;
        Ok(Weights { config, embedding, layers, final_norm, head })
    }

    /// The architecture.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// `vocabulary` × `hidden`.
    pub const fn embedding(&self) -> &Matrix<'a> {
        &self.embedding
    }

    /// The transformer blocks.
    pub const fn layers(&self) -> &'a [Layer<'a>] {
        self.layers
    }

    /// `[hidden]`, before the head.
    pub const fn final_norm(&self) -> &'a [f32] {
        self.final_norm
    }

    /// `vocabulary` × `hidden`.
    pub const fn head(&self) -> &Matrix<'a> {
        &self.head
    }

    /// The embedding of token `id` times the model's scale, `[hidden]`: how the forward pass starts. `scratch` holds the padded
    /// columns of [`hidden`](Config::hidden), a multiple of 32.
    ///
    /// # Errors
    /// [`Error::Token`], or [`Error::Length`] if `scratch` or `out` have another length.
    pub fn embed(&self, backend: Backend, id: u32, scratch: &mut [f32], out: &mut [f32]) -> Result<(), Error> {
        let Config { hidden, vocabulary, embedding_scale, .. } = self.config;
        expect_length("embedding scratch", scratch.len(), padded_cols(hidden))?;
        expect_length("embedding", out.len(), hidden)?;
        if !embedding::look_up(backend, &self.embedding, id as usize, embedding_scale, scratch, out) {
            return Err(Error::Token { id, vocabulary });
        }
        Ok(())
    }
}

impl Layer<'_> {
    /// Whether it is a layer of such a model.
    pub(crate) fn check(&self, config: &Config) -> Result<(), Error> {
        let (hidden, q_dim, kv_dim) = (config.hidden, config.q_dim(), config.kv_dim());
        expect_length("attention norm", self.attention_norm.len(), hidden)?;
        expect_length("MLP norm", self.mlp_norm.len(), hidden)?;
        expect_shape(("q rows", "q columns"), &self.q, q_dim, hidden)?;
        expect_shape(("k rows", "k columns"), &self.k, kv_dim, hidden)?;
        expect_shape(("v rows", "v columns"), &self.v, kv_dim, hidden)?;
        expect_shape(("o rows", "o columns"), &self.o, hidden, q_dim)?;
        expect_shape(("gate rows", "gate columns"), &self.gate, config.intermediate, hidden)?;
        expect_shape(("up rows", "up columns"), &self.up, config.intermediate, hidden)?;
        expect_shape(("down rows", "down columns"), &self.down, hidden, config.intermediate)?;
        expect_input("activation format of k, other than of q", &self.k, &self.q)?;
        expect_input("activation format of v, other than of q", &self.v, &self.q)?;
        expect_input("activation format of up, other than of gate", &self.up, &self.gate)
    }
}

fn expect_shape(
    what: (&'static str, &'static str),
    matrix: &Matrix<'_>,
    rows: usize,
    cols: usize,
) -> Result<(), Error> {
    expect(what.0, matrix.rows(), rows)?;
    expect(what.1, matrix.cols(), cols)
}

/// Matrices that share an input agree on its format. The numbers of the error: 0 for a dense matrix, else the columns of
/// an activation block, plus 1 if transformed.
fn expect_input(what: &'static str, matrix: &Matrix<'_>, other: &Matrix<'_>) -> Result<(), Error> {
    expect(what, input_number(matrix), input_number(other))
}

fn input_number(matrix: &Matrix<'_>) -> usize {
    use crate::activation::Transform;
    match matrix {
        Matrix::Dense(_) => 0,
        Matrix::Quantized(_, format) => format.block.cols() + usize::from(format.transform == Transform::Hadamard),
    }
}
