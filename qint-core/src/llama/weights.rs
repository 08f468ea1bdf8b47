//! A model's matrices, borrowed and checked to fit together.
use super::Config;
use crate::matrix::Matrix;

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
