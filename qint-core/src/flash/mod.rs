//! The flash image `*.qfw`: a whole model as one block of bytes that firmware reads where it lies.
//!
//! ```text
//! header    256 bytes: sizes, numbers, special tokens, checksums               (header)
//! formats   4 bytes a matrix: codec, group, transform, activation block
//! pieces    offsets and bytes of the vocabulary
//! weights   embedding; each layer's norm, q, k, v, o, norm, gate, up, down; final norm; head unless tied
//! ```
//! Every part starts at a multiple of 64. docs/format.md has it byte by byte. [`FlashImage::from_bytes`] checks every
//! number once, copies nothing and computes nothing; past it only [`FlashImage::verify`] can find fault. Little-endian
//! machines only.
mod checksum;
mod error;
mod header;
mod parts;
#[cfg(test)]
mod tests;

pub use checksum::Checksum;
pub use error::FlashError;
pub use header::{FlashHeader, HEADER_BYTES, MAX_END_TOKENS};
pub use parts::{FORMAT_BYTES, Layers, PART_ALIGN, format_bytes, matrix_count};

use crate::{
    llama::{Config, Layer, Weights},
    matrix::Matrix,
};
use parts::Parts;

/// Bytes of a layer's view on a machine with 32-bit pointers: what firmware keeps in RAM for each layer.
pub const LAYER_BYTES: usize = 240;
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Layer<'_>>() == LAYER_BYTES);

/// A flash image whose every number was checked.
#[derive(Clone, Copy, Debug)]
pub struct FlashImage<'a> {
    header: FlashHeader,
    /// All of it, without what follows in flash.
    bytes: &'a [u8],
    checksum: u32,
    pieces: Pieces<'a>,
    embedding: Matrix<'a>,
    final_norm: &'a [f32],
    head: Matrix<'a>,
    layers: Parts<'a>,
}

/// The vocabulary's text.
#[derive(Clone, Copy, Debug)]
struct Pieces<'a> {
    /// `[vocabulary + 1]` little-endian u32, ascending.
    offsets: &'a [[u8; 4]],
    text: &'a [u8],
}

impl<'a> FlashImage<'a> {
    /// The image at the start of `bytes`, which begin at a multiple of four; what follows the image is left alone, so this
    /// may be all of a flash partition. The weights themselves are not looked at: any bytes are legal weights.
    ///
    /// # Errors
    /// [`FlashError`], for everything that breaks the format.
    ///
    /// ```
    /// use qint_core::flash::{FlashError, FlashImage};
    /// assert_eq!(FlashImage::from_bytes(&[]).unwrap_err(), FlashError::Truncated { given: 0, needed: 256 });
    /// ```
    pub fn from_bytes(bytes: &'a [u8]) -> Result<FlashImage<'a>, FlashError> {
        let (header, sizes) = FlashHeader::parse(bytes)?;
        let truncated = FlashError::Truncated { given: bytes.len(), needed: sizes.image };
        let bytes = bytes.get(..sizes.image).ok_or(truncated)?;
        let mut parts = Parts::new(bytes, &header)?;
        let pieces = Pieces::new(&mut parts, &header, sizes.text)?;
        let config = &header.config;
        let embedding = parts.matrix(config.vocabulary, config.hidden)?;
        let layers = parts;
        for _ in 0..config.layers {
            parts.layer(config)?;
        }
        let final_norm = parts.norm(config.hidden)?;
        let head = if header.tied_head { embedding } else { parts.matrix(config.vocabulary, config.hidden)? };
        match parts.left() {
            0 => {}
            left => return Err(FlashError::Size { found: sizes.image, expected: sizes.image - left }),
        }
        Ok(FlashImage { header, bytes, checksum: sizes.checksum, pieces, embedding, final_norm, head, layers })
    }

    /// What the image says about itself.
    pub const fn header(&self) -> &FlashHeader {
        &self.header
    }

    /// The architecture.
    pub const fn config(&self) -> &Config {
        &self.header.config
    }

    /// Bytes of the image.
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The text of a token inside a text, empty for special ones; it need not be whole characters.
    pub fn piece(&self, id: u32) -> Option<&'a [u8]> {
        let offset = |index: usize| self.pieces.offsets.get(index).map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let index = id as usize;
        self.pieces.text.get(offset(index)?..offset(index.checked_add(1)?)?)
    }

    /// The transformer blocks in order.
    pub fn layers(&self) -> Layers<'a> {
        Layers::new(self.layers, self.header.config)
    }

    /// The same as an array, for programs that know their model.
    ///
    /// # Errors
    /// [`FlashError::Layers`] if the model has another number of them.
    pub fn layer_array<const N: usize>(&self) -> Result<[Layer<'a>; N], FlashError> {
        let wrong = FlashError::Layers { given: N, needed: self.header.config.layers };
        let first = self.layers().next().filter(|_| N == self.header.config.layers).ok_or(wrong)?;
        let mut all = [first; N];
        all.iter_mut().zip(self.layers()).for_each(|(place, layer)| *place = layer);
        Ok(all)
    }

    /// The model, over layers that the caller keeps.
    ///
    /// # Errors
    /// [`FlashError::Core`] if they are not this image's.
    pub fn weights(&self, layers: &'a [Layer<'a>]) -> Result<Weights<'a>, FlashError> {
        Weights::new(self.header.config, self.embedding, layers, self.final_norm, self.head).map_err(FlashError::Core)
    }

    /// Reads all of it and compares the checksum.
    ///
    /// # Errors
    /// [`FlashError::Checksum`] if the flash does not hold what was written.
    pub fn verify(&self) -> Result<(), FlashError> {
        let found = Checksum::new().with(self.bytes.get(HEADER_BYTES..).unwrap_or_default()).value();
        if found == self.checksum { Ok(()) } else { Err(FlashError::Checksum { found, expected: self.checksum }) }
    }
}

impl<'a> Pieces<'a> {
    fn new(parts: &mut Parts<'a>, header: &FlashHeader, text: usize) -> Result<Pieces<'a>, FlashError> {
        let offsets = parts.take(4 * (header.config.vocabulary + 1))?.as_chunks().0;
        let text = parts.take(text)?;
        let mut last = 0;
        for (id, offset) in offsets.iter().enumerate() {
            let offset = u32::from_le_bytes(*offset) as usize;
            let (first, end) = (id == 0, id + 1 == offsets.len());
            if offset < last || offset > text.len() || (first && offset != 0) || (end && offset != text.len()) {
                return Err(FlashError::Piece { id: id as u32 });
            }
            last = offset;
        }
        Ok(Pieces { offsets, text })
    }
}
