//! A checkpoint's matrices, rounded in the simplest way.
use crate::checkpoint::Checkpoint;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    backend::Backend,
    codec::Codec,
    hadamard,
    layout::Layout,
    llama::Weights,
    matrix::{DenseMatrix, DenseValues, Matrix, PANELS_ALIGN, QMatrix},
    pack::pack_row,
};
use std::{collections::HashMap, ops::Range};

/// Owned panels and row scales.
struct Packed {
    layout: Layout,
    /// Panels start at the first aligned byte.
    bytes: Vec<u8>,
    row_scales: Vec<f32>,
}

/// What `transform: hadamard` and 256 columns a block mean, or not.
pub(crate) const fn format(transform: Transform) -> ActivationFormat {
    ActivationFormat { transform, block: ActivationBlock::B256 }
}

/// Calls `test` with the model whose matrices `codec_of` gives a codec; those without stay dense.
pub(crate) fn with_quantized<R>(
    checkpoint: &Checkpoint,
    codec_of: impl Fn(&str) -> Option<(Codec, ActivationFormat)>,
    test: impl FnOnce(&Weights<'_>) -> R,
) -> R {
    let names = checkpoint.matrix_names();
    let packed: HashMap<&str, (Packed, ActivationFormat)> = names
        .iter()
        .filter_map(|name| {
            let (codec, format) = codec_of(name)?;
            Some((name.as_str(), (Packed::new(&checkpoint.matrix(name), codec, format.transform), format)))
        })
        .collect();
    let matrix = |name: &str| match packed.get(name) {
        Some((packed, format)) => Matrix::Quantized(packed.matrix(), *format),
        None => Matrix::Dense(checkpoint.matrix(name)),
    };
    let norms = checkpoint.norms();
    let layers = checkpoint.layers(&norms, matrix);
    let (embedding, head) = (matrix("model.embed_tokens"), matrix(checkpoint.head_name()));
    test(&Weights::new(checkpoint.config, embedding, &layers, &norms[2 * layers.len()], head).unwrap())
}

impl Packed {
    fn new(matrix: &DenseMatrix<'_>, codec: Codec, transform: Transform) -> Packed {
        let layout = Layout::new(matrix.rows(), matrix.cols(), codec, codec.default_group()).unwrap();
        let bytes = vec![0; layout.panels_bytes() + PANELS_ALIGN];
        let mut packed = Packed { layout, bytes, row_scales: vec![0.0; layout.padded_rows()] };
        for (row, values) in to_f32(matrix).chunks(matrix.cols()).enumerate() {
            let mut values = values.to_vec();
            values.resize(layout.padded_cols(), 0.0);
            if transform == Transform::Hadamard {
                hadamard::inverse(Backend::detect(), &mut values);
            }
            packed.round_row(row, &values);
        }
        packed
    }

    /// Every group's largest magnitude meets the codec's largest level.
    fn round_row(&mut self, row: usize, values: &[f32]) {
        let (codec, group) = (self.layout.codec(), self.layout.group().cols());
        let top = codec.levels().iter().fold(0f32, |top, &level| top.max(f32::from(level)));
        let largest = |values: &[f32]| values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let row_scale = largest(values) / top / 127.0;
        let (mut codes, mut sub_scales) = (Vec::new(), Vec::new());
        for values in values.chunks(group) {
            let sub_scale = (largest(values) / top / row_scale).round().max(1.0);
            let scale = row_scale * sub_scale;
            codes.extend(values.iter().map(|x| nearest(codec, x / scale)));
            sub_scales.push(sub_scale as i8);
        }
        self.row_scales[row] = row_scale;
        let panels = self.panels();
        pack_row(&self.layout, row, &codes, &sub_scales, &mut self.bytes[panels]).unwrap();
    }

    fn matrix(&self) -> QMatrix<'_> {
        QMatrix::new(self.layout, &self.bytes[self.panels()], &self.row_scales).unwrap()
    }

    fn panels(&self) -> Range<usize> {
        let start = self.bytes.as_ptr().align_offset(PANELS_ALIGN);
        start..start + self.layout.panels_bytes()
    }
}

fn nearest(codec: Codec, x: f32) -> u8 {
    let distance = |code: u8| (f32::from(codec.level(code)) - x).abs();
    let last = (codec.levels().len() - 1) as u8;
    (0..=last).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap()
}

fn to_f32(matrix: &DenseMatrix<'_>) -> Vec<f32> {
    match matrix.values() {
        DenseValues::F32(values) => values.to_vec(),
        DenseValues::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
        DenseValues::BF16(values) => values.iter().map(|x| x.to_f32()).collect(),
    }
}
