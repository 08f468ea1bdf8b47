//! The `qint` command: arguments become calls of qint-std, results become text or JSON on stdout, and errors become one
//! sentence on stderr and an exit code.
//!
//! | module | what it holds |
//! |---|---|
//! | [`args`] | the command line, and option groups that several commands share |
//! | [`commands`] | one file a command: its options and what it does |
//! | [`errors`] | the only place where errors become sentences and exit codes |
//! | [`input`] | prompts and texts from arguments, files and stdin |
//! | [`output`] | the streams: payload on stdout, everything else on stderr |
//! | [`loaded`] | MODEL becomes weights, tokenizer and an engine |
//! | [`writing`] | what `run`, `chat` and `demo` share |
//! | [`progress`] | how far a long job is |
//! | [`environment`] | what a JSON document says about the machine |
//! | [`signals`] | Ctrl-C, and a mapped file that shrinks |
mod args;
mod commands;
mod environment;
mod errors;
mod input;
mod loaded;
mod output;
mod progress;
mod signals;
mod writing;

use clap::Parser;
use errors::Failure;
use output::Output;
use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

fn main() -> ExitCode {
    errors::catch_panics_quietly();
    panic::catch_unwind(AssertUnwindSafe(start)).unwrap_or_else(|_| errors::report_panic())
}

fn start() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return errors::report_usage(&error),
    };
    let mut output = Output::new(cli.quiet, cli.json);
    let result =
        signals::install().and_then(|()| commands::run(cli.command, &mut output)).and_then(|()| output.flush());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was written before the failure is still worth having; the failure that is reported is the first one.
            let _: Result<(), Failure> = output.flush();
            errors::report(&failure)
        }
    }
}
