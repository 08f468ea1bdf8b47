//! The manifest: one JSON document that says what the tensors of a container mean and where they came from.
//!
//! Reading refuses unknown fields: a file with an option that this version does not know would compute something else.
use super::json::Bounded;
use crate::{
    Error, Result,
    config::ModelConfig,
    limits,
    quantize::{Recipe, Scheme, parse_activation, show_activation, transform_from_name, transform_name},
};
use qint_core::{
    activation::{ActivationBlock, ActivationFormat},
    codec::{Codec, Group},
    layout::Layout,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const WHAT: &str = "the manifest";
/// Characters of a SHA-256 in hexadecimal.
pub(super) const HASH_CHARACTERS: usize = 64;

/// What a container says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Program and version that wrote the file.
    pub producer: String,
    /// Architecture and special tokens.
    pub config: ModelConfig,
    /// What the weights were made from.
    pub source: SourceInfo,
    /// How they were made.
    pub recipe: Recipe,
    /// The quantized matrices, in the model's order.
    pub matrices: Vec<MatrixInfo>,
    /// SHA-256 of every tensor but the pads, in the order of the file.
    pub hashes: Vec<TensorHash>,
    /// Figures measured on this very file; see [`super::record_accuracy`].
    pub accuracy: Option<Map<String, Value>>,
}

/// The checkpoint behind a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceInfo {
    /// Its name, for people.
    pub description: String,
    /// How its matrices were stored: `bf16`, or several joined by commas.
    pub stored: String,
    /// SHA-256 over all its weight bytes, hexadecimal.
    pub sha256: String,
}

/// One quantized matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixInfo {
    /// Its Hugging Face name; the tensors are `<name>.panels` and `<name>.row_scales`.
    pub name: String,
    /// Shape, codec and group.
    pub layout: Layout,
    /// How its input is prepared.
    pub activation: ActivationFormat,
}

/// The hash of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorHash {
    /// The tensor as the header names it.
    pub name: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The document as it stands in the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a number has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        let raw = RawManifest {
            producer: self.producer.clone(),
            config: Bounded(self.config.to_json()),
            source: self.source.clone(),
            recipe: RawRecipe::from(&self.recipe),
            matrices: self.matrices.iter().map(RawMatrix::from).collect(),
            tensors: self.hashes.clone(),
            accuracy: self.accuracy.clone().map(|figures| Bounded(Value::Object(figures))),
        };
        serde_json::to_string(&raw).map_err(|error| Error::malformed(WHAT, error))
    }

    /// Reads what [`Manifest::to_json`] wrote. Every number is checked; that the tensors exist is not.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unsupported`] for what a later version may have written, [`Error::Core`].
    pub fn from_json(text: &str) -> Result<Manifest> {
        let raw: RawManifest = serde_json::from_str(text).map_err(|error| Error::malformed(WHAT, error))?;
        let accuracy = match raw.accuracy {
            None => None,
            Some(Bounded(Value::Object(figures))) => Some(figures),
            Some(_) => return Err(Error::malformed(WHAT, "accuracy is not an object")),
        };
        if let Some(hash) = raw.tensors.iter().find(|hash| !is_hash(&hash.sha256)) {
            let name = limits::shown(&hash.name);
            return Err(Error::malformed(WHAT, format!("the hash of {name} is not a SHA-256")));
        }
        Ok(Manifest {
            producer: raw.producer,
            config: ModelConfig::from_json(&raw.config.0)?,
            source: raw.source,
            recipe: raw.recipe.parse()?,
            matrices: raw.matrices.into_iter().map(RawMatrix::parse).collect::<Result<_>>()?,
            hashes: raw.tensors,
            accuracy,
        })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_CHARACTERS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    producer: String,
    config: Bounded,
    source: SourceInfo,
    recipe: RawRecipe,
    matrices: Vec<RawMatrix>,
    tensors: Vec<TensorHash>,
    accuracy: Option<Bounded>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecipe {
    default: String,
    embedding_and_head: String,
    rules: Vec<String>,
    activation: String,
    activation_rules: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatrix {
    name: String,
    codec: String,
    group: usize,
    rows: usize,
    cols: usize,
    transform: String,
    block: usize,
}

impl From<&Recipe> for RawRecipe {
    fn from(recipe: &Recipe) -> RawRecipe {
        RawRecipe {
            default: recipe.default.to_string(),
            embedding_and_head: recipe.embedding_and_head.to_string(),
            rules: recipe.rules.iter().map(ToString::to_string).collect(),
            activation: show_activation(recipe.activation),
            activation_rules: recipe.activation_rules.iter().map(ToString::to_string).collect(),
        }
    }
}

impl RawRecipe {
    fn parse(self) -> Result<Recipe> {
        let broken = |error: Error| Error::malformed("the manifest's recipe", error);
        if self.rules.len().max(self.activation_rules.len()) > limits::RULES {
            return Err(Error::malformed(WHAT, "the recipe has too many rules"));
        }
        let scheme = |text: &str| text.parse::<Scheme>().map_err(broken);
        Ok(Recipe {
            default: scheme(&self.default)?,
            embedding_and_head: scheme(&self.embedding_and_head)?,
            rules: self.rules.iter().map(|rule| rule.parse()).collect::<Result<_>>().map_err(broken)?,
            activation: parse_activation(&self.activation).map_err(broken)?,
            activation_rules: (self.activation_rules.iter().map(|rule| rule.parse()).collect::<Result<_>>())
                .map_err(broken)?,
        })
    }
}

impl From<&MatrixInfo> for RawMatrix {
    fn from(matrix: &MatrixInfo) -> RawMatrix {
        RawMatrix {
            name: matrix.name.clone(),
            codec: matrix.layout.codec().name().into(),
            group: matrix.layout.group().cols(),
            rows: matrix.layout.rows(),
            cols: matrix.layout.cols(),
            transform: transform_name(matrix.activation.transform).into(),
            block: matrix.activation.block.cols(),
        }
    }
}

impl RawMatrix {
    fn parse(self) -> Result<MatrixInfo> {
        let name = limits::shown(&self.name);
        let later = |what: &str, value: &dyn std::fmt::Display| {
            Error::unsupported(format!("{name}: {what} {value}"), "update qint")
        };
        let codec = Codec::from_name(&self.codec).ok_or_else(|| later("codec", &limits::shown(&self.codec)))?;
        let group = Group::from_cols(self.group).ok_or_else(|| later("group", &self.group))?;
        let transform =
            transform_from_name(&self.transform).ok_or_else(|| later("transform", &limits::shown(&self.transform)))?;
        let block = ActivationBlock::from_cols(self.block).ok_or_else(|| later("activation block", &self.block))?;
        let layout = Layout::new(self.rows, self.cols, codec, group).map_err(Error::core(name.as_str()))?;
        Ok(MatrixInfo { name: self.name, layout, activation: ActivationFormat { transform, block } })
    }
}
