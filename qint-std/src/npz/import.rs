//! A directory with `manifest.json` and `weights.npz` as a source.
use super::{
    MANIFEST, WEIGHTS,
    archive::{self, Entry, malformed},
    array,
    inflate::Streams,
    manifest::Manifest,
};
use crate::{
    Error, Result,
    config::ModelConfig,
    limits,
    limits::shown,
    mapping::{Loading, Mapping},
    source::{
        Assets, Floats, Found, FoundTensors, Source, SourceTensor, check_finite, check_request, pair,
        read_json_if_there,
    },
};
use qint_core::matrix::DenseValues;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, ops::Range, path::Path};

/// Bytes that are inflated at once.
const CHUNK_BYTES: usize = 1 << 16;

/// An open NPZ directory.
pub(crate) struct Npz {
    file: Mapping,
    config: ModelConfig,
    tensors: Vec<SourceTensor>,
    places: Vec<Place>,
    ignored: Vec<String>,
    assets: Assets,
    streams: Streams,
}

/// Where an array's numbers are.
struct Place {
    floats: Floats,
    range: Range<usize>,
    deflated: bool,
    /// Inflated bytes before the numbers; 0 if the entry is stored.
    skip: u64,
}

impl Npz {
    /// Opens `directory`.
    pub(crate) fn open(directory: &Path, loading: Loading) -> Result<Npz> {
        let manifest = Manifest::read(directory)?;
        let generation = read_json_if_there(&directory.join("generation_config.json"), limits::CONFIG_BYTES)?;
        let config = manifest.model_config(generation.as_ref())?;
        let file = Mapping::open(&directory.join(WEIGHTS), loading)?;
        let streams = Streams::default();
        let paired = pair(&config, arrays(&file, &manifest, &streams)?)?;
        let (mut tensors, mut places) = (Vec::new(), Vec::new());
        for (expected, place) in paired.tensors {
            let bytes = (expected.rows * expected.cols * place.floats.size()) as u64;
            tensors.push(SourceTensor { expected, stored: place.floats.name(), bytes });
            places.push(place);
        }
        let assets = assets(directory, &manifest)?;
        Ok(Npz { file, config, tensors, places, ignored: paired.ignored, assets, streams: Streams::default() })
    }

    /// Fills `out` with the bytes of array `index` from `position` on.
    fn read_bytes(&self, index: usize, position: u64, out: &mut [u8]) -> Result<()> {
        let place = &self.places[index];
        self.streams.read(index, &self.file[place.range.clone()], place.skip + position, out)
    }

    fn read_deflated(&self, index: usize, first: usize, out: &mut [f32]) -> Result<()> {
        let floats = self.places[index].floats;
        let mut bytes = vec![0; CHUNK_BYTES.min(out.len() * floats.size())];
        let mut position = (first * self.tensors[index].expected.cols * floats.size()) as u64;
        for out in out.chunks_mut(CHUNK_BYTES / floats.size()) {
            let bytes = &mut bytes[..out.len() * floats.size()];
            self.read_bytes(index, position, bytes)?;
            floats.read(bytes, out);
            position += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Source for Npz {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (tensor, place) = (&self.tensors[index], &self.places[index]);
        check_request(tensor, &rows, out)?;
        if place.deflated {
            self.read_deflated(index, rows.start, out)?;
        } else {
            let row_bytes = tensor.expected.cols * place.floats.size();
            let bytes = &self.file[place.range.clone()];
            place.floats.read(&bytes[rows.start * row_bytes..rows.end * row_bytes], out);
        }
        check_finite(tensor, rows.start, out)
    }

    fn dense(&self, index: usize) -> Option<DenseValues<'_>> {
        let place = &self.places[index];
        if place.deflated { None } else { place.floats.borrow(&self.file[place.range.clone()]) }
    }

    fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.assets.find(name)
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut bytes = [0; CHUNK_BYTES];
        for (index, place) in self.places.iter().enumerate() {
            if !place.deflated {
                hash.update(&self.file[place.range.clone()]);
                continue;
            }
            let (mut position, end) = (0, self.tensors[index].bytes);
            while position < end {
                let count = (end - position).min(CHUNK_BYTES as u64) as usize;
                self.read_bytes(index, position, &mut bytes[..count])?;
                hash.update(&bytes[..count]);
                position += count as u64;
            }
        }
        Ok(crate::container::hex(&hash.finalize()))
    }
}

/// All arrays that both the archive and the manifest name.
fn arrays(file: &[u8], manifest: &Manifest, streams: &Streams) -> Result<FoundTensors<Place>> {
    let mut found = FoundTensors::new();
    for (number, entry) in archive::entries(file)?.into_iter().enumerate() {
        let Some(name) = entry.name.strip_suffix(".npy") else { continue };
        let Some(announced) = manifest.tensors.get(name) else {
            let why = format!("{MANIFEST} does not name the array {}", shown(name));
            return Err(malformed(why));
        };
        let (shape, place) = array(file, number, &entry, streams)?;
        if announced.shape != shape || announced.dtype != place.floats.name() {
            let why = format!(
                "array {} is {} of shape {shape:?}, {MANIFEST} announces {} of shape {}",
                shown(name),
                place.floats.name(),
                shown(&announced.dtype),
                shown(&format!("{:?}", announced.shape))
            );
            return Err(malformed(why));
        }
        if found.insert(name.to_owned(), Found { shape, stored: place }).is_some() {
            return Err(malformed(format!("array {} is there twice", shown(name))));
        }
    }
    Ok(found)
}

/// Reads an array's header; the numbers must fill the rest of the entry.
fn array(file: &[u8], number: usize, entry: &Entry<'_>, streams: &Streams) -> Result<(Vec<usize>, Place)> {
    let bytes = &file[entry.range.clone()];
    let mut prefix = [0; array::PREFIX_BYTES];
    let known = array::PREFIX_BYTES.min(usize::try_from(entry.size).unwrap_or(usize::MAX));
    let header = if entry.deflated {
        streams.read(number, bytes, 0, &mut prefix[..known])?;
        array::parse(entry.name, &prefix[..known])?
    } else {
        array::parse(entry.name, bytes)?
    };
    let numbers = header.shape.iter().try_fold(header.floats.size(), |product, &size| product.checked_mul(size));
    let expected = numbers.and_then(|numbers| numbers.checked_add(header.length));
    if expected.is_none_or(|expected| expected as u64 != entry.size) {
        let why = format!("{} has {} bytes, not what shape {:?} needs", shown(entry.name), entry.size, header.shape);
        return Err(malformed(why));
    }
    let range = if entry.deflated { entry.range.clone() } else { entry.range.start + header.length..entry.range.end };
    let skip = if entry.deflated { header.length as u64 } else { 0 };
    Ok((header.shape, Place { floats: header.floats, range, deflated: entry.deflated, skip }))
}

fn assets(directory: &Path, manifest: &Manifest) -> Result<Assets> {
    let mut assets = Assets::default();
    assets.add_file(directory, "tokenizer.json", limits::TOKENIZER_BYTES)?;
    assets.add_file(directory, "tokenizer_config.json", limits::TOKENIZER_CONFIG_BYTES)?;
    assets.add_file(directory, "generation_config.json", limits::CONFIG_BYTES)?;
    assets.add_file(directory, "chat_template.jinja", limits::CHAT_TEMPLATE_BYTES)?;
    if let Some(config) = &manifest.config {
        let json = serde_json::to_vec_pretty(config).map_err(|error| Error::malformed(MANIFEST, error))?;
        assets.add("config.json", json);
    }
    Ok(assets)
}
