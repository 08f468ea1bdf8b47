//! `qint convert`: a checkpoint becomes one quantized container.
use crate::{
    args::ForceArgument,
    environment,
    errors::Result,
    output::{Output, thousands},
    progress::Progress,
    signals::Interrupt,
};
use clap::Args;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    codec::Group,
};
use qint_std::{
    convert::{self, Summary},
    quantize::{ActivationRule, Recipe, Rule, Scheme, transform_from_name},
    source,
};
use serde_json::json;
use std::{num::NonZeroU16, path::PathBuf, time::Instant};

const EXAMPLES: &str = "\
Examples:
  qint convert ./SmolLM2-135M-Instruct -o smollm2.qint.safetensors
  qint convert model.gguf -o model.qint.safetensors --codec q8
  qint convert ./model -o mixed.qint.safetensors --codec q4 --rule '*.down_proj.weight=q8' --rule 'lm_head.weight=q4:g64'

Codecs: q8, q4, q4-linear, q2, q2-linear, q1. Embeddings and head are q8 unless a rule says otherwise. The last rule that
matches a tensor's name decides.";

/// Quantize a Hugging Face directory, a GGUF file or an NPZ export into one container
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to convert: a Hugging Face directory, a GGUF file, or a directory that `qint export` wrote
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The container to write, usually NAME.qint.safetensors
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Codec of the linear layers
    #[arg(long, value_name = "CODEC[:gN]", default_value = "q4")]
    codec: Scheme,
    /// Columns that share a sub-scale: 32, 64 or 128 [default: the codec's own]
    #[arg(long, value_name = "N", value_parser = group)]
    group: Option<Group>,
    /// Codec of the matrices whose name matches PATTERN (`*` any characters, `?` one); may be repeated
    #[arg(long = "rule", value_name = "PATTERN=CODEC[:gN]")]
    rules: Vec<Rule>,
    /// Transform before rounding, for all inputs: none or hadamard [default: hadamard, but none for the MLP of q4]
    #[arg(long, value_name = "TRANSFORM", value_parser = transform)]
    transform: Option<Transform>,
    /// Columns that share an activation scale, for all inputs: 256, 512 or 1024 [default: 256]
    #[arg(long, value_name = "N", value_parser = activation_block)]
    activation_block: Option<ActivationBlock>,
    /// Input format of the matrices that match PATTERN, such as none:b512; may be repeated
    #[arg(long = "activation-rule", value_name = "PATTERN=FORMAT")]
    activation_rules: Vec<ActivationRule>,
    #[command(flatten)]
    force: ForceArgument,
    /// Threads [default: all CPUs that this process may use]
    #[arg(short, long, value_name = "N")]
    threads: Option<NonZeroU16>,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    arguments.force.check(&arguments.output)?;
    let source = source::open(&arguments.source)?;
    for name in source.ignored() {
        output.note(&format!("not used: {name}"));
    }
    let start = Instant::now();
    let summary = {
        let interrupt = Interrupt::watch();
        let progress = Progress::new(output, "converting");
        let tell = |at: convert::Progress<'_>| progress.tell(at.done, at.total, at.tensor);
        let description = arguments.source.display().to_string();
        let options = convert::Options {
            force: arguments.force.force,
            threads: arguments.threads.map(|threads| usize::from(threads.get())),
            description: &description,
            cancel: Some(interrupt.flag()),
        };
        convert::convert(&*source, &arguments.recipe(), &arguments.output, &options, &tell)?
    };
    report(arguments, &summary, start.elapsed().as_secs_f64(), output)
}

/// The payload of a conversion is the file; what is said about it goes to stderr, or with `--json` to stdout.
fn report(arguments: &Arguments, summary: &Summary, seconds: f64, output: &mut Output) -> Result<()> {
    let Summary { tensors, weights, bytes, bits_per_weight, bits_per_weight_linear } = summary;
    let path = arguments.output.display().to_string();
    if output.is_json() {
        let threads = arguments.threads.map_or_else(environment::cpus, |threads| usize::from(threads.get()));
        let fields = json!({"output": path, "tensors": tensors, "weights": weights, "bytes": bytes, "seconds": seconds,
            "bits_per_weight": bits_per_weight, "bits_per_weight_linear": bits_per_weight_linear});
        return output.document("convert", json!({"threads": threads}), fields);
    }
    let (weights, bytes) = (thousands(*weights), thousands(*bytes));
    output.note(&format!("{path}: {weights} weights in {bytes} bytes, {seconds:.1} s"));
    output.note(&format!("bits per weight {bits_per_weight:.3}, linear layers {bits_per_weight_linear:.3}"));
    Ok(())
}

impl Arguments {
    fn recipe(&self) -> Recipe {
        let mut recipe = Recipe::new(Scheme { group: self.group.unwrap_or(self.codec.group), ..self.codec });
        recipe.rules = self.rules.clone();
        if self.transform.is_some() || self.activation_block.is_some() {
            let default = ActivationFormat::DEFAULT;
            recipe = recipe.with_activation(ActivationFormat {
                transform: self.transform.unwrap_or(default.transform),
                block: self.activation_block.unwrap_or(default.block),
            });
        }
        recipe.activation_rules.extend(self.activation_rules.iter().cloned());
        recipe
    }
}

pub(crate) fn group(text: &str) -> std::result::Result<Group, &'static str> {
    text.parse().ok().and_then(Group::from_cols).ok_or("it is 32, 64 or 128")
}

fn activation_block(text: &str) -> std::result::Result<ActivationBlock, &'static str> {
    text.parse().ok().and_then(ActivationBlock::from_cols).ok_or("it is 256, 512 or 1024")
}

fn transform(text: &str) -> std::result::Result<Transform, &'static str> {
    transform_from_name(text).ok_or("it is none or hadamard")
}
