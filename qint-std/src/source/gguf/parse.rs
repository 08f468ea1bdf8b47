//! The bytes of a GGUF file (versions 2 and 3, little-endian) → metadata and tensor positions, borrowed.
//!
//! ```text
//! "GGUF"  version u32  tensors u64  pairs u64
//! pairs × { key string, kind u32, value }          string = length u64 + bytes
//! tensors × { name string, rank u32, dimensions u64 × rank, kind u32, offset u64 }
//! padding to general.alignment, then the tensors' data
//! ```
//!
//! Every count is compared with a cap or with the bytes that remain before anything is allocated for it.
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
use super::metadata::{Array, Kind, Metadata, Value};
use crate::{Error, Result, limits, limits::shown};

/// A parsed header.
pub(super) struct Header<'a> {
    pub(super) metadata: Metadata<'a>,
    pub(super) tensors: Vec<TensorInfo<'a>>,
    /// Where the tensors' data begins.
    pub(super) data: usize,
}

/// One tensor's entry.
pub(super) struct TensorInfo<'a> {
    pub(super) name: &'a str,
    /// Fastest first: columns, then rows.
    pub(super) dimensions: Vec<usize>,
    /// ggml's number for how it is stored.
    pub(super) kind: u32,
    /// From the beginning of the data.
    pub(super) offset: u64,
}

const DEFAULT_ALIGNMENT: usize = 32;
const MAX_ALIGNMENT: usize = 1 << 20;

/// Parses the header of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Header<'_>> {
    let mut reader = Reader { bytes, position: 0 };
    if reader.take(4)? != b"GGUF" {
        return Err(malformed("it does not start with \"GGUF\""));
    }
    check_version(reader.u32()?)?;
    let tensors = reader.count("tensors", limits::TENSORS)?;
    let pairs = reader.count("metadata pairs", limits::GGUF_PAIRS)?;
    let mut metadata = Metadata::default();
    for _ in 0..pairs {
        let key = reader.name()?;
        let kind = reader.kind()?;
        metadata.insert(key, reader.value(kind, 0)?)?;
    }
    let tensors = (0..tensors).map(|_| reader.tensor()).collect::<Result<Vec<_>>>()?;
    let alignment = metadata.size("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
        return Err(malformed(format!("general.alignment is {alignment}, not a power of two up to {MAX_ALIGNMENT}")));
    }
    Ok(Header { metadata, tensors, data: reader.position.next_multiple_of(alignment) })
}

pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    Error::malformed("the GGUF file", why)
}

fn check_version(version: u32) -> Result<()> {
    match version {
        2 | 3 => Ok(()),
        1 => Err(Error::unsupported("GGUF version 1", "convert it with a current llama.cpp")),
        swapped if (1..=3).contains(&swapped.swap_bytes()) => Err(Error::unsupported("a big-endian GGUF file", "")),
        other => Err(Error::unsupported(format!("GGUF version {other}"), "supported are 2 and 3")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some((taken, _)) = rest.split_at_checked(count) else {
            return Err(malformed(format!("{count} bytes are needed at {}, {} remain", self.position, rest.len())));
        };
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self, what: &str, limit: usize) -> Result<usize> {
        let count = self.u64()?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= limit)
            .ok_or_else(|| malformed(format!("it claims {count} {what}, at most {limit} are allowed")))
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.u64()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn name(&mut self) -> Result<&'a str> {
        let at = self.position;
        let name = self.string()?;
        match std::str::from_utf8(name) {
            Ok(name) if name.len() <= limits::NAME_BYTES => Ok(name),
            Ok(name) => Err(malformed(format!("a name of {} bytes, at most {}", name.len(), limits::NAME_BYTES))),
            Err(_) => Err(malformed(format!("the name at {at} is not UTF-8"))),
        }
    }

    fn kind(&mut self) -> Result<Kind> {
        let (at, number) = (self.position, self.u32()?);
        Kind::from_number(number).ok_or_else(|| malformed(format!("unknown value kind {number} at {at}")))
    }

    fn value(&mut self, kind: Kind, depth: usize) -> Result<Value<'a>> {
        Ok(match kind {
            Kind::Text => Value::Text(self.string()?),
            Kind::Array => Value::Array(self.values(depth)?),
            _ => kind.scalar(self.take(kind.size().unwrap_or(0))?),
        })
    }

    /// An array's elements stay where they are; this walks over them once to see that they are complete.
    fn values(&mut self, depth: usize) -> Result<Array<'a>> {
        if depth >= limits::GGUF_ARRAY_DEPTH {
            return Err(malformed(format!("arrays are nested deeper than {depth}")));
        }
        let kind = self.kind()?;
        let count = self.u64()?;
        let start = self.position;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if let Some(size) = kind.size() {
            self.take(count.saturating_mul(size))?;
        } else {
            for _ in 0..count {
                self.value(kind, depth + 1)?;
            }
        }
        Ok(Array { kind, count, bytes: &self.bytes[start..self.position] })
    }

    fn tensor(&mut self) -> Result<TensorInfo<'a>> {
        let name = self.name()?;
        let rank = self.u32()? as usize;
        if rank > limits::RANK {
            return Err(malformed(format!("tensor {} has rank {rank}, at most {}", shown(name), limits::RANK)));
        }
        let dimension = |_| {
            let size = self.u64()?;
            usize::try_from(size).map_err(|_| malformed(format!("tensor {} has {size} rows", shown(name))))
        };
        let dimensions = (0..rank).map(dimension).collect::<Result<Vec<_>>>()?;
        Ok(TensorInfo { name, dimensions, kind: self.u32()?, offset: self.u64()? })
    }
}
