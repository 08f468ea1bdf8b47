//! What can be wrong with a flash image.
use crate::Error;
use core::fmt;

/// A refused flash image.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FlashError {
    /// There are fewer bytes than the image has.
    Truncated {
        /// Bytes given.
        given: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The image does not start at a multiple of four, or this machine is big-endian.
    Misaligned,
    /// It does not start like a flash image.
    Magic,
    /// It is of another version of the format.
    Version {
        /// The version found.
        found: u32,
    },
    /// The header was changed.
    HeaderChecksum,
    /// The data are not what was written.
    Checksum {
        /// Of the bytes there are.
        found: u32,
        /// As the header says.
        expected: u32,
    },
    /// A field of the header has a value that this version does not know.
    Field {
        /// Byte of the header.
        offset: usize,
        /// The value found.
        value: u32,
    },
    /// A matrix is of a kind that this version does not know.
    Format {
        /// The matrix, in the order of the file.
        matrix: usize,
    },
    /// The image is longer than its parts.
    Size {
        /// Bytes of the image.
        found: usize,
        /// Bytes of its parts.
        expected: usize,
    },
    /// The text of a token does not lie inside the text.
    Piece {
        /// The token.
        id: u32,
    },
    /// A norm's gain is NaN or infinite.
    Norm,
    /// Another number of layers than the image has.
    Layers {
        /// Layers asked for.
        given: usize,
        /// Layers there are.
        needed: usize,
    },
    /// A shape, a number or a row scale that qint-core refuses.
    Core(Error),
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FlashError::Truncated { given, needed } => {
                write!(f, "{given} bytes given, the image has {needed}; was all of it written?")
            }
            FlashError::Misaligned => f.write_str(
                "an image starts at a multiple of 4 bytes (include_qint! sees to it) of a little-endian machine",
            ),
            FlashError::Magic => f.write_str("no flash image; `qint export --target flash` makes them"),
            FlashError::Version { found } => write!(f, "version {found} of the format; export the model again"),
            FlashError::HeaderChecksum => f.write_str("the header's checksum differs; write the image again"),
            FlashError::Checksum { found, expected } => {
                write!(f, "the checksum is {found:08x} instead of {expected:08x}; write the image again")
            }
            FlashError::Field { offset, value } => {
                write!(f, "byte {offset} of the header holds {value:#x}, which this version does not know")
            }
            FlashError::Format { matrix } => {
                write!(f, "matrix {matrix} is of a kind that this version does not know")
            }
            FlashError::Size { found, expected } => write!(f, "the image has {found} bytes, its parts {expected}"),
            FlashError::Piece { id } => write!(f, "the text of token {id} lies outside the vocabulary's text"),
            FlashError::Norm => f.write_str("a norm's gain is NaN or infinite"),
            FlashError::Layers { given, needed } => write!(f, "{given} layers asked for, the model has {needed}"),
            FlashError::Core(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FlashError {}

impl From<Error> for FlashError {
    fn from(error: Error) -> FlashError {
        FlashError::Core(error)
    }
}
