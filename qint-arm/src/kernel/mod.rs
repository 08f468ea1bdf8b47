//! The integer kernels: which there are, and what one of them is.
//!
//! A kernel takes one activation block: codes and sub-scales of a panel, and a *stream*, the block's activations in the very
//! order in which its inner loop reads them. It writes sixteen exact sums: sixteen rows of one token, or four rows of four
//! tokens.
//!
//! | stream | what it is made of | kernels |
//! |---|---|---|
//! | [`nested`] | coefficient pairs that undo overlapping fields | linear codecs on a DSP core |
//! | [`pairs`] | pairs of activations for pairs of looked-up levels | table codecs on a DSP core |
//! | [`swar`] | two activations in one multiplier | linear codecs elsewhere |
//! | [`plain`] | the codes as they are | table codecs elsewhere |
//! | `helium` | quads of four vectors of codes | a Helium core |
//!
//! Streams are plain words, so each is written once, in Rust, and tested on any machine; inner loops are assembly
//! (`*.s`), whole functions each, because compilers spill them. Where there is no assembly,
//! [`swar::portable`] walks the same stream.
/// Declares kernels that assembly defines.
#[cfg(not(qint_kernels = "portable"))]
macro_rules! panels {
    ($($name:ident)*) => {
        // SAFETY: defined in the assembly beside this with these arguments (some leave the table alone), by the procedure
        // call standard.
        unsafe extern "C" {
            $(fn $name(_: *const u8, _: *const u8, _: *const u32, _: *mut Sums, _: *const u32);)*
        }
    };
}

mod columns;
#[cfg(qint_kernels = "dsp")]
mod dsp;
#[cfg(qint_kernels = "helium")]
pub(crate) mod helium;
#[cfg(any(qint_kernels = "dsp", test))]
mod nested;
#[cfg(any(qint_kernels = "dsp", test))]
mod pairs;
#[cfg(not(any(qint_kernels = "dsp", qint_kernels = "helium")))]
mod plain;
#[cfg(not(any(qint_kernels = "dsp", qint_kernels = "helium")))]
mod swar;
#[cfg(test)]
mod tests;
#[cfg(any(qint_kernels = "thumb1", qint_kernels = "thumb2"))]
mod thumb;

pub(crate) use columns::{Columns, Words};

#[cfg(qint_kernels = "dsp")]
pub(crate) use dsp::choose;
#[cfg(qint_kernels = "helium")]
pub(crate) use helium::choose;
#[cfg(qint_kernels = "portable")]
pub(crate) use swar::choose;
#[cfg(any(qint_kernels = "thumb1", qint_kernels = "thumb2"))]
pub(crate) use thumb::choose;

use qint_core::codec::{Codec, Group};

/// `[row]`, or `[row][token]`.
pub(crate) type Sums = [i32; 16];

/// The sums of one activation block: (codes, sub-scales, stream, sums, table).
///
/// # Safety
/// Codes and sub-scales are those of a panel from the block's first column and the first row wanted on, at a multiple of 4
/// (of 1 for the sub-scales of a batch); the stream was written for this kernel, this block and this group; the table is the
/// kernel's.
pub(crate) type Panel = unsafe extern "C" fn(*const u8, *const u8, *const u32, *mut Sums, *const u32);

/// How a product is done.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    /// Tokens that are worked on together: 1 or 4. With 1 the kernel does sixteen rows, with 4 four.
    pub(crate) lanes: usize,
    /// The order of the activations.
    pub(crate) stream: Stream,
    /// The inner loops.
    pub(crate) panel: Panel,
    /// Pairs of levels, for the kernels that look codes up.
    pub(crate) table: &'static [u32],
}

impl Kernel {
    /// The kernel for the same stream that wants corrections of its matrix instead of a table.
    pub(crate) fn corrected(&self) -> Panel {
        #[cfg(qint_kernels = "helium")]
        return helium::CORRECTED;
        #[cfg(not(qint_kernels = "helium"))]
        self.panel
    }
}

/// An order of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each target has some of them")]
pub(crate) enum Stream {
    Nested,
    Pairs,
    Swar,
    Plain,
    #[cfg(qint_kernels = "helium")]
    Helium,
}

impl Stream {
    /// Words that `cols` (a multiple of 32) columns of one activation block need, for `lanes` tokens.
    pub(crate) const fn words(self, codec: Codec, group: Group, cols: usize, lanes: usize) -> usize {
        let (groups, steps) = (cols.div_ceil(group.cols()), cols / 32);
        match self {
            Stream::Nested | Stream::Pairs => 5 * (groups + 1) + cols / 2 * lanes,
            Stream::Swar if matches!(codec, Codec::Q8) => 6 * steps + cols,
            Stream::Swar => 6 * steps + cols / 2,
            Stream::Plain => groups + 1 + cols / 4,
            #[cfg(qint_kernels = "helium")]
            Stream::Helium => helium::words(codec, group, cols),
        }
    }

    /// Writes the activations of one block.
    pub(crate) fn write(self, codec: Codec, group: Group, x: Columns<'_>, to: &mut Words<'_>) {
        match self {
            #[cfg(any(qint_kernels = "dsp", test))]
            Stream::Nested => nested::write(codec, group, x, to),
            #[cfg(any(qint_kernels = "dsp", test))]
            Stream::Pairs => pairs::write(codec, group, x, to),
            #[cfg(not(any(qint_kernels = "dsp", qint_kernels = "helium")))]
            Stream::Swar => swar::write(codec, group, x, to),
            #[cfg(not(any(qint_kernels = "dsp", qint_kernels = "helium")))]
            Stream::Plain => plain::write(group, x, to),
            #[cfg(qint_kernels = "helium")]
            Stream::Helium => helium::write(codec, group, x, to),
            #[allow(unreachable_patterns, reason = "streams of other targets")]
            _ => {}
        }
    }
}

/// Level = `step` · code − `bias`, for the codecs that have no table.
pub(crate) const fn linear(codec: Codec) -> Option<(i32, i32)> {
    match codec {
        Codec::Q4 | Codec::Q2 => None,
        _ => {
            let levels = codec.levels();
            Some((levels[1] as i32 - levels[0] as i32, -(levels[0] as i32)))
        }
    }
}
