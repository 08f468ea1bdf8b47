//! `qint eval`: perplexity of a text, and KL divergence to another model.
use crate::{
    args::{EngineArguments, Kv, ModelArgument, ScoreArguments},
    errors::Result,
    input,
    loaded::Loaded,
    output::Output,
    progress::Progress,
    signals::Interrupt,
};
use clap::{Args, Subcommand};
use qint_std::{
    engine::Engine,
    eval::{Divergence, EvalText, Observer, Perplexity, Scored, divergence, perplexity},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint eval ppl model.qint.safetensors -f text.txt
  qint eval kld model.qint.safetensors --against ./SmolLM2-135M-Instruct -f text.txt --windows 8";

/// Measure perplexity, or KL divergence to a reference
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Debug, Subcommand)]
enum Measure {
    Ppl(PplArguments),
    Kld(KldArguments),
}

/// Perplexity of a text
#[derive(Debug, Args)]
struct PplArguments {
    #[command(flatten)]
    common: CommonArguments,
}

/// KL divergence, top-1 agreement and perplexity against a reference model
#[derive(Debug, Args)]
struct KldArguments {
    #[command(flatten)]
    common: CommonArguments,
    /// The reference, usually the model that MODEL was made from
    #[arg(long, value_name = "REF")]
    against: PathBuf,
}

#[derive(Debug, Args)]
struct CommonArguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The text, UTF-8
    #[arg(short = 'f', long = "file", value_name = "TEXT")]
    text: PathBuf,
    /// How MODEL keeps keys and values
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    #[command(flatten)]
    score: ScoreArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    match &arguments.measure {
        Measure::Ppl(arguments) => ppl(&arguments.common, output),
        Measure::Kld(arguments) => kld(&arguments.common, &arguments.against, output),
    }
}

fn ppl(arguments: &CommonArguments, output: &mut Output) -> Result<()> {
    let text = input::text(&arguments.text)?;
    let model = Loaded::open(arguments.model.path(), &arguments.engine)?;
    let mut engine = arguments.engine.execution.engine(output)?;
    let text = EvalText::new(&model.tokenizer()?, &text, &arguments.score.options(model.architecture().context)?)?;
    let interrupt = Interrupt::watch();
    let figures = {
        let progress = Progress::new(output, "evaluating");
        let tell = |done, total| progress.tell(done as u64, total as u64, "");
        let observer = Observer { progress: &tell, cancel: interrupt.flag() };
        let scored = Scored { weights: model.weights(), kv: arguments.kv.kind() };
        perplexity(&mut engine, scored, &text, &observer)?
    };
    if output.is_json() {
        let Perplexity { ppl, ppl_stderr, tokens } = figures;
        let fields = json!({"ppl": ppl, "ppl_stderr": ppl_stderr, "tokens": tokens});
        return output.document("eval-ppl", Loaded::used(&engine), merged(fields, model.sizes()));
    }
    output.line(&format!("perplexity       {:.4} ± {:.4}", figures.ppl, figures.ppl_stderr))?;
    output.line(&format!("tokens scored    {}, in {}", figures.tokens, windows(&text)))?;
    model.size_lines(output)
}

fn kld(arguments: &CommonArguments, against: &Path, output: &mut Output) -> Result<()> {
    let text = input::text(&arguments.text)?;
    let model = Loaded::open(arguments.model.path(), &arguments.engine)?;
    let reference = Loaded::open(against, &arguments.engine)?;
    let mut engine = arguments.engine.execution.engine(output)?;
    let text = EvalText::new(&reference.tokenizer()?, &text, &arguments.score.options(model.architecture().context)?)?;
    let figures = compared(&mut engine, &reference, (&model, arguments.kv), &text, output)?;
    if output.is_json() {
        let fields = serde_json::to_value(figures).unwrap_or_default();
        return output.document("eval-kld", Loaded::used(&engine), merged(fields, model.sizes()));
    }
    show(&figures, &text, output)?;
    model.size_lines(output)
}

/// `model` against `reference`, which keeps keys and values in f32.
pub(crate) fn compared(
    engine: &mut Engine,
    reference: &Loaded,
    (model, kv): (&Loaded, Kv),
    text: &EvalText,
    output: &Output,
) -> Result<Divergence> {
    let interrupt = Interrupt::watch();
    let progress = Progress::new(output, "comparing");
    let tell = |done, total| progress.tell(done as u64, total as u64, "");
    let observer = Observer { progress: &tell, cancel: interrupt.flag() };
    let reference = Scored { weights: reference.weights(), kv: Kv::F32.kind() };
    let model = Scored { weights: model.weights(), kv: kv.kind() };
    Ok(divergence(engine, reference, model, text, &observer)?)
}

/// The figures of a comparison, one a line.
pub(crate) fn show(figures: &Divergence, text: &EvalText, output: &mut Output) -> Result<()> {
    let Divergence { kld_mean, kld_stderr, kld_median, kld_p99, top1, ppl, ppl_reference, tokens } = figures;
    output.line(&format!("KL divergence    {kld_mean:.5} ± {kld_stderr:.5} nats a token"))?;
    output.line(&format!("                 median {kld_median:.5}, 99th percentile {kld_p99:.5}"))?;
    output.line(&format!("same first token {:.2} %", 100.0 * top1))?;
    output.line(&format!("perplexity       {ppl:.4}, reference {ppl_reference:.4}"))?;
    output.line(&format!("tokens scored    {tokens}, in {}", windows(text)))
}

fn windows(text: &EvalText) -> String {
    format!("{} windows of {}", text.windows().len(), text.window())
}

/// Both objects in one.
pub(crate) fn merged(mut fields: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}
