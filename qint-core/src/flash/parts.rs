//! The parts of an image one after the other, each at a multiple of 64.
use super::{FlashError, FlashHeader, HEADER_BYTES};
use crate::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    codec::{Codec, Group},
    layout::Layout,
    llama::{Config, Layer},
    matrix::{Matrix, QMatrix},
};

/// Parts start at multiples of this many bytes of the image.
pub const PART_ALIGN: usize = 64;
/// Bytes that say what a matrix is.
pub const FORMAT_BYTES: usize = 4;

/// Matrices of a model.
pub const fn matrix_count(config: &Config, tied_head: bool) -> usize {
    1 + 7 * config.layers + !tied_head as usize
}

/// What the image says about a matrix: codec (its place in [`Codec::ALL`]), columns of a group / 32, transform (0 none,
/// 1 Hadamard), columns of an activation block / 256.
pub fn format_bytes(layout: &Layout, activation: ActivationFormat) -> [u8; FORMAT_BYTES] {
    let codec = Codec::ALL.iter().take_while(|codec| **codec != layout.codec()).count();
    let transform = u8::from(activation.transform == Transform::Hadamard);
    [codec as u8, (layout.group().cols() / 32) as u8, transform, (activation.block.cols() / 256) as u8]
}

/// What was not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    left: &'a [u8],
    /// Formats of all matrices, and how many were read.
    formats: &'a [[u8; FORMAT_BYTES]],
    matrix: usize,
}

impl<'a> Parts<'a> {
    /// The parts of a whole image.
    pub(super) fn new(bytes: &'a [u8], header: &FlashHeader) -> Result<Parts<'a>, FlashError> {
        let mut parts = Parts { left: bytes, formats: &[], matrix: 0 };
        parts.take(HEADER_BYTES)?;
        let formats = FORMAT_BYTES * matrix_count(&header.config, header.tied_head);
        parts.formats = parts.take(formats)?.as_chunks().0;
        Ok(parts)
    }

    /// Bytes that no part has taken.
    pub(super) const fn left(&self) -> usize {
        self.left.len()
    }

    /// The next `count` bytes; the pad after them is left out.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FlashError> {
        let truncated = FlashError::Truncated { given: self.left.len(), needed: count };
        let padded = count.checked_next_multiple_of(PART_ALIGN).ok_or(truncated)?;
        let (part, left) = self.left.split_at_checked(padded).ok_or(truncated)?;
        self.left = left;
        part.get(..count).ok_or(truncated)
    }

    pub(super) fn norm(&mut self, cols: usize) -> Result<&'a [f32], FlashError> {
        let gains = self.floats(cols)?;
        if gains.iter().all(|gain| gain.is_finite()) { Ok(gains) } else { Err(FlashError::Norm) }
    }

    pub(super) fn matrix(&mut self, rows: usize, cols: usize) -> Result<Matrix<'a>, FlashError> {
        let unknown = FlashError::Format { matrix: self.matrix };
        let [codec, group, transform, block] = *self.formats.get(self.matrix).ok_or(unknown)?;
        let codec = *Codec::ALL.get(usize::from(codec)).ok_or(unknown)?;
        let group = Group::from_cols(32 * usize::from(group)).ok_or(unknown)?;
        let block = ActivationBlock::from_cols(256 * usize::from(block)).ok_or(unknown)?;
        let transform = match transform {
            0 => Transform::None,
            1 => Transform::Hadamard,
            _ => return Err(unknown),
        };
        self.matrix += 1;
        let layout = Layout::new(rows, cols, codec, group)?;
        let panels = self.take(layout.panels_bytes())?;
        let row_scales = self.floats(layout.padded_rows())?;
        let matrix = QMatrix::new(layout, panels, row_scales)?;
        Ok(Matrix::Quantized(matrix, ActivationFormat { transform, block }))
    }

    pub(super) fn layer(&mut self, config: &Config) -> Result<Layer<'a>, FlashError> {
        let (hidden, q_dim, kv_dim) = (config.hidden, config.q_dim(), config.kv_dim());
        let layer = Layer {
            attention_norm: self.norm(hidden)?,
            q: self.matrix(q_dim, hidden)?,
            k: self.matrix(kv_dim, hidden)?,
            v: self.matrix(kv_dim, hidden)?,
            o: self.matrix(hidden, q_dim)?,
            mlp_norm: self.norm(hidden)?,
            gate: self.matrix(config.intermediate, hidden)?,
            up: self.matrix(config.intermediate, hidden)?,
            down: self.matrix(hidden, config.intermediate)?,
        };
        layer.check(config)?;
        Ok(layer)
    }

    fn floats(&mut self, count: usize) -> Result<&'a [f32], FlashError> {
        let bytes = count.checked_mul(4).ok_or(FlashError::Truncated { given: self.left.len(), needed: usize::MAX })?;
        let bytes = self.take(bytes)?;
        #[allow(unsafe_code)]
        // SAFETY: any four bytes are an f32, in the order of a little-endian machine, which the header's reader demands.
        let (before, floats, after) = unsafe { bytes.align_to::<f32>() };
        if before.is_empty() && after.is_empty() { Ok(floats) } else { Err(FlashError::Misaligned) }
    }
}

/// An image's transformer blocks, one after the other.
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    parts: Parts<'a>,
    config: Config,
    left: usize,
}

impl<'a> Layers<'a> {
    pub(super) const fn new(parts: Parts<'a>, config: Config) -> Layers<'a> {
        Layers { parts, left: config.layers, config }
    }
}

impl<'a> Iterator for Layers<'a> {
    type Item = Layer<'a>;

    fn next(&mut self) -> Option<Layer<'a>> {
        self.left = self.left.checked_sub(1)?;
        // It was read without an error when the image was checked.
        self.parts.layer(&self.config).ok()
    }
}
