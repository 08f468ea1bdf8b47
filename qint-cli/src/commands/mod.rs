//! One file a command: what it accepts, and what it does with the library.
pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod run;
pub(crate) mod subject;
pub(crate) mod tokenize;
pub(crate) mod validate;

use crate::{args::Command, errors::Result, output::Output};

/// Does what the command line asks for.
pub(crate) fn run(command: Command, output: &mut Output) -> Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments, output),
        Command::Convert(arguments) => convert::run(&arguments, output),
        Command::Run(arguments) => run::run(&arguments, output),
        Command::Chat(arguments) => chat::run(&arguments, output),
        Command::Inspect(arguments) => inspect::run(&arguments, output),
        Command::Validate(arguments) => validate::run(&arguments, output),
        Command::Eval(arguments) => eval::run(&arguments, output),
        Command::Bench(arguments) => bench::run(&arguments, output),
        Command::Compare(arguments) => compare::run(&arguments, output),
        Command::Tokenize(arguments) => tokenize::run(&arguments, output),
        Command::Export(arguments) => export::run(&arguments, output),
        Command::Doctor(arguments) => doctor::run(&arguments, output),
        Command::Completions(arguments) => completions::run(&arguments, output),
    }
}
