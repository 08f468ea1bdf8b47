//! Safetensors files → the tensors they hold, as byte ranges of mappings.
//!
//! The safetensors crate checks that the ranges tile each file and fit dtype and shape; this module caps the header before
//! it is parsed, refuses a tensor that two shards hold, and keeps shard names inside the directory.
use super::{
    Found, FoundTensors,
    files::{open_bounded, parse_json},
};
use crate::{
    Error, Result, limits,
    limits::shown,
    mapping::{Loading, Mapping},
};
use safetensors::{Dtype, SafeTensors};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::{collections::BTreeSet, fmt, ops::Range, path::Path};

/// Where a tensor's bytes are.
pub(super) struct Region {
    pub(super) file: usize,
    pub(super) range: Range<usize>,
    pub(super) dtype: Dtype,
}

/// Mapped files and the tensors in them.
pub(super) struct Shards {
    pub(super) files: Vec<Mapping>,
    pub(super) tensors: FoundTensors<Region>,
}

/// Opens `names` in `directory` and lists the tensors of all of them.
pub(super) fn open(directory: &Path, names: &[String], loading: Loading) -> Result<Shards> {
    let mut shards = Shards { files: Vec::new(), tensors: FoundTensors::new() };
    for name in names {
        let path = directory.join(name);
        let bytes = Mapping::open(&path, loading)?;
        for (tensor, shape, region) in list(&path, &bytes, shards.files.len())? {
            if let Some(Found { stored: Region { file, .. }, .. }) =
                shards.tensors.insert(tensor.clone(), Found { shape, stored: region })
            {
                let why = format!("{} and {} both hold it", shown(&names[file]), shown(name));
                return Err(Error::malformed(format!("tensor {}", shown(&tensor)), why));
            }
        }
        shards.files.push(bytes);
    }
    Ok(shards)
}

/// The files that an index names, sorted. Which tensor is where, the files say themselves.
pub(super) fn read_index(path: &Path) -> Result<Vec<String>> {
    let index: Index = parse_json(path, &open_bounded(path, limits::SHARD_INDEX_BYTES)?)?;
    let names: Vec<String> = index.weight_map.0.into_iter().collect();
    let plain = |name: &String| !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
    match names.iter().find(|name| !plain(name)) {
        _ if names.is_empty() => Err(Error::malformed(path.display().to_string(), "weight_map names no file")),
        Some(bad) => {
            let why = format!("weight_map names {}, which is not a file of this directory", shown(bad));
            Err(Error::malformed(path.display().to_string(), why))
        }
        None => Ok(names),
    }
}

fn list(path: &Path, bytes: &[u8], file: usize) -> Result<Vec<(String, Vec<usize>, Region)>> {
    let malformed = |why: String| Error::malformed(path.display().to_string(), why);
    let Some((length, _)) = bytes.split_first_chunk::<8>() else {
        return Err(malformed(format!("{} bytes are too few for a safetensors file", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > limits::CHECKPOINT_HEADER_BYTES as u64 {
        let limit = limits::CHECKPOINT_HEADER_BYTES;
        return Err(malformed(format!("its header claims {length} bytes, at most {limit} are allowed")));
    }
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(shown(&error.to_string())))?;
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        if name.len() > limits::NAME_BYTES || info.shape.len() > limits::RANK {
            let (bytes, rank) = (name.len(), info.shape.len());
            return Err(malformed(format!("tensor {} has {bytes} bytes of name and rank {rank}", shown(&name))));
        }
        let (start, end) = info.data_offsets;
        let range = 8 + header + start..8 + header + end;
        tensors.push((name, info.shape.clone(), Region { file, range, dtype: info.dtype }));
    }
    Ok(tensors)
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: FileNames,
}

/// The distinct values of a JSON object of strings.
struct FileNames(BTreeSet<String>);

impl<'de> Deserialize<'de> for FileNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<FileNames, D::Error> {
        deserializer.deserialize_map(FileNamesVisitor)
    }
}

struct FileNamesVisitor;

impl<'de> Visitor<'de> for FileNamesVisitor {
    type Value = FileNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<FileNames, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((IgnoredAny, name)) = map.next_entry::<IgnoredAny, String>()? {
            if name.len() > limits::NAME_BYTES || names.len() > limits::SHARDS {
                return Err(serde::de::Error::custom("too many or too long file names"));
            }
            names.insert(name);
        }
        Ok(FileNames(names))
    }
}
