//! `qint demo`: the bundled model at every width, measured against the original, and a passage from the 4-bit one.
use crate::{
    args::{BackendArguments, Kv},
    commands::eval::merged,
    errors::{Failure, Result},
    loaded::Loaded,
    output::{Align, Output, Table, thousands},
    signals::Interrupt,
    writing::Scribe,
};
use clap::Args;
use qint_core::codec::Codec;
use qint_std::{
    bundled,
    container::Container,
    convert::{self, convert},
    engine::{Engine, Session},
    eval::{Divergence, EvalOptions, EvalText, Observer, Scored, divergence},
    generate::GenerateOptions,
    mapping::Loading,
    model::Model,
    quantize::{Recipe, Scheme},
    sample::SamplerSettings,
    source,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint demo
  qint demo --json";

/// How the evaluation text is cut.
const OPTIONS: EvalOptions = EvalOptions { chars: None, window: 256, windows: None };

/// The codec that writes the passage.
const PASSAGE_CODEC: Codec = Codec::Q4;
/// How the passage begins.
const PASSAGE: &str = "ROMEO:\n";
/// How long it goes on.
const PASSAGE_TOKENS: usize = 120;
/// Which of the possible passages it is.
const PASSAGE_SEED: u64 = 1;

/// Quantize the bundled model at every width, compare each with the original, and write a passage
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    execution: BackendArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let directory = tempfile::tempdir().map_err(qint_std::Error::io(std::env::temp_dir()))?;
    bundled::write_to(directory.path())?;
    let mut demo = Demo::new(directory.path(), arguments.execution.engine(output)?)?;
    output.note("The bundled model, a million weights, at every width, each compared with the original:\n");
    let mut rows = vec![demo.original()];
    for codec in Codec::ALL {
        rows.push(demo.quantized(codec)?);
    }
    if output.is_json() {
        let results: Vec<_> = rows.iter().map(Row::document).collect();
        let used = Loaded::used(&demo.engine);
        let text = demo.passage(&mut |_| Ok(()))?;
        let passage = json!({"codec": PASSAGE_CODEC.name(), "prompt": PASSAGE, "text": text});
        return output.document("demo", used, json!({"results": results, "passage": passage}));
    }
    output.stream(&table(&rows).plain())?;
    output.note(&format!("\nThe {} model goes on from \"{}\":\n", PASSAGE_CODEC.name(), PASSAGE.trim_end()));
    output.stream(PASSAGE)?;
    demo.passage(&mut |piece| output.stream(piece))?;
    output.stream("\n")
}

struct Demo<'a> {
    directory: &'a Path,
    engine: Engine,
    original: Model,
    text: EvalText,
    interrupt: Interrupt,
}

impl<'a> Demo<'a> {
    fn new(directory: &'a Path, engine: Engine) -> Result<Demo<'a>> {
        let original = Loaded::of_model("the bundled model", Model::open(directory, Loading::Map)?);
        let text = EvalText::new(&original.tokenizer()?, bundled::EVALUATION, &OPTIONS)?;
        Ok(Demo { directory, engine, original: original.into_model(), text, interrupt: Interrupt::watch() })
    }

    fn original(&self) -> Row {
        let (bits, bits_linear) = (self.original.bits_per_weight(), self.original.bits_per_weight_linear());
        Row { name: "original, f16", bits, bits_linear, bytes: self.original.bytes(), figures: None }
    }

    /// Quantizes, verifies the file, and compares it with the original.
    fn quantized(&mut self, codec: Codec) -> Result<Row> {
        let path = container_path(self.directory, codec);
        let source = source::open(self.directory)?;
        let options = convert::Options { cancel: Some(self.interrupt.flag()), ..Default::default() };
        convert(&*source, &Recipe::new(Scheme::of(codec)), &path, &options, &|_| ())?;
        let container = Container::open(&path, Loading::Map)?;
        container.verify()?;
        let model = Model::from_container(container)?;
        let figures = self.compare(&model)?;
        let (bits, bits_linear) = (model.bits_per_weight(), model.bits_per_weight_linear());
        Ok(Row { name: codec.name(), bits, bits_linear, bytes: model.bytes(), figures: Some(figures) })
    }

    /// Lets the 4-bit model go on from [`PASSAGE`].
    fn passage(self, show: &mut dyn FnMut(&str) -> Result<()>) -> Result<String> {
        let model = Model::open(&container_path(self.directory, PASSAGE_CODEC), Loading::Map)?;
        let mut scribe = Scribe::new(Loaded::of_model("the bundled model", model), self.engine, true)?;
        let prompt = scribe.prompt(None, PASSAGE)?;
        let mut session = Session::new(scribe.loaded.architecture(), Kv::F16.kind(), prompt.len() + PASSAGE_TOKENS)?;
        let options = GenerateOptions {
            max_tokens: Some(PASSAGE_TOKENS),
            sampler: SamplerSettings { seed: PASSAGE_SEED, ..SamplerSettings::default() },
            end_tokens: scribe.loaded.config().eos.clone(),
            ..GenerateOptions::default()
        };
        let generated = scribe.write(&mut session, &prompt, &options, show, &self.interrupt)?;
        if self.interrupt.is_pressed() { Err(Failure::Interrupted) } else { Ok(generated.text) }
    }

    fn compare(&mut self, model: &Model) -> Result<Divergence> {
        let observer = Observer { progress: &|_, _| (), cancel: self.interrupt.flag() };
        let reference = Scored { weights: self.original.weights(), kv: Kv::F32.kind() };
        let model = Scored { weights: model.weights(), kv: Kv::F16.kind() };
        Ok(divergence(&mut self.engine, reference, model, &self.text, &observer)?)
    }
}

fn container_path(directory: &Path, codec: Codec) -> PathBuf {
    directory.join(format!("{}.qint.safetensors", codec.name()))
}

/// One line of the table.
struct Row {
    name: &'static str,
    bits: f64,
    bits_linear: f64,
    bytes: u64,
    figures: Option<Divergence>,
}

impl Row {
    fn document(&self) -> Value {
        let sizes = json!({"codec": self.name, "bits_per_weight": self.bits, "bytes": self.bytes,
            "bits_per_weight_linear": self.bits_linear});
        merged(sizes, serde_json::to_value(self.figures).unwrap_or_default())
    }

    fn cells(&self, original_ppl: f64) -> Vec<String> {
        let (kld, ppl, top1) =
            self.figures.map_or((0.0, original_ppl, 1.0), |figures| (figures.kld_mean, figures.ppl, figures.top1));
        vec![
            self.name.to_string(),
            format!("{:.2}", self.bits),
            format!("{:.2}", self.bits_linear),
            thousands(self.bytes),
            format!("{kld:.4}"),
            format!("{ppl:.2}"),
            format!("{:.1} %", 100.0 * top1),
        ]
    }
}

fn table(rows: &[Row]) -> Table {
    const RIGHT: Align = Align::Right;
    let header = ["codec", "bits/weight", "linear", "bytes", "KL divergence", "perplexity", "same top token"];
    let mut table = Table::new(&[Align::Left, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT], &header);
    let original_ppl = rows.iter().find_map(|row| row.figures).map_or(f64::NAN, |figures| figures.ppl_reference);
    rows.iter().for_each(|row| table.row(row.cells(original_ppl)));
    table
}
