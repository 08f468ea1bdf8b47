//! `firmware-bench`: builds firmware-examples for every kind of Cortex-M, runs it under QEMU, prints the table and compares it
//! with the committed one.
//!
//! Expects Debian's cargo with the sources of `core`, `arm-none-eabi-ld` and `-nm`, and `qemu-system-arm`
//! (docs/firmware.md).
mod image;

use crate::{
    say,
    table::{Kind, Table},
};
use image::{BOARDS, Board};
use serde_json::Value;
use std::{io::Write, process::ExitCode};

static TABLE: Kind = Kind {
    path: "firmware-examples/instructions.jsonl",
    key: &["core", "kernel", "codec", "group", "rows", "cols"],
    count: "instructions",
    percent: 1.0,
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
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for board in BOARDS.iter().filter(|board| options.wants(board.core)) {
        match run(board, options.json) {
            Ok((found, mut wrong)) => {
                rows.extend(found);
                failures.append(&mut wrong);
            }
            Err(error) => failures.push(format!("{}: {error}", board.machine)),
        }
    }
    let wants = |row: &Value| row["core"].as_str().is_some_and(|core| options.wants(core));
    match Table::committed(&TABLE) {
        committed if options.write => {
            let kept = committed.map_or(Table::empty(&TABLE), |table| table.without(wants));
            if let Err(error) = kept.with(rows).write() {
                failures.push(error);
            }
        }
        Ok(table) => failures.extend(table.differences(&rows, wants)),
        Err(error) => failures.push(error),
    }
    failures.iter().for_each(|failure| say(&format!("FAILED {failure}\n")));
    say(&format!("{}: {} failures\n", wanted(options), failures.len()));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn wanted(options: &Options) -> String {
    if options.cores.is_empty() { "all cores".to_owned() } else { options.cores.join(", ") }
}

/// One board: its rows, and what is wrong.
fn run(board: &Board, json: bool) -> Result<(Vec<Value>, Vec<String>), String> {
    say(&format!("{} on {} ({})\n", board.core, board.machine, board.target));
    let images = board.build()?;
    let mut wrong = images.inspect()?;
    if let Err(error) = board.emulate(&images.vectors) {
        wrong.push(format!("{}: the test vectors: {error}", board.machine));
    }
    let output = board.emulate(&images.bench).unwrap_or_else(|error| {
        wrong.push(format!("{}: {error}", board.machine));
        error
    });
    let mut rows = Vec::new();
    for line in output.lines() {
        let row: Option<Value> = serde_json::from_str(line).ok();
        if row.is_some() == json {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        rows.extend(row.filter(|row| row["instructions"].is_u64()));
    }
    if rows.is_empty() {
        wrong.push(format!("{}: no rows", board.machine));
    }
    Ok((rows, wrong))
}
