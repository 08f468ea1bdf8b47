//! Sizes that follow from a manifest: weights, and bits for each of them with everything counted.
use super::Manifest;
use crate::config::Role;
use qint_core::layout::Layout;

impl Manifest {
    /// Weights of the model: matrices and norms, without padding.
    pub fn weights(&self) -> u64 {
        self.config.expected_tensors().iter().map(|tensor| tensor.rows as u64 * tensor.cols as u64).sum()
    }

    /// Bits per weight of a file of `bytes`.
    pub fn bits_per_weight(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.weights() as f64
    }

    /// Bits per weight of the linear layers' panels and row scales, without embedding and head.
    pub fn bits_per_weight_linear(&self) -> f64 {
        let [embedding, head] = [Role::Embedding, Role::Head].map(Role::name);
        let linear = self.matrices.iter().filter(|matrix| matrix.name != embedding && matrix.name != head);
        let (bytes, weights) = linear.fold((0, 0), |(bytes, weights), matrix| {
            let layout = &matrix.layout;
            (bytes + stored_bytes(layout), weights + layout.rows() as u64 * layout.cols() as u64)
        });
        bytes as f64 * 8.0 / weights as f64
    }
}

/// Bytes of a matrix: panels and row scales.
fn stored_bytes(layout: &Layout) -> u64 {
    (layout.panels_bytes() + 4 * layout.padded_rows()) as u64
}
