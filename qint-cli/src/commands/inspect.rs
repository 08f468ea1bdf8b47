//! `qint inspect`: what is in a model file.
use crate::{
    args::ModelArgument,
    errors::Result,
    output::{Align, Output, Table, thousands},
};
use clap::Args;
use qint_std::{
    config::ModelConfig,
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
    let source = source::open(arguments.model.path())?;
    Listing::of_source(&*source).show(output)
}

/// What is shown of a model, wherever it comes from.
struct Listing<'a> {
    format: &'static str,
    config: &'a ModelConfig,
    tensors: Vec<Tensor>,
    assets: Vec<&'static str>,
    ignored: &'a [String],
}

struct Tensor {
    name: String,
    rows: usize,
    cols: usize,
    stored: String,
    bytes: u64,
}

const ASSETS: [&str; 5] =
    ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];

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
            "bits_per_weight": self.bits_per_weight(),
            "assets": self.assets,
            "ignored": self.ignored,
            "tensors": self.tensors.iter().map(tensor).collect::<Vec<_>>(),
        })
    }

    fn bits_per_weight(&self) -> f64 {
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
        output.line(&format!("weights     {weights} in {bytes} bytes, {:.3} bits each", self.bits_per_weight()))?;
        output.line(&format!("assets      {}", self.assets.join(", ")))?;
        if !self.ignored.is_empty() {
            output.line(&format!("not used    {}", self.ignored.join(", ")))?;
        }
        output.line("")?;
        output.text(&self.table().plain())
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
