//! What a configuration asks for × what a file holds → one entry per tensor of the model, in the model's order.
use crate::{
    Error, Result,
    config::{ExpectedTensor, ModelConfig},
    limits::shown,
};
use std::collections::HashMap;

/// A tensor in a file, under its Hugging Face name.
pub(crate) struct Found<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) stored: T,
}

/// All tensors of a file, by their Hugging Face name.
pub(crate) type FoundTensors<T> = HashMap<String, Found<T>>;

/// The tensors of a model.
pub(crate) struct Paired<T> {
    /// In the model's order.
    pub(crate) tensors: Vec<(ExpectedTensor, T)>,
    /// Names of those that are left over, sorted. Buffers that transformers recomputes are not worth a mention.
    pub(crate) ignored: Vec<String>,
}

/// Pairs every expected tensor with the one found.
///
/// # Errors
/// `Malformed` with name and shapes for a tensor that is missing or has another shape.
pub(crate) fn pair<T>(config: &ModelConfig, mut found: FoundTensors<T>) -> Result<Paired<T>> {
    let mut tensors = Vec::new();
    for expected in config.expected_tensors() {
        let shape = expected_shape(&expected);
        let Some(tensor) = found.remove(&expected.name) else {
            let why = format!("it is missing; the configuration asks for shape {shape:?}");
            return Err(Error::malformed(format!("tensor {}", expected.name), why));
        };
        if tensor.shape != shape {
            let why = format!("its shape is {:?}, the configuration asks for {shape:?}", tensor.shape);
            return Err(Error::malformed(format!("tensor {}", expected.name), why));
        }
        tensors.push((expected, tensor.stored));
    }
    let mut ignored: Vec<String> =
        found.into_keys().filter(|name| !name.ends_with("rotary_emb.inv_freq")).map(|name| shown(&name)).collect();
    ignored.sort_unstable();
    Ok(Paired { tensors, ignored })
}

fn expected_shape(expected: &ExpectedTensor) -> Vec<usize> {
    if expected.role.is_norm() { vec![expected.cols] } else { vec![expected.rows, expected.cols] }
}
