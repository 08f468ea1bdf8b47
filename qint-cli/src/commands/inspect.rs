//! `qint inspect`: what is in a model file.
use crate::{
    args::ModelArgument,
    errors::{Failure, Result},
    output::{Align, Output, Table, thousands},
};
use clap::Args;
use qint_std::{
    config::{ExpectedTensor, ModelConfig},
    container::{ASSETS, Container, Manifest, MatrixInfo},
    mapping::Loading,
    model::is_source,
    quantize::show_activation,
    source::{self, Source},
};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  qint inspect model.qint.safetensors
  qint inspect model.qint.safetensors --verify      also reads everything and compares the hashes
  qint inspect model.qint.safetensors --manifest    the manifest as it is stored
  qint inspect ./SmolLM2-135M-Instruct              the tensors of a checkpoint";

/// Show architecture, tensors and sizes of a model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// Print the container's manifest (JSON) and nothing else
    #[arg(long, conflicts_with = "verify")]
    manifest: bool,
    /// Read all tensors and compare their SHA-256 with the manifest
    #[arg(long)]
    verify: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let path = arguments.model.path();
    if is_source(path) {
        if arguments.manifest || arguments.verify {
            let why = format!("{} was not written by `qint convert`: it has no manifest and no hashes", path.display());
            return Err(Failure::Usage(why));
        }
        let source = source::open(path)?;
        return Listing::of_source(&*source).show(output);
    }
    let container = Container::open(path, Loading::Map)?;
    if arguments.manifest {
        return manifest(&container, output);
    }
    let verified = if arguments.verify { Some(container.verify()?) } else { None };
    Listing { verified, ..Listing::of_container(&container) }.show(output)
}

fn manifest(container: &Container, output: &mut Output) -> Result<()> {
    let text = container.manifest().to_json()?;
    if !output.is_json() {
        return output.line(&text);
    }
    let manifest: Value = serde_json::from_str(&text).unwrap_or_default();
    output.document("inspect", json!({}), json!({"manifest": manifest}))
}

/// What is shown of a model, wherever it comes from.
struct Listing<'a> {
    format: &'static str,
    config: &'a ModelConfig,
    tensors: Vec<Tensor>,
    assets: Vec<&'static str>,
    ignored: &'a [String],
    manifest: Option<&'a Manifest>,
    bits_per_weight: Option<[f64; 2]>,
    /// Hashes that were compared.
    verified: Option<usize>,
}

struct Tensor {
    name: String,
    rows: usize,
    cols: usize,
    stored: String,
    bytes: u64,
}

impl<'a> Listing<'a> {
    fn of_source(source: &'a dyn Source) -> Listing<'a> {
        let tensor = |tensor: &source::SourceTensor| Tensor {
            name: tensor.expected.name.clone(),
            rows: tensor.expected.rows,
            cols: tensor.expected.cols,
            stored: tensor.stored.to_string(),
            bytes: tensor.bytes,
        };
        Listing {
            format: "not quantized by qint",
            config: source.config(),
            tensors: source.tensors().iter().map(tensor).collect(),
            assets: ASSETS.into_iter().filter(|name| source.asset(name).is_some()).collect(),
            ignored: source.ignored(),
            manifest: None,
            bits_per_weight: None,
            verified: None,
        }
    }

    fn of_container(container: &'a Container) -> Listing<'a> {
        let manifest = container.manifest();
        let tensor = |expected: ExpectedTensor| {
            let matrix = manifest.matrices.iter().find(|matrix| matrix.name == expected.name);
            let stored = matrix.map_or_else(|| "f32".to_string(), stored);
            let bytes = matrix.map_or(4 * expected.cols, matrix_bytes) as u64;
            Tensor { name: expected.name, rows: expected.rows, cols: expected.cols, stored, bytes }
        };
        Listing {
            format: "container",
            config: &manifest.config,
            tensors: manifest.config.expected_tensors().into_iter().map(tensor).collect(),
            assets: ASSETS.into_iter().filter(|name| container.asset(name).is_some()).collect(),
            ignored: &[],
            manifest: Some(manifest),
            bits_per_weight: Some([
                manifest.bits_per_weight(container.bytes() as u64),
                manifest.bits_per_weight_linear(),
            ]),
            verified: None,
        }
    }

    fn show(&self, output: &mut Output) -> Result<()> {
        if output.is_json() { output.document("inspect", json!({}), self.document()) } else { self.lines(output) }
    }

    fn weights(&self) -> u64 {
        self.tensors.iter().map(|tensor| (tensor.rows * tensor.cols) as u64).sum()
    }

    fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.bytes).sum()
    }

    fn document(&self) -> Value {
        let tensor = |tensor: &Tensor| {
            json!({"name": tensor.name, "rows": tensor.rows, "cols": tensor.cols, "stored": tensor.stored,
                "bytes": tensor.bytes})
        };
        json!({
            "format": self.format,
            "config": self.config.to_json(),
            "weights": self.weights(),
            "tensor_bytes": self.bytes(),
            "bits_per_weight": self.bits_per_weight.map_or_else(|| self.tensor_bits(), |[all, _]| all),
            "bits_per_weight_linear": self.bits_per_weight.map(|[_, linear]| linear),
            "verified_hashes": self.verified,
            "assets": self.assets,
            "ignored": self.ignored,
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
        })
    }

    fn tensor_bits(&self) -> f64 {
        self.bytes() as f64 * 8.0 / self.weights().max(1) as f64
    }

    fn lines(&self, output: &mut Output) -> Result<()> {
        let architecture = &self.config.architecture;
        output.line(&format!("family      {} ({})", self.config.family, self.format))?;
        output.line(&format!(
            "layers      {} of width {}, MLP {}; {} heads of {} over {} KV heads",
            architecture.layers,
            architecture.hidden,
            architecture.intermediate,
            architecture.heads,
            architecture.head_dim,
            architecture.kv_heads
        ))?;
        output.line(&format!("vocabulary  {}, context {}", architecture.vocabulary, architecture.context))?;
        let (weights, bytes) = (thousands(self.weights()), thousands(self.bytes()));
        output.line(&format!("weights     {weights} in {bytes} bytes, {:.3} bits each", self.tensor_bits()))?;
        output.line(&format!("assets      {}", self.assets.join(", ")))?;
        self.container_lines(output)?;
        if !self.ignored.is_empty() {
            output.line(&format!("not used    {}", self.ignored.join(", ")))?;
        }
        output.line("")?;
        output.text(&self.table().plain())
    }

    fn container_lines(&self, output: &mut Output) -> Result<()> {
        if let Some([all, linear]) = self.bits_per_weight {
            output.line(&format!("whole file  {all:.3} bits per weight; linear layers {linear:.3}"))?;
        }
        if let Some(manifest) = self.manifest {
            let source = &manifest.source;
            output
                .line(&format!("made from   {} ({}), sha256 {}", source.description, source.stored, source.sha256))?;
            output.line(&format!("made by     {}", manifest.producer))?;
            if let Some(accuracy) = &manifest.accuracy {
                output.line(&format!("measured    {}", Value::from(accuracy.clone())))?;
            }
        }
        if let Some(hashes) = self.verified {
            output.line(&format!("verified    {hashes} hashes agree"))?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let alignment = &[Align::Left, Align::Right, Align::Right, Align::Left, Align::Right];
        let mut table = Table::new(alignment, &["tensor", "rows", "columns", "stored", "bytes"]);
        for tensor in &self.tensors {
            let (rows, cols) = (tensor.rows.to_string(), tensor.cols.to_string());
            table.row(vec![tensor.name.clone(), rows, cols, tensor.stored.clone(), thousands(tensor.bytes)]);
        }
        table
    }
}

/// `q4:g32 hadamard:b256`.
fn stored(matrix: &MatrixInfo) -> String {
    let (codec, group) = (matrix.layout.codec().name(), matrix.layout.group().cols());
    format!("{codec}:g{group} {}", show_activation(matrix.activation))
}

fn matrix_bytes(matrix: &MatrixInfo) -> usize {
    matrix.layout.panels_bytes() + 4 * matrix.layout.padded_rows()
}
