//! `qint completions`: a shell's completion script on stdout.
use crate::{args::Cli, errors::Result, output::Output};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  qint completions bash > ~/.local/share/bash-completion/completions/qint
  qint completions zsh > ~/.zfunc/_qint
  qint completions fish > ~/.config/fish/completions/qint.fish";

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "qint", &mut script);
    if output.is_json() {
        let fields = json!({"shell": arguments.shell.to_string(), "script": String::from_utf8_lossy(&script)});
        return output.document("completions", json!({}), fields);
    }
    output.bytes(&script)
}
