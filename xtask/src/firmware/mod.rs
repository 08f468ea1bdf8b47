//! `firmware-bench`: builds firmware-examples for every kind of Cortex-M, runs it under QEMU, prints the table and compares it
//! with the committed one.
//!
//! Expects Debian's cargo with the sources of `core`, `arm-none-eabi-ld` and `-nm`, and `qemu-system-arm`
//! (docs/firmware.md).
mod image;

use crate::{
    say,
    table::{Found, Kind},
};
use image::{BOARDS, Board};
use serde_json::Value;
use std::{io::Write, process::ExitCode};

static TABLE: Kind = Kind {
    task: "firmware-bench",
    path: "firmware-examples/instructions.jsonl",
    key: &["core", "kernel", "codec", "group", "rows", "cols"],
    count: "instructions",
    percent: 1.0,
    exact: &[],
};

/// What was asked for.
pub(crate) struct Options {
    json: bool,
    write: bool,
    /// All if empty.
    cores: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Option<Options> {
        let mut options = Options { json: false, write: false, cores: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--json" => options.json = true,
                "--write" => options.write = true,
                "--core" => options.cores = arguments.next()?.split(',').map(str::to_owned).collect(),
                _ => return None,
            }
        }
        let known = |core: &String| BOARDS.iter().any(|board| board.core == core);
        options.cores.iter().all(known).then_some(options)
    }

    fn wants(&self, core: &str) -> bool {
        self.cores.is_empty() || self.cores.iter().any(|wanted| wanted == core)
    }
}

/// Runs all boards that are wanted; fails if a build or a bit fails, or a count differs.
pub(crate) fn bench(options: &Options) -> ExitCode {
    let mut found = Found::default();
    for board in BOARDS.iter().filter(|board| options.wants(board.core)) {
        run(board, options.json, &mut found)
            .unwrap_or_else(|error| found.failures.push(format!("{}: {error}", board.machine)));
    }
    let wanted = |row: &Value| row["core"].as_str().is_some_and(|core| options.wants(core));
    TABLE.settle(found, wanted, options.write)
}

/// One board: adds its rows, and what is wrong.
fn run(board: &Board, json: bool, found: &mut Found) -> Result<(), String> {
    say(&format!("{} on {} ({})\n", board.core, board.machine, board.target));
    let images = board.build()?;
    found.failures.extend(images.inspect()?);
    if let Err(error) = board.emulate(&images.vectors) {
        found.failures.push(format!("{}: the test vectors: {error}", board.machine));
    }
    let output = board.emulate(&images.bench).unwrap_or_else(|error| {
        found.failures.push(format!("{}: {error}", board.machine));
        error
    });
    let before = found.rows.len();
    for line in output.lines() {
        let row: Option<Value> = serde_json::from_str(line).ok();
        if row.is_some() == json {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        found.rows.extend(row.filter(|row| row["instructions"].is_u64()));
    }
    if found.rows.len() == before {
        found.failures.push(format!("{}: no rows", board.machine));
    }
    Ok(())
}
