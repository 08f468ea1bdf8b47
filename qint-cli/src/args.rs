//! The command line as a whole, and the option groups that several commands share.
//!
//! Flag letters are those of llama.cpp where both have the option. A value that can be judged alone is judged here, so that
//! it is refused (code 2) before any work.
use crate::{
    commands::{
        bench, chat, compare, completions, convert, demo, doctor, eval, export, inspect, run, tokenize, validate,
    },
    errors::{EXIT_CODES, Failure, Result},
    output::Output,
};
use clap::{ArgAction, Args, Parser, Subcommand};
use qint_core::{backend::Backend, llama::KvKind};
use qint_std::{
    engine::{Engine, EngineOptions},
    eval::EvalOptions,
    team::physical_cores,
};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    num::{NonZeroU16, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
};

/// Quantize a Llama-family model once and run the same packed weights, bit for bit the same integers, on every CPU.
#[derive(Debug, Parser)]
#[command(name = "qint", version, after_help = EXIT_CODES, subcommand_required = true, args_override_self = true)]
#[command(arg_required_else_help = false, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Say nothing on stderr except errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print one JSON document on stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Arguments),
    Convert(convert::Arguments),
    Run(run::Arguments),
    Chat(chat::Arguments),
    Inspect(inspect::Arguments),
    Validate(validate::Arguments),
    Eval(eval::Arguments),
    Bench(bench::Arguments),
    Compare(compare::Arguments),
    Tokenize(tokenize::Arguments),
    Export(export::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

/// The model, as the first argument or after `-m`.
#[derive(Debug, Args)]
pub(crate) struct ModelArgument {
    /// A .qint.safetensors file, a Hugging Face directory or a GGUF file
    #[arg(value_name = "MODEL", required_unless_present = "model_option")]
    model: Option<PathBuf>,
    /// The same as MODEL
    #[arg(short = 'm', long = "model", value_name = "MODEL", conflicts_with = "model")]
    model_option: Option<PathBuf>,
}

impl ModelArgument {
    pub(crate) fn path(&self) -> &Path {
        // clap requires one of the two.
        self.model.as_deref().or(self.model_option.as_deref()).unwrap_or(Path::new(""))
    }
}

/// What executes kernels.
#[derive(Debug, Args)]
#[command(next_help_heading = "Execution")]
pub(crate) struct BackendArguments {
    /// Threads [default: one for each physical core that this process may use]
    #[arg(short, long, value_name = "N")]
    pub(crate) threads: Option<NonZeroU16>,
    /// Backend to use; `qint doctor` lists those of this machine [default: the fastest]
    #[arg(long, value_name = "NAME", env = "QINT_BACKEND", hide_env_values = true)]
    pub(crate) backend: Option<String>,
}

/// What executes a model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Execution")]
pub(crate) struct EngineArguments {
    #[command(flatten)]
    pub(crate) execution: BackendArguments,
    /// Read the model into memory instead of mapping the file
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

impl EngineArguments {
    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Result<Vec<OsString>> {
        let no_mmap = self.no_mmap.then(|| "--no-mmap".into());
        Ok(self.execution.words()?.into_iter().chain(no_mmap).collect())
    }
}

impl BackendArguments {
    /// The backend asked for, or the fastest.
    pub(crate) fn backend(&self) -> Result<Backend> {
        let Some(name) = self.backend.as_deref() else { return Ok(Backend::detect()) };
        Backend::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Backend::available().map(Backend::name).collect();
            let missing: Vec<&str> =
                Backend::known().filter(|known| known.name == name).flat_map(|known| known.missing()).collect();
            let why = if missing.is_empty() { String::new() } else { format!(" (it needs {})", missing.join(", ")) };
            let names = names.join(", ");
            Failure::Usage(format!("there is no backend `{name}` on this machine{why}; there are: {names}"))
        })
    }

    /// An engine as the arguments want it.
    pub(crate) fn engine(&self, output: &Output) -> Result<Engine> {
        let threads = self.threads();
        let options = EngineOptions { backend: Some(self.backend()?), threads: Some(threads), ..Default::default() };
        let engine = Engine::with_options(options)?;
        if engine.threads() < threads {
            output.note(&format!("only {} of {threads} threads could be started", engine.threads()));
        }
        Ok(engine)
    }

    /// What a document says about execution.
    pub(crate) fn used(&self) -> Result<Value> {
        Ok(json!({"backend": self.backend()?.name(), "threads": self.threads()}))
    }

    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Result<Vec<OsString>> {
        let (threads, backend) = (self.threads().to_string(), self.backend()?.name());
        Ok(["--threads", &threads, "--backend", backend].map(OsString::from).to_vec())
    }

    /// The number of threads.
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(physical_cores, |threads| usize::from(threads.get()))
    }
}

/// How the next token is chosen.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SampleArguments {
    /// Temperature; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value = "0.8", value_parser = non_negative::<f32>)]
    pub(crate) temp: f32,
    /// Keep the K likeliest tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value = "40")]
    pub(crate) top_k: usize,
    /// Keep the likeliest tokens that together reach probability P; 1 keeps all
    #[arg(long, value_name = "P", default_value = "0.95", value_parser = fraction::<f32>)]
    pub(crate) top_p: f32,
    /// Drop tokens less likely than P times the likeliest; 0 drops none
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = fraction::<f32>)]
    pub(crate) min_p: f32,
    /// Divide the logits of recent tokens by R (multiply, where negative); 1 changes nothing
    #[arg(long, value_name = "R", default_value = "1.0", value_parser = positive::<f32>)]
    pub(crate) repeat_penalty: f32,
    /// How many tokens are recent
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) repeat_last_n: usize,
    /// Seed of the random choice; the same seed gives the same text on every machine
    #[arg(short, long, value_name = "SEED", default_value = "0")]
    pub(crate) seed: u64,
}

/// How long a generation may become, and how it is stored.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct GenerateArguments {
    /// New tokens at most [default: 256, or what the context leaves]
    #[arg(short = 'n', long = "predict", value_name = "N")]
    pub(crate) predict: Option<NonZeroUsize>,
    /// Positions of the context, at most what the model was made for [default: what the prompt and -n need]
    #[arg(short, long, value_name = "N")]
    pub(crate) context: Option<NonZeroUsize>,
    /// Stop before this text appears; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) stop: Vec<String>,
    /// Go on when the model would end
    #[arg(long)]
    pub(crate) ignore_eos: bool,
    /// How keys and values are kept
    #[arg(long, value_enum, default_value = "f16")]
    pub(crate) kv: Kv,
    /// Leave the prompt out of the output of --raw
    #[arg(long)]
    pub(crate) no_display_prompt: bool,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kv {
    F16,
    I8,
    F32,
}

impl Kv {
    /// What it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        self.kind().name()
    }

    /// llama.cpp's counterpart.
    pub(crate) fn ggml_name(self) -> &'static str {
        match self {
            Kv::I8 => "q8_0",
            kind => kind.name(),
        }
    }

    pub(crate) fn kind(self) -> KvKind {
        match self {
            Kv::F16 => KvKind::F16,
            Kv::I8 => KvKind::I8,
            Kv::F32 => KvKind::F32,
        }
    }
}

/// The part of a text that is scored.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scoring")]
pub(crate) struct ScoreArguments {
    /// Characters of the text that are used, from its start, or `all`
    #[arg(long, value_name = "N|all", default_value = "60000", value_parser = count_or_all)]
    pub(crate) chars: Amount,
    /// Tokens per window; windows don't overlap, and the second half of each is scored
    #[arg(long, value_name = "N", default_value = "512", value_parser = window)]
    pub(crate) window: usize,
    /// Windows that are scored, from the start [default: all that the text fills]
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<NonZeroUsize>,
}

impl ScoreArguments {
    /// The options for a model that was made for `context` positions.
    pub(crate) fn options(&self, context: usize) -> Result<EvalOptions> {
        if self.window > context {
            let why = format!("a window of {} tokens is more than the model's context of {context}", self.window);
            return Err(Failure::Usage(why));
        }
        let windows = self.windows.map(NonZeroUsize::get);
        Ok(EvalOptions { chars: self.chars.limit(), window: self.window, windows })
    }
}

/// A number, or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    Count(usize),
    All,
}

impl Amount {
    pub(crate) fn limit(self) -> Option<usize> {
        match self {
            Amount::Count(count) => Some(count),
            Amount::All => None,
        }
    }
}

/// An output that must be named on purpose to be replaced.
#[derive(Debug, Args)]
pub(crate) struct ForceArgument {
    /// Replace the output if it exists
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) force: bool,
}

impl ForceArgument {
    /// Refuses an existing output early, before hours of work.
    pub(crate) fn check(&self, output: &Path) -> Result<()> {
        if !self.force && output.symlink_metadata().is_ok() {
            return Err(Failure::from(qint_std::Error::OutputExists { path: output.to_path_buf() }));
        }
        Ok(())
    }
}

/// A number that a command line may give: f32 or f64.
pub(crate) trait Number: FromStr + Copy + Into<f64> {}
impl<T: FromStr + Copy + Into<f64>> Number for T {}

fn number<T: Number>(text: &str) -> std::result::Result<T, String> {
    let finite = |number: &T| (*number).into().is_finite();
    text.parse::<T>().ok().filter(finite).ok_or_else(|| "a finite number is needed".to_string())
}

pub(crate) fn non_negative<T: Number>(text: &str) -> std::result::Result<T, String> {
    number(text).and_then(|x: T| if x.into() >= 0.0 { Ok(x) } else { Err("it is 0 or more".to_string()) })
}

pub(crate) fn positive<T: Number>(text: &str) -> std::result::Result<T, String> {
    number(text).and_then(|x: T| if x.into() > 0.0 { Ok(x) } else { Err("it is more than 0".to_string()) })
}

pub(crate) fn fraction<T: Number>(text: &str) -> std::result::Result<T, String> {
    let inside = |x: T| (0.0..=1.0).contains(&x.into());
    number(text).and_then(|x: T| if inside(x) { Ok(x) } else { Err("it is from 0 to 1".to_string()) })
}

fn count_or_all(text: &str) -> std::result::Result<Amount, String> {
    match text {
        "all" => Ok(Amount::All),
        _ => match text.parse() {
            Ok(count) if count > 0 => Ok(Amount::Count(count)),
            _ => Err("it is a number above 0, or `all`".to_string()),
        },
    }
}

fn window(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(window) if (4..=1 << 20).contains(&window) => Ok(window),
        _ => Err("it is a number from 4 to 1048576".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sampling_values_are_judged() {
        for text in ["NaN", "-1", "inf", "", "x"] {
            assert!(non_negative::<f32>(text).is_err(), "{text}");
        }
        assert_eq!(non_negative("0.5"), Ok(0.5f32));
        assert!(positive::<f32>("0").is_err());
        assert!(fraction::<f32>("1.01").is_err());
        assert_eq!(fraction("1"), Ok(1.0f64));
    }

    #[test]
    fn amounts_are_numbers_or_all() {
        assert_eq!(count_or_all("all"), Ok(Amount::All));
        assert_eq!(count_or_all("7"), Ok(Amount::Count(7)));
        assert!(count_or_all("0").is_err());
    }
}
