//! GGUF files of the architectures `llama` and `gemma` as sources.
//!
//! What differs from a Hugging Face checkpoint is undone here: names; rows of Q and K, which llama.cpp interleaves for
//! `llama` so that rotary pairs are neighbours; `gemma`'s norm gains, which are stored with the 1 added; the tokenizer,
//! which becomes a `tokenizer.json`. Quantized tensors are dequantized when they are read.
mod blocks;
mod config;
mod metadata;
mod parse;
mod rope;
mod tensors;
mod tokenizer;

use super::{Assets, Source, SourceTensor, check_finite, check_request, pair};
use crate::{
    Error, Result,
    config::{ModelConfig, Role},
    limits,
    mapping::{Loading, Mapping},
};
use blocks::Stored;
use metadata::Metadata;
use parse::malformed;
use qint_core::matrix::DenseValues;
use std::{borrow::Cow, ops::Range, path::Path};

/// An open GGUF file.
pub(super) struct Gguf {
    file: Mapping,
    config: ModelConfig,
    tensors: Vec<SourceTensor>,
    places: Vec<Place>,
    ignored: Vec<String>,
    assets: Assets,
}

/// Where a tensor is and how its rows are to be read.
struct Place {
    range: Range<usize>,
    stored: Stored,
    /// Rows of each head are stored as (pair, half) instead of (half, pair).
    interleaved: bool,
}

impl Gguf {
    /// Opens the file at `path`.
    pub(super) fn open(path: &Path, loading: Loading) -> Result<Gguf> {
        let file = Mapping::open(path, loading)?;
        let header = parse::parse(&file)?;
        refuse_parts(&header.metadata)?;
        let layout = tensors::Layout::new(&header, &file)?;
        let config = config::read(&header.metadata, &layout)?;
        let paired = pair(&config, layout.found)?;
        let interleaves = header.metadata.text("general.architecture")? == Some("llama");
        let (mut tensors, mut places) = (Vec::new(), Vec::new());
        for (expected, region) in paired.tensors {
            let (stored, range) = region.place(&expected, header.data, file.len())?;
            let interleaved = interleaves && matches!(expected.role, Role::Q(_) | Role::K(_));
            tensors.push(SourceTensor { expected, stored: stored.name(), bytes: range.len() as u64 });
            places.push(Place { range, stored, interleaved });
        }
        let assets = assets(&header.metadata, &config, file.len())?;
        Ok(Gguf { config, tensors, places, ignored: paired.ignored, assets, file })
    }

    fn bytes(&self, index: usize) -> &[u8] {
        &self.file[self.places[index].range.clone()]
    }

    /// Where row `row` in Hugging Face order is stored.
    fn stored_row(&self, index: usize, row: usize) -> usize {
        if !self.places[index].interleaved {
            return row;
        }
        let head_dim = self.config.architecture.head_dim;
        let (head, within) = (row / head_dim, row % head_dim);
        let (half, pair) = (within / (head_dim / 2), within % (head_dim / 2));
        head * head_dim + 2 * pair + half
    }
}

impl Source for Gguf {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (tensor, stored) = (&self.tensors[index], self.places[index].stored);
        check_request(tensor, &rows, out)?;
        let bytes = self.bytes(index);
        let row_bytes = bytes.len() / tensor.expected.rows;
        for (row, out) in rows.clone().zip(out.chunks_exact_mut(tensor.expected.cols)) {
            stored.read(&bytes[self.stored_row(index, row) * row_bytes..][..row_bytes], out);
        }
        check_finite(tensor, rows.start, out)
    }

    fn dense(&self, index: usize) -> Option<DenseValues<'_>> {
        match &self.places[index] {
            Place { stored: Stored::Floats(floats), interleaved: false, .. } => floats.borrow(self.bytes(index)),
            _ => None,
        }
    }

    fn stored(&self, index: usize) -> Option<&[u8]> {
        Some(self.bytes(index))
    }

    fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.assets.find(name)
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

/// Files that are only a part of a model.
fn refuse_parts(metadata: &Metadata<'_>) -> Result<()> {
    if metadata.size("split.count")?.is_some_and(|count| count > 1) {
        return Err(Error::unsupported("a GGUF file in several parts", "join them with llama-gguf-split --merge"));
    }
    match metadata.text("general.type")? {
        None | Some("model") => Ok(()),
        Some(other) => Err(Error::unsupported(format!("a GGUF file of type {}", limits::shown(other)), "")),
    }
}

fn assets(metadata: &Metadata<'_>, config: &ModelConfig, file_bytes: usize) -> Result<Assets> {
    let mut assets = Assets::default();
    if let Some(json) = tokenizer::to_json(metadata, config, file_bytes)? {
        assets.add("tokenizer.json", json);
    }
    if let Some(template) = metadata.text("tokenizer.chat_template")? {
        if template.len() as u64 > limits::CHAT_TEMPLATE_BYTES {
            let (given, limit) = (template.len(), limits::CHAT_TEMPLATE_BYTES);
            return Err(malformed(format!("its chat template has {given} bytes, at most {limit} are allowed")));
        }
        assets.add("chat_template.jinja", template.as_bytes().to_vec());
    }
    Ok(assets)
}
