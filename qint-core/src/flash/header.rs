//! The 256 bytes that an image starts with, from and to numbers.
use super::{Checksum, FlashError};
use crate::llama::{Activation, Config, KvKind, RopeScaling};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 256;
/// The most tokens that end a generation.
pub const MAX_END_TOKENS: usize = 4;

const MAGIC: [u8; 8] = *b"qint.qfw";
const VERSION: u32 = 1;
const NO_TOKEN: u32 = u32::MAX;
/// Where fields start; docs/format.md has them all.
mod at {
    pub(super) const VERSION: usize = 8;
    pub(super) const IMAGE: usize = 12;
    pub(super) const CHECKSUM: usize = 16;
    /// Ten sizes.
    pub(super) const SIZES: usize = 20;
    pub(super) const KV: usize = 60;
    pub(super) const FLAGS: usize = 64;
    pub(super) const EPSILON: usize = 68;
    pub(super) const EMBEDDING_SCALE: usize = 72;
    pub(super) const ROPE: usize = 76;
    /// Theta, factor, low, high, original context.
    pub(super) const ROPE_NUMBERS: usize = 80;
    pub(super) const START: usize = 120;
    pub(super) const ENDS: usize = 124;
    pub(super) const TEXT: usize = 144;
    pub(super) const RESERVED: usize = 148;
    pub(super) const HEADER_CHECKSUM: usize = 252;
}
const GELU: u32 = 1;
const NORM_PLUS_ONE: u32 = 2;
const TIED_HEAD: u32 = 4;
const STRIPS_SPACE: u32 = 8;

/// What an image says about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlashHeader {
    /// The architecture.
    pub config: Config,
    /// Positions of KV cache that the image was planned for.
    pub capacity: usize,
    /// How keys and values are to be kept.
    pub kv: KvKind,
    /// The head is the embedding.
    pub tied_head: bool,
    /// The token that a text starts with.
    pub start: Option<u32>,
    /// Tokens that end a text, the first `end_count`.
    pub ends: [u32; MAX_END_TOKENS],
    /// How many of them there are.
    pub end_count: usize,
    /// A space at the beginning of a text is not shown.
    pub strips_space: bool,
}

/// What only reader and writer need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of the image.
    pub(super) image: usize,
    /// Checksum of all behind the header.
    pub(super) checksum: u32,
    /// Bytes of the vocabulary's text.
    pub(super) text: usize,
}

impl FlashHeader {
    /// Whether `id` ends a text.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.iter().take(self.end_count).any(|end| *end == id)
    }

    /// The header of an image: `data` is all that follows it, `text` the bytes of the vocabulary's text. Returns `None` if a
    /// number has no room in it.
    pub fn encode(&self, data: &[u8], text: usize) -> Option<[u8; HEADER_BYTES]> {
        let mut bytes = [0; HEADER_BYTES];
        let c = &self.config;
        bytes[..8].copy_from_slice(&MAGIC);
        let sizes = [
            c.layers,
            c.hidden,
            c.intermediate,
            c.heads,
            c.kv_heads,
            c.head_dim,
            c.vocabulary,
            c.context,
            self.capacity,
            c.sliding_window.unwrap_or(0),
        ];
        put(&mut bytes, at::VERSION, VERSION);
        put(&mut bytes, at::IMAGE, u32::try_from(data.len().checked_add(HEADER_BYTES)?).ok()?);
        put(&mut bytes, at::CHECKSUM, Checksum::new().with(data).value());
        for (index, size) in sizes.into_iter().enumerate() {
            put(&mut bytes, at::SIZES + 4 * index, u32::try_from(size).ok()?);
        }
        let kv = match self.kv {
            KvKind::F32 => 0,
            KvKind::F16 => 1,
            KvKind::I8 => 2,
        };
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let flags = flag(c.activation == Activation::GeluTanh, GELU)
            | flag(c.norm_plus_one, NORM_PLUS_ONE)
            | flag(self.tied_head, TIED_HEAD)
            | flag(self.strips_space, STRIPS_SPACE);
        let (rope, numbers) = match c.rope_scaling {
            RopeScaling::None => (0, [0.0; 4]),
            RopeScaling::Linear { factor } => (1, [factor, 0.0, 0.0, 0.0]),
            RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => {
                (2, [factor, low_frequency, high_frequency, original_context])
            }
        };
        put(&mut bytes, at::KV, kv);
        put(&mut bytes, at::FLAGS, flags);
        put(&mut bytes, at::EPSILON, c.norm_epsilon.to_bits());
        put(&mut bytes, at::EMBEDDING_SCALE, c.embedding_scale.to_bits());
        put(&mut bytes, at::ROPE, rope);
        for (index, number) in core::iter::once(c.rope_theta).chain(numbers).enumerate() {
            bytes[at::ROPE_NUMBERS + 8 * index..][..8].copy_from_slice(&number.to_le_bytes());
        }
        put(&mut bytes, at::START, self.start.unwrap_or(NO_TOKEN));
        put(&mut bytes, at::ENDS, u32::try_from(self.end_count).ok()?);
        for (index, end) in self.ends.iter().take(self.end_count).enumerate() {
            put(&mut bytes, at::ENDS + 4 + 4 * index, *end);
        }
        put(&mut bytes, at::TEXT, u32::try_from(text).ok()?);
        let checksum = Checksum::new().with(&bytes[..at::HEADER_CHECKSUM]).value();
        put(&mut bytes, at::HEADER_CHECKSUM, checksum);
        Some(bytes)
    }

    /// Checks and reads the header at the start of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Result<(FlashHeader, Sizes), FlashError> {
        let truncated = FlashError::Truncated { given: bytes.len(), needed: HEADER_BYTES };
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(truncated)?;
        if cfg!(target_endian = "big") || !bytes.as_ptr().addr().is_multiple_of(4) {
            return Err(FlashError::Misaligned);
        }
        let fields = Fields(header);
        if !header.starts_with(&MAGIC) {
            return Err(FlashError::Magic);
        }
        match fields.number(at::VERSION) {
            VERSION => {}
            found => return Err(FlashError::Version { found }),
        }
        let (checked, _) = header.split_at(at::HEADER_CHECKSUM);
        if Checksum::new().with(checked).value() != fields.number(at::HEADER_CHECKSUM) {
            return Err(FlashError::HeaderChecksum);
        }
        if checked.iter().skip(at::RESERVED).any(|byte| *byte != 0) {
            return Err(FlashError::Field { offset: at::RESERVED, value: fields.number(at::RESERVED) });
        }
        let sizes =
            Sizes { image: fields.size(at::IMAGE), checksum: fields.number(at::CHECKSUM), text: fields.size(at::TEXT) };
        Ok((fields.header()?, sizes))
    }
}

fn put(bytes: &mut [u8; HEADER_BYTES], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// A header that its checksum agrees with.
struct Fields<'a>(&'a [u8; HEADER_BYTES]);

impl Fields<'_> {
    fn number(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk).copied();
        u32::from_le_bytes(bytes.unwrap_or_default())
    }

    fn size(&self, at: usize) -> usize {
        self.number(at) as usize
    }

    fn double(&self, index: usize) -> f64 {
        let bytes = self.0.get(at::ROPE_NUMBERS + 8 * index..).and_then(<[u8]>::first_chunk).copied();
        f64::from_le_bytes(bytes.unwrap_or_default())
    }

    fn unknown(&self, offset: usize) -> FlashError {
        FlashError::Field { offset, value: self.number(offset) }
    }

    fn header(&self) -> Result<FlashHeader, FlashError> {
        let (config, flags) = (self.config()?, self.number(at::FLAGS));
        let kv = match self.number(at::KV) {
            0 => KvKind::F32,
            1 => KvKind::F16,
            2 => KvKind::I8,
            _ => return Err(self.unknown(at::KV)),
        };
        let capacity = self.size(at::SIZES + 32);
        if capacity == 0 || capacity > config.context {
            return Err(self.unknown(at::SIZES + 32));
        }
        let end_count = self.size(at::ENDS);
        if end_count > MAX_END_TOKENS {
            return Err(self.unknown(at::ENDS));
        }
        let start = Some(self.number(at::START)).filter(|id| *id != NO_TOKEN);
        if start.is_some_and(|id| id as usize >= config.vocabulary) {
            return Err(self.unknown(at::START));
        }
        let mut ends = [0; MAX_END_TOKENS];
        for (index, end) in ends.iter_mut().enumerate() {
            let offset = at::ENDS + 4 + 4 * index;
            *end = self.number(offset);
            if *end as usize >= config.vocabulary || (index >= end_count && *end != 0) {
                return Err(self.unknown(offset));
            }
        }
        let (tied_head, strips_space) = (flags & TIED_HEAD != 0, flags & STRIPS_SPACE != 0);
        Ok(FlashHeader { config, capacity, kv, tied_head, start, ends, end_count, strips_space })
    }

    fn config(&self) -> Result<Config, FlashError> {
        let flags = self.number(at::FLAGS);
        if flags & !(GELU | NORM_PLUS_ONE | TIED_HEAD | STRIPS_SPACE) != 0 {
            return Err(self.unknown(at::FLAGS));
        }
        let size = |index: usize| self.size(at::SIZES + 4 * index);
        let config = Config {
            layers: size(0),
            hidden: size(1),
            intermediate: size(2),
            heads: size(3),
            kv_heads: size(4),
            head_dim: size(5),
            vocabulary: size(6),
            context: size(7),
            sliding_window: Some(size(9)).filter(|window| *window != 0),
            norm_epsilon: f32::from_bits(self.number(at::EPSILON)),
            embedding_scale: f32::from_bits(self.number(at::EMBEDDING_SCALE)),
            rope_theta: self.double(0),
            rope_scaling: self.rope_scaling()?,
            activation: if flags & GELU != 0 { Activation::GeluTanh } else { Activation::Silu },
            norm_plus_one: flags & NORM_PLUS_ONE != 0,
        };
        config.check()?;
        Ok(config)
    }

    fn rope_scaling(&self) -> Result<RopeScaling, FlashError> {
        let (kind, factor) = (self.number(at::ROPE), self.double(1));
        let used = [1, 2, 5].get(kind as usize).copied().unwrap_or(5);
        if let Some(index) = (used..5).find(|index| self.double(*index).to_bits() != 0) {
            return Err(self.unknown(at::ROPE_NUMBERS + 8 * index));
        }
        match kind {
            0 => Ok(RopeScaling::None),
            1 => Ok(RopeScaling::Linear { factor }),
            2 => Ok(RopeScaling::Llama3 {
                factor,
                low_frequency: self.double(2),
                high_frequency: self.double(3),
                original_context: self.double(4),
            }),
            _ => Err(self.unknown(at::ROPE)),
        }
    }
}
