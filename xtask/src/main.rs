//! The commands behind CI: [`USAGE`].
mod disassembly;
mod firmware;
mod inner_loops;
mod instructions;
mod table;

use std::{
    io::Write,
    process::{Command, ExitCode},
};

const USAGE: &str = "usage: cargo xtask check
         runs what CI runs
       cargo xtask instructions [--write]
         counts the instructions of the AVX2 kernels with valgrind and compares them with the committed table;
         --write renews it
       cargo xtask inner-loops [--write]
         counts the instructions of the AVX-512-VNNI and AVX-VNNI inner loops in the disassembly, likewise
       cargo xtask firmware-bench [--json] [--core m0,m3,m4,m7,m33,m55] [--write]
         builds firmware-examples, runs it under QEMU, prints the table and compares it with the committed one;
         --write renews the committed table
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check"] => exit_code(Command::new("bash").arg(".ci/run")),
        ["instructions"] => instructions::run(false),
        ["instructions", "--write"] => instructions::run(true),
        ["inner-loops"] => inner_loops::run(false),
        ["inner-loops", "--write"] => inner_loops::run(true),
        ["firmware-bench", options @ ..] => match firmware::Options::parse(options) {
            Some(options) => firmware::bench(&options),
            None => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    say(USAGE);
    ExitCode::from(2)
}

/// Text for people, on standard error.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn exit_code(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
