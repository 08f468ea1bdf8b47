//! `qint validate`: structure and hashes of a container and, against its original, accuracy with limits.
use crate::{
    args::{EngineArguments, Kv, ModelArgument, ScoreArguments, fraction, non_negative},
    commands::eval::{compared, merged, show},
    errors::{Failure, Result},
    input,
    loaded::Loaded,
    output::{Align, Output, Table},
    progress::Progress,
    signals::Interrupt,
};
use clap::Args;
use qint_std::{
    container::{Container, record_accuracy},
    eval::{Divergence, EvalText},
    mapping::Loading,
    source,
    validate::{DEFAULT_WEIGHT_FACTOR, MatrixReport, compare_weights, reserved_codes},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint validate model.qint.safetensors
  qint validate model.qint.safetensors --against ./SmolLM2-135M-Instruct -f text.txt --max-kld 0.2 --min-top1 0.8

Exit code 3 if a limit is passed. Weight errors are compared with the largest that the codec should have on normally
distributed weights, times 1.25, unless --max-weight-error gives another limit.";

/// Check a container's structure and hashes and, with --against, its accuracy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The model it was made from
    #[arg(long, value_name = "REF")]
    against: Option<PathBuf>,
    /// Text to compare the two models on (needs --against)
    #[arg(short = 'f', long = "file", value_name = "TEXT", requires = "against")]
    text: Option<PathBuf>,
    /// Write the figures into the container's manifest
    #[arg(long, requires = "text")]
    record: bool,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    score: ScoreArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// The largest relative RMS error of a tensor's weights [default: by codec]
    #[arg(long, value_name = "X", requires = "against", value_parser = non_negative::<f64>)]
    max_weight_error: Option<f64>,
    /// The largest mean KL divergence, in nats a token
    #[arg(long, value_name = "X", requires = "text", value_parser = non_negative::<f64>)]
    max_kld: Option<f64>,
    /// The smallest share of tokens whose likeliest successor is the same, 0 to 1
    #[arg(long, value_name = "X", requires = "text", value_parser = fraction::<f64>)]
    min_top1: Option<f64>,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let path = arguments.model.path();
    let report = Report::new(arguments, path, output)?;
    if output.is_json() {
        output.document("validate", arguments.engine.execution.used()?, report.document(arguments))?;
    } else {
        report.lines(output)?;
    }
    if let (true, Some((_, figures))) = (arguments.record, &report.outputs)
        && let Ok(Value::Object(figures)) = serde_json::to_value(figures)
    {
        record_accuracy(path, figures)?;
    }
    let failures = report.failures(&arguments.limits);
    if failures.is_empty() { Ok(()) } else { Err(Failure::Gate(failures)) }
}

/// Everything that was found.
struct Report {
    hashes: usize,
    reserved_codes: u64,
    /// With `--against`.
    weights: Vec<MatrixReport>,
    /// With a text.
    outputs: Option<(EvalText, Divergence)>,
    sizes: Value,
}

impl Report {
    fn new(arguments: &Arguments, path: &Path, output: &Output) -> Result<Report> {
        let container = Container::open(path, Loading::Map)?;
        let (hashes, reserved_codes) = (container.verify()?, reserved_codes(&container));
        let weights = match &arguments.against {
            Some(reference) => weights(&container, reference, &arguments.limits, output)?,
            None => Vec::new(),
        };
        drop(container);
        let model = Loaded::open(path, &arguments.engine)?;
        let outputs = match (&arguments.against, &arguments.text) {
            (Some(reference), Some(text)) => Some(outputs(&model, reference, text, arguments, output)?),
            _ => None,
        };
        Ok(Report { hashes, reserved_codes, weights, outputs, sizes: model.sizes() })
    }

    fn failures(&self, limits: &LimitArguments) -> Vec<String> {
        let too_far = self.weights.iter().filter(|report| !report.passed());
        let mut failures: Vec<String> = too_far
            .map(|report| format!("{}: weight error {:.4} is above {:.4}", report.name, report.error, report.limit))
            .collect();
        let Some((_, Divergence { kld_mean, top1, .. })) = self.outputs else { return failures };
        if let Some(limit) = limits.max_kld.filter(|&limit| kld_mean > limit || kld_mean.is_nan()) {
            failures.push(format!("KL divergence {kld_mean:.5} is above {limit}"));
        }
        if let Some(limit) = limits.min_top1.filter(|&limit| top1 < limit || top1.is_nan()) {
            failures.push(format!("top-1 agreement {top1:.4} is below {limit}"));
        }
        failures
    }

    fn document(&self, arguments: &Arguments) -> Value {
        let failures = self.failures(&arguments.limits);
        let figures = self.outputs.as_ref().and_then(|(_, figures)| serde_json::to_value(figures).ok());
        let fields = json!({
            "passed": failures.is_empty(),
            "failures": failures,
            "hashes": self.hashes,
            "reserved_codes": self.reserved_codes,
            "weights": self.weights,
            "limits": {"max_kld": arguments.limits.max_kld, "min_top1": arguments.limits.min_top1},
        });
        merged(merged(fields, figures.unwrap_or_default()), self.sizes.clone())
    }

    fn lines(&self, output: &mut Output) -> Result<()> {
        output.line(&format!("structure        fine, {} hashes agree", self.hashes))?;
        output.line(&format!("reserved codes   {}", self.reserved_codes))?;
        if let Some((text, figures)) = &self.outputs {
            show(figures, text, output)?;
        }
        if !self.weights.is_empty() {
            output.line("")?;
            output.text(&self.table().plain())?;
        }
        Ok(())
    }

    /// The worst matrix of every codec and group.
    fn table(&self) -> Table {
        let header = ["codec", "matrices", "worst error", "limit", "of"];
        let alignment = &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Left];
        let mut table = Table::new(alignment, &header);
        let mut schemes: Vec<(&str, usize)> = self.weights.iter().map(|report| (report.codec, report.group)).collect();
        schemes.sort_unstable();
        schemes.dedup();
        for scheme in schemes {
            let same = self.weights.iter().filter(|report| (report.codec, report.group) == scheme);
            let Some(worst) = same.clone().max_by(|a, b| a.error.total_cmp(&b.error)) else { continue };
            let (name, error, limit) = (worst.name.clone(), worst.error, worst.limit);
            let (scheme, count) = (format!("{}:g{}", scheme.0, scheme.1), same.count().to_string());
            table.row(vec![scheme, count, format!("{error:.4}"), format!("{limit:.4}"), name]);
        }
        table
    }
}

fn weights(
    container: &Container,
    reference: &Path,
    limits: &LimitArguments,
    output: &Output,
) -> Result<Vec<MatrixReport>> {
    let source = source::open(reference)?;
    let interrupt = Interrupt::watch();
    let progress = Progress::new(output, "comparing weights");
    let tell = |done, total| progress.tell(done as u64, total as u64, "");
    let mut reports = compare_weights(container, &*source, DEFAULT_WEIGHT_FACTOR, &tell, interrupt.flag())?;
    if let Some(limit) = limits.max_weight_error {
        reports.iter_mut().for_each(|report| report.limit = limit);
    }
    Ok(reports)
}

fn outputs(
    model: &Loaded,
    reference: &Path,
    text: &Path,
    arguments: &Arguments,
    output: &Output,
) -> Result<(EvalText, Divergence)> {
    let text = input::text(text)?;
    let reference = Loaded::open(reference, &arguments.engine)?;
    let options = arguments.score.options(model.architecture().context)?;
    let text = EvalText::new(&reference.tokenizer()?, &text, &options)?;
    let mut engine = arguments.engine.execution.engine(output)?;
    let figures = compared(&mut engine, &reference, (model, Kv::F16), &text, output)?;
    Ok((text, figures))
}
