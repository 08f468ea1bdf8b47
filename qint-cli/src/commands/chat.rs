//! `qint chat`: a conversation, line by line.
use crate::{
    args::{EngineArguments, ModelArgument, SampleArguments},
    commands::run::GenerateArguments,
    errors::{Result, not_built},
    output::Output,
};
use clap::Args;

const EXAMPLES: &str = "\
Examples:
  qint chat model.qint.safetensors
  printf 'Hello\\nAnd goodbye\\n' | qint chat model.qint.safetensors -q

Inside: /exit ends, /reset forgets the conversation, /system TEXT sets the system message and forgets the conversation.
Ctrl-C stops an answer; at the prompt, or twice, it ends the program.";

/// Talk with a model that has a chat template
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelArgument,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    generate: GenerateArguments,
    #[command(flatten)]
    sample: SampleArguments,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let _ = (arguments, output);
    Err(not_built("chat"))
}
