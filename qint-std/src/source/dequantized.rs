//! A container as a source: its matrices dequantized, in the domain of the checkpoint, for exports and comparisons.
use super::{Source, SourceTensor, check_request};
use crate::{Error, Result, config::ModelConfig, container::Container};
use qint_core::{
    activation::Transform,
    backend::Backend,
    dequantize, hadamard,
    matrix::{DenseValues, Matrix},
};
use std::{borrow::Cow, ops::Range};

/// The weights that a container stands for, as f32.
pub struct Dequantized {
    container: Container,
    tensors: Vec<SourceTensor>,
}

impl Dequantized {
    /// A source over an open container.
    pub fn new(container: Container) -> Dequantized {
        let expected = container.manifest().config.expected_tensors().into_iter();
        let tensors = expected.map(|expected| {
            let info = container.manifest().matrices.iter().find(|info| info.name == expected.name);
            let (stored, bytes) = match info {
                Some(info) => (info.layout.codec().name(), info.layout.panels_bytes() + 4 * info.layout.padded_rows()),
                None => ("f32", 4 * expected.cols),
            };
            SourceTensor { stored, bytes: bytes as u64, expected }
        });
        Dequantized { tensors: tensors.collect(), container }
    }

    fn read_row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<()> {
        let missing = || Error::malformed(name, "it is not in the container");
        let Matrix::Quantized(matrix, format) = self.container.matrix(name).ok_or_else(missing)? else {
            return Err(missing());
        };
        let mut stored = vec![0.0; matrix.layout().padded_cols()];
        dequantize::row(&matrix, row, &mut stored).map_err(Error::core(name))?;
        if format.transform == Transform::Hadamard {
            // The stored row is w·H/n, and H·H = n.
            hadamard::transform(Backend::detect(), &mut stored);
        }
        out.copy_from_slice(&stored[..out.len()]);
        Ok(())
    }
}

impl Source for Dequantized {
    fn config(&self) -> &ModelConfig {
        &self.container.manifest().config
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let tensor = &self.tensors[index];
        check_request(tensor, &rows, out)?;
        let expected = &tensor.expected;
        if let Some(gains) = self.container.norm(&expected.name).filter(|_| expected.role.is_norm()) {
            out.copy_from_slice(&gains[rows.start * expected.cols..rows.end * expected.cols]);
            return Ok(());
        }
        let mut rows_out = rows.zip(out.chunks_exact_mut(expected.cols));
        rows_out.try_for_each(|(row, out)| self.read_row(&expected.name, row, out))
    }

    fn dense(&self, _: usize) -> Option<DenseValues<'_>> {
        None
    }

    fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.container.asset(name).map(Cow::Borrowed)
    }

    fn ignored(&self) -> &[String] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        convert::{Options, convert},
        mapping::Loading,
        npz,
        quantize::{Recipe, Scheme},
        source,
    };
    use qint_core::codec::Codec;

    /// A q8 container, exported and opened again, is close to its checkpoint; both domains occur.
    #[test]
    fn an_exported_container_is_close_to_its_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoint =
            source::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/tinyllama").as_ref()).unwrap();
        let mut recipe = Recipe::new(Scheme::of(Codec::Q8));
        recipe.activation_rules.push("*.mlp.*=none".parse().unwrap());
        let (model, exported) = (directory.path().join("m"), directory.path().join("npz"));
        convert(&*checkpoint, &recipe, &model, &Options::default(), &|_| {}).unwrap();
        npz::export(&Dequantized::new(Container::open(&model, Loading::Map).unwrap()), &exported, false).unwrap();
        let exported = source::open(&exported).unwrap();
        assert_eq!(exported.config(), checkpoint.config());
        for (index, tensor) in checkpoint.tensors().iter().enumerate() {
            let expected = &tensor.expected;
            let read = |source: &dyn Source| {
                let mut values = vec![0.0; expected.rows * expected.cols];
                source.read_rows(index, 0..expected.rows, &mut values).unwrap();
                values
            };
            let (a, b) = (read(&*checkpoint), read(&*exported));
            let norm: f32 = a.iter().map(|a| a * a).sum();
            let error: f32 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
            assert!(error <= 0.008 * 0.008 * norm, "{}: {}", expected.name, (error / norm).sqrt());
        }
    }
}
