//! `qint run`: a prompt goes in, the model's continuation or answer comes out as it is made.
mod batch;

use crate::{
    args::{EngineArguments, GenerateArguments, ModelArgument, SampleArguments},
    commands::eval::merged,
    errors::{Failure, Result},
    input,
    loaded::Loaded,
    output::Output,
    signals::Interrupt,
    writing::{Scribe, figures, statistics},
};
use clap::Args;
use serde_json::json;
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

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let source = &arguments.prompt;
    match &source.prompts {
        Some(list) => batch::run(arguments, list, output),
        None => {
            let text = input::prompt(source.prompt.as_deref(), source.file.as_deref())?;
            single(arguments, &text, output)
        }
    }
}

fn single(arguments: &Arguments, text: &str, output: &mut Output) -> Result<()> {
    let Arguments { model, prompt: source, generate, sample, engine } = arguments;
    let mut scribe = Scribe::open(model.path(), source.raw, engine, output)?;
    let prompt = scribe.prompt(source.system.as_deref(), text)?;
    let room = scribe.room(prompt.len(), generate)?;
    let options = scribe.options(room.predict, generate, sample);
    let mut session = scribe.sessions(&[room.capacity], generate)?.remove(0);
    let show_prompt = scribe.template.is_none() && !generate.no_display_prompt && !output.is_json();
    if show_prompt {
        output.stream(text)?;
    }
    let json = output.is_json();
    let interrupt = Interrupt::watch();
    let mut show = |piece: &str| if json { Ok(()) } else { output.stream(piece) };
    let generated = scribe.write(&mut session, &prompt, &options, &mut show, &interrupt)?;
    if json {
        let fields = merged(json!({"model": scribe.loaded.name(), "prompt": text}), figures(&generated));
        output.document("run", Loaded::used(&scribe.engine), fields)?;
    } else {
        output.stream("\n")?;
        output.note(&statistics(&generated));
    }
    if interrupt.is_pressed() { Err(Failure::Interrupted) } else { Ok(()) }
}
