//! The safetensors header of a container: where every tensor lies, and four strings of metadata.
//!
//! `[length: u64][JSON][spaces]`, then the data. The JSON is parsed into bounded types while it is read, which the
//! safetensors crate does not do. Past [`Header::parse`] the tensors tile the data area exactly: no holes, no overlaps,
//! every start but those of pads at a multiple of 64.
use super::raw::Raw;
use crate::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, fmt, ops::Range};

/// The data area starts at a multiple of this, counted from the start of the file.
pub(super) const DATA_ALIGN: usize = 4096;
/// Every tensor starts at a multiple of this.
pub(super) const TENSOR_ALIGN: usize = 64;
/// Names of pads: `__pad.0`, `__pad.1`, …
pub(super) const PAD_PREFIX: &str = "__pad.";
/// `format` in the metadata.
pub(super) const FORMAT: &str = "qint";
/// The key of the manifest in the metadata.
const MANIFEST: &str = "qint.manifest";
/// `qint.version` in the metadata. Another number is another format.
pub(super) const VERSION: &str = "1";

/// A parsed or planned header.
#[derive(Debug)]
pub(super) struct Header {
    /// The manifest as JSON text.
    pub(super) manifest: String,
    /// In the order of the file.
    pub(super) tensors: Vec<Tensor>,
    /// Bytes before the data.
    pub(super) data_start: usize,
}

/// One entry of the header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    /// Bytes, counted from the start of the data area.
    pub(super) range: Range<usize>,
}

/// The types of numbers that a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    U8,
    F32,
}

/// One or two dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One([usize; 1]),
    Two([usize; 2]),
}

impl Header {
    /// Reads and checks the header of a file that is `bytes`.
    pub(super) fn parse(bytes: &[u8], what: &str) -> Result<Header> {
        let wrong = |why: String| Error::malformed(what, why);
        let (length, rest) = bytes
            .split_first_chunk()
            .ok_or_else(|| wrong(format!("{} bytes are too few for a safetensors file", bytes.len())))?;
        let length = u64::from_le_bytes(*length);
        let json = usize::try_from(length)
            .ok()
            .filter(|length| *length <= limits::SAFETENSORS_HEADER_BYTES)
            .ok_or_else(|| wrong(format!("a header of {length} bytes is not a container's")))
            .and_then(|length| {
                rest.get(..length).ok_or_else(|| wrong(format!("header of {length} bytes in {}", bytes.len())))
            })?;
        let raw = parse_json(json, what)?;
        let data_start = 8 + json.len();
        if !data_start.is_multiple_of(DATA_ALIGN) {
            return Err(wrong(format!("data starts at {data_start}, not at a multiple of {DATA_ALIGN}")));
        }
        let tensors = tile(raw.tensors, bytes.len() - data_start, what)?;
        let manifest = raw.metadata.manifest.into_owned();
        if raw.metadata.manifest_sha256 != hex(&Sha256::digest(&manifest)) {
            return Err(wrong("the manifest does not match its SHA-256".into()));
        }
        Ok(Header { manifest, tensors, data_start })
    }

    /// The bytes before the data: at least `spare` spaces at the end, or exactly `self.data_start` bytes if that is not 0.
    pub(super) fn to_bytes(&self, spare: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 8];
        serde_json::to_writer(&mut bytes, self).map_err(|error| Error::malformed("the header", error))?;
        let total = match self.data_start {
            0 => (bytes.len() + spare).next_multiple_of(DATA_ALIGN),
            fixed => fixed,
        };
        if bytes.len() > total || total - 8 > limits::SAFETENSORS_HEADER_BYTES {
            return Err(Error::Resources {
                what: "the container's header".into(),
                needed: bytes.len() as u64,
                available: total.min(8 + limits::SAFETENSORS_HEADER_BYTES) as u64,
            });
        }
        bytes.resize(total, b' ');
        bytes[..8].copy_from_slice(&(total as u64 - 8).to_le_bytes());
        Ok(bytes)
    }
}

/// Somebody else's safetensors file, most likely a checkpoint's weights.
fn foreign(what: &str) -> Error {
    let way_out = "convert it first, or name the directory with its config.json";
    Error::unsupported(format!("{what} (safetensors without qint's metadata)"), way_out)
}

/// Whether `key` stands anywhere in `json`: a container of ours, however broken, and not somebody else's file.
fn mentions(json: &[u8], key: &str) -> bool {
    json.windows(key.len()).any(|window| window == key.as_bytes())
}

fn parse_json<'a>(json: &'a [u8], what: &str) -> Result<Raw<'a>> {
    if json.first() != Some(&b'{') {
        return Err(Error::malformed(what, "this is no safetensors header"));
    }
    let raw: Raw<'_> = serde_json::from_slice(json).map_err(|error| match mentions(json, MANIFEST) {
        true => Error::malformed(what, error),
        false => foreign(what),
    })?;
    if raw.metadata.format != FORMAT {
        return Err(foreign(what));
    }
    if raw.metadata.version != VERSION {
        let version = limits::shown(&raw.metadata.version);
        return Err(Error::unsupported(format!("{what}: container version {version}"), "update qint"));
    }
    Ok(raw)
}

/// Sorts the tensors by position and checks that they tile `length` bytes.
fn tile(mut tensors: Vec<Tensor>, length: usize, what: &str) -> Result<Vec<Tensor>> {
    tensors.sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
    let mut end = 0;
    for tensor in &tensors {
        let wrong = |why: String| Error::malformed(format!("{what}: tensor {}", limits::shown(&tensor.name)), why);
        let Range { start, end: next } = tensor.range;
        if start != end {
            return Err(wrong(format!("it starts at {start}, the one before ends at {end}")));
        }
        if !start.is_multiple_of(TENSOR_ALIGN) && !tensor.is_pad() {
            return Err(wrong(format!("it starts at {start}, not at a multiple of {TENSOR_ALIGN}")));
        }
        if tensor.shape.bytes(tensor.kind) != next.checked_sub(start) {
            return Err(wrong(format!("{start}..{next} does not fit its shape")));
        }
        end = next;
    }
    if end != length {
        return Err(Error::malformed(what, format!("tensors take {end} bytes, the file holds {length}")));
    }
    let mut names = HashSet::with_capacity(tensors.len());
    match tensors.iter().find(|tensor| !names.insert(tensor.name.as_str())) {
        Some(tensor) => Err(Error::malformed(what, format!("two tensors {}", limits::shown(&tensor.name)))),
        None => Ok(tensors),
    }
}

impl Tensor {
    /// Whether it only fills the space up to the next multiple of 64.
    pub(super) fn is_pad(&self) -> bool {
        self.name.starts_with(PAD_PREFIX)
    }
}

impl Kind {
    /// Bytes of one number.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Kind::U8 => 1,
            Kind::F32 => 4,
        }
    }
}

impl Shape {
    /// Bytes of all numbers, if that fits.
    pub(super) fn bytes(self, kind: Kind) -> Option<usize> {
        self.dimensions().iter().try_fold(kind.bytes(), |bytes, dimension| bytes.checked_mul(*dimension))
    }

    pub(super) fn dimensions(&self) -> &[usize] {
        match self {
            Shape::One(dimensions) => dimensions,
            Shape::Two(dimensions) => dimensions,
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
