//! `qint run`: a prompt goes in, the model's continuation or answer comes out as it is made.
use crate::{
    args::{EngineArguments, Kv, ModelArgument, SampleArguments},
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;
use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint run model.qint.safetensors -p 'What is the capital of France?'
  qint run model.qint.safetensors -p 'Once upon a time' --raw -n 100 --temp 0
  echo 'Name three rivers.' | qint run model.qint.safetensors -p -
  qint run model.qint.safetensors --prompts prompts.jsonl --batch 8 > answers.jsonl

The text goes to stdout, statistics to stderr. A model with a chat template answers the prompt as a user's message; --raw
continues the prompt as it is. Each line of a --prompts file is {\"prompt\": \"...\", \"id\": anything}, or a JSON string.";

/// Continue or answer a prompt
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    prompt: PromptArguments,
    #[command(flatten)]
    generate: GenerateArguments,
    #[command(flatten)]
    sample: SampleArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Prompt")]
struct PromptArguments {
    /// The prompt; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    #[arg(required_unless_present_any = ["file", "prompts"], conflicts_with_all = ["file", "prompts"])]
    prompt: Option<OsString>,
    /// Read the prompt from a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "prompts")]
    file: Option<PathBuf>,
    /// Answer many prompts, one JSON document a line; results are JSON lines in the same order
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Prompts that are worked on together
    #[arg(long, value_name = "N", default_value = "1", requires = "prompts")]
    batch: NonZeroUsize,
    /// Continue the prompt as it is, without the chat template
    #[arg(long, conflicts_with = "system")]
    raw: bool,
    /// A system message for the chat template
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
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
    /// How keys and values are kept
    #[arg(long, value_enum, default_value = "f16")]
    pub(crate) kv: Kv,
    /// Leave the prompt out of the output of --raw
    #[arg(long)]
    pub(crate) no_display_prompt: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("run"))
}
