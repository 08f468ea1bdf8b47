//! The JSON of a safetensors header, to and from the types of [`super::header`]. Counts and lengths are bounded while it
//! is parsed.
use super::header::{FORMAT, Header, Kind, Shape, Tensor, VERSION, hex};
use crate::limits;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, Serializer},
};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt};

const METADATA: &str = "__metadata__";

/// A header as it was read.
pub(super) struct Raw<'a> {
    pub(super) metadata: Metadata<'a>,
    pub(super) tensors: Vec<Tensor>,
}

/// What [`Raw`] holds under `__metadata__`; other tools may add to it.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) format: Cow<'a, str>,
    #[serde(borrow, default, rename = "qint.version")]
    pub(super) version: Cow<'a, str>,
    #[serde(borrow, default, rename = "qint.manifest_sha256")]
    pub(super) manifest_sha256: Cow<'a, str>,
    #[serde(borrow, default, rename = "qint.manifest")]
    pub(super) manifest: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: Kind,
    shape: Shape,
    data_offsets: [usize; 2],
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'de>, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a safetensors header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
                let (mut metadata, mut tensors) = (None, Vec::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        if metadata.replace(map.next_value()?).is_some() {
                            return Err(de::Error::duplicate_field(METADATA));
                        }
                        continue;
                    }
                    if name.len() > limits::NAME_BYTES || tensors.len() == limits::TENSORS {
                        return Err(de::Error::custom("a name is too long, or there are too many tensors"));
                    }
                    let RawTensor { dtype, shape, data_offsets: [start, end] } = map.next_value()?;
                    tensors.push(Tensor { name, kind: dtype, shape, range: start..end });
                }
                Ok(Raw { metadata: metadata.unwrap_or_default(), tensors })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one or two dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let first = list.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let Some(second) = list.next_element()? else { return Ok(Shape::One([first])) };
                match list.next_element::<usize>()? {
                    None => Ok(Shape::Two([first, second])),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.dimensions().serialize(serializer)
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        let metadata = Metadata {
            format: FORMAT.into(),
            version: VERSION.into(),
            manifest_sha256: hex(&Sha256::digest(&self.manifest)).into(),
            manifest: self.manifest.as_str().into(),
        };
        map.serialize_entry(METADATA, &metadata)?;
        for Tensor { name, kind, shape, range } in &self.tensors {
            let raw = RawTensor { dtype: *kind, shape: *shape, data_offsets: [range.start, range.end] };
            map.serialize_entry(name, &raw)?;
        }
        map.end()
    }
}
