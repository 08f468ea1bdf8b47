//! A Hugging Face checkpoint directory: `config.json`, `model.safetensors` or its shards, and the tokenizer's files.
use super::{
    Assets, Floats, Source, SourceTensor, check_finite, check_request, files, is_file, pair, read_json,
    shards::{self, Region},
    template,
};
use crate::{
    Error, Result,
    config::{ExpectedTensor, ModelConfig},
    limits,
    mapping::{Loading, Mapping},
};
use qint_core::matrix::DenseValues;
use safetensors::Dtype;
use std::{borrow::Cow, ops::Range, path::Path};

/// An open checkpoint.
pub(super) struct Checkpoint {
    config: ModelConfig,
    files: Vec<Mapping>,
    tensors: Vec<SourceTensor>,
    places: Vec<Place>,
    ignored: Vec<String>,
    assets: Assets,
}

struct Place {
    file: usize,
    range: Range<usize>,
    floats: Floats,
}

impl Checkpoint {
    /// Opens the checkpoint in `directory`.
    pub(super) fn open(directory: &Path, loading: Loading) -> Result<Checkpoint> {
        let config = read_config(directory)?;
        files::refuse_sentencepiece_only(directory)?;
        let shards = shards::open(directory, &weight_files(directory)?, loading)?;
        let paired = pair(&config, shards.tensors)?;
        let (mut tensors, mut places) = (Vec::new(), Vec::new());
        for (expected, region) in paired.tensors {
            let place = place(&expected, region)?;
            let bytes = place.range.len() as u64;
            tensors.push(SourceTensor { expected, stored: place.floats.name(), bytes });
            places.push(place);
        }
        let assets = assets(directory)?;
        Ok(Checkpoint { config, files: shards.files, tensors, places, ignored: paired.ignored, assets })
    }

    fn bytes(&self, index: usize) -> &[u8] {
        let place = &self.places[index];
        &self.files[place.file][place.range.clone()]
    }
}

impl Source for Checkpoint {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (tensor, floats) = (&self.tensors[index], self.places[index].floats);
        check_request(tensor, &rows, out)?;
        let row_bytes = tensor.expected.cols * floats.size();
        floats.read(&self.bytes(index)[rows.start * row_bytes..rows.end * row_bytes], out);
        check_finite(tensor, rows.start, out)
    }

    fn dense(&self, index: usize) -> Option<DenseValues<'_>> {
        self.places[index].floats.borrow(self.bytes(index))
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

fn read_config(directory: &Path) -> Result<ModelConfig> {
    let config = read_json(&directory.join("config.json"), limits::CONFIG_BYTES)?;
    let generation = files::read_json_if_there(&directory.join("generation_config.json"), limits::CONFIG_BYTES)?;
    ModelConfig::from_hugging_face(&config, generation.as_ref())
}

fn weight_files(directory: &Path) -> Result<Vec<String>> {
    let index = directory.join("model.safetensors.index.json");
    if is_file(&directory.join("model.safetensors")) {
        Ok(vec!["model.safetensors".into()])
    } else if is_file(&index) {
        shards::read_index(&index)
    } else {
        Err(files::no_safetensors(directory))
    }
}

fn place(expected: &ExpectedTensor, region: Region) -> Result<Place> {
    let floats = match region.dtype {
        Dtype::F32 => Floats::F32,
        Dtype::F16 => Floats::F16,
        Dtype::BF16 => Floats::BF16,
        other => {
            let what = format!("tensor {} stored as {other:?}", expected.name);
            return Err(Error::unsupported(what, "f32, f16 and bf16 are"));
        }
    };
    Ok(Place { file: region.file, range: region.range, floats })
}

fn assets(directory: &Path) -> Result<Assets> {
    let mut assets = Assets::default();
    assets.add_file(directory, "tokenizer.json", limits::TOKENIZER_BYTES)?;
    assets.add_file(directory, "tokenizer_config.json", limits::TOKENIZER_CONFIG_BYTES)?;
    assets.add_file(directory, "config.json", limits::CONFIG_BYTES)?;
    assets.add_file(directory, "generation_config.json", limits::CONFIG_BYTES)?;
    if let Some(template) = template::find(directory)? {
        assets.add("chat_template.jinja", template);
    }
    Ok(assets)
}
