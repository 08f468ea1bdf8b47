//! `manifest.json` of the NPZ form.
use super::MANIFEST;
use crate::{
    Error, Result,
    config::ModelConfig,
    container::json::Bounded,
    limits,
    limits::shown,
    source::{open_bounded, parse_json},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

pub(super) const FORMAT: &str = "qint-npz";
pub(super) const VERSION: u32 = 1;
/// Bytes; a thousand tensors take 100 KB.
const MANIFEST_BYTES: u64 = 2 << 20;

/// The document.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) version: u32,
    /// [`ModelConfig::to_json`]; counts if both this and `config` are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) architecture: Option<Bounded>,
    /// The content of a Hugging Face `config.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Bounded>,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// One array, as the manifest announces it.
#[derive(Serialize, Deserialize)]
pub(super) struct Tensor {
    /// Rows and columns, or columns only.
    pub(super) shape: Vec<usize>,
    pub(super) dtype: String,
}

impl Manifest {
    pub(super) fn read(directory: &Path) -> Result<Manifest> {
        let path = directory.join(MANIFEST);
        let manifest: Manifest = parse_json(&path, &open_bounded(&path, MANIFEST_BYTES)?)?;
        if manifest.format != FORMAT {
            let why = format!("its format is {}, not {FORMAT}", shown(&manifest.format));
            return Err(Error::malformed(MANIFEST, why));
        }
        if manifest.version != VERSION {
            let what = format!("{FORMAT} version {}", manifest.version);
            return Err(Error::unsupported(what, format!("this program reads version {VERSION}")));
        }
        if let Some(name) = manifest.tensors.keys().find(|name| name.len() > limits::NAME_BYTES) {
            return Err(Error::malformed(MANIFEST, format!("the name {} has {} bytes", shown(name), name.len())));
        }
        Ok(manifest)
    }

    /// The model's configuration.
    pub(super) fn model_config(&self, generation: Option<&serde_json::Value>) -> Result<ModelConfig> {
        match (&self.architecture, &self.config) {
            (Some(Bounded(architecture)), _) => ModelConfig::from_json(architecture),
            (None, Some(Bounded(config))) => ModelConfig::from_hugging_face(config, generation),
            (None, None) => Err(Error::malformed(MANIFEST, "it has neither architecture nor config")),
        }
    }
}
