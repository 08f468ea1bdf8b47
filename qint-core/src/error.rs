//! What can be wrong with the sizes, bytes and numbers that a caller hands to this crate.
//!
//! Every variant carries the numbers that disagree. `Display` says what to do about it.
use core::fmt;

/// A refused input. Constructors return it; past them nothing fails, except that activations may stop being finite.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// A dimension is zero or larger than the format allows.
    Dimension {
        /// What the number counts, for example `"rows"`.
        what: &'static str,
        /// The number given.
        given: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// A buffer has another length than its shape needs.
    Length {
        /// Which buffer.
        what: &'static str,
        /// Elements given.
        given: usize,
        /// Elements needed.
        needed: usize,
    },
    /// A buffer does not start where it must.
    Misaligned {
        /// Which buffer.
        what: &'static str,
        /// The alignment needed, in bytes.
        needed: usize,
    },
    /// Two parts of a model don't fit together.
    Mismatch {
        /// Which number.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The number expected.
        expected: usize,
    },
    /// A number of the architecture is not finite or not positive.
    Number {
        /// Which number.
        what: &'static str,
        /// The number given.
        given: f64,
    },
    /// A row scale is neither 0 nor within 2⁻⁶⁰..2⁶⁰ in magnitude.
    RowScale {
        /// The row.
        row: usize,
        /// Its scale.
        scale: f32,
    },
    /// The scale of an activation block is neither 0 nor within 2⁻⁶⁷..=2⁶⁴ (qint-arm's kernels).
    ActivationScale {
        /// Its place among the scales.
        index: usize,
        /// The scale.
        scale: f32,
    },
    /// An activation or a logit is NaN or infinite: the model or its input is broken.
    NotFinite {
        /// Where it was noticed, for example `"attention input"`.
        at: &'static str,
    },
    /// A token id is not in the vocabulary.
    Token {
        /// The id.
        id: u32,
        /// The vocabulary's size.
        vocabulary: usize,
    },
    /// A sequence would grow past its KV cache.
    ContextFull {
        /// Positions needed.
        needed: usize,
        /// Positions that the cache holds.
        capacity: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Dimension { what, given, limit } => write!(f, "{what} is {given}, allowed are 1 to {limit}"),
            Error::Length { what, given, needed } => write!(f, "{what} holds {given} elements, {needed} are needed"),
            Error::Misaligned { what, needed } => write!(f, "{what} must start at a multiple of {needed} bytes"),
            Error::Mismatch { what, found, expected } => write!(f, "{what} is {found}, but {expected} is expected"),
            Error::Number { what, given } => write!(f, "{what} is {given}, a positive finite number is needed"),
            Error::RowScale { row, scale } => {
                write!(f, "row {row} has scale {scale:e}; a row scale is 0 or from 2^-60 to 2^60 in magnitude")
            }
            Error::ActivationScale { index, scale } => {
                write!(f, "activation scale {index} is {scale:e}; it is 0 or from 2^-67 to 2^64")
            }
            Error::NotFinite { at } => write!(f, "NaN or infinity in the {at}; the weights or their scales are broken"),
            Error::Token { id, vocabulary } => write!(f, "token {id} is outside the vocabulary of {vocabulary}"),
            Error::ContextFull { needed, capacity } => {
                write!(f, "{needed} positions are needed, the KV cache holds {capacity}; make a larger one")
            }
        }
    }
}

impl core::error::Error for Error {}
