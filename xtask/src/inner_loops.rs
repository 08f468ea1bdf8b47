//! `inner-loops`: the loops around `vpdpbusd`, counted in the disassembly of a release build, beside the committed table. No
//! CPU has to run them.
//!
//! The kernels are functions of their own, one for each token, codec and tile; Rust's newer mangling keeps those names.
use crate::{
    disassembly::{Function, Instruction, functions},
    say,
    table::Kind,
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, ExitCode},
};

static TABLE: Kind = Kind {
    task: "inner-loops",
    path: "benches/inner-loops.jsonl",
    key: &["backend", "kernel", "codec", "loop"],
    count: "instructions",
    percent: 5.0,
    exact: &["vpdpbusd", "stores"],
};

/// Backends and how symbols name their tokens.
const TOKENS: [(&str, &str); 2] = [
    ("avx512-vnni", "qint_core::isa::avx512::Avx512Vnni"),
    ("avx-vnni", "qint_core::isa::ymm::Ymm<qint_core::isa::ymm::dpbusd::Dpbusd<true>>"),
];
/// Codecs and how symbols name their decoders.
const CODECS: [(&str, &str); 6] =
    [("q8", "Q8"), ("q4", "Q4"), ("q4-linear", "Q4Linear"), ("q2", "Q2"), ("q2-linear", "Q2Linear"), ("q1", "Q1")];

/// Counts, prints and compares, or renews the committed table.
pub(crate) fn run(write: bool) -> ExitCode {
    let rows = rows();
    rows.iter().flatten().for_each(print);
    TABLE.settle_all(rows, write)
}

fn rows() -> Result<Vec<Value>, String> {
    let target = Path::new("target/inner-loops");
    let status = Command::new("cargo")
        .args(["rustc", "--quiet", "--release", "--package", "qint-core", "--lib", "--features", "std", "--target-dir"])
        .arg(target)
        .args(["--", "-C", "symbol-mangling-version=v0"])
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the build failed".to_owned());
    }
    let functions = functions(&target.join("release/libqint_core.rlib"))?;
    let mut rows = Vec::new();
    for (backend, token) in TOKENS {
        for (codec, decoder) in CODECS {
            let decoder = format!("{token}, qint_core::kernel::decode::{decoder}");
            let stream = format!("Matmul>::decoded_by<{decoder}>");
            rows.extend(loops_of(&functions, &stream, |_| "matvec".to_owned(), (backend, codec))?);
            let tile = format!("tile::tile<{decoder}, ");
            rows.extend(loops_of(&functions, &tile, |rest| format!("matmul {}", size(rest)), (backend, codec))?);
        }
    }
    Ok(rows)
}

/// Panels and tokens of a tile: `2, 8, 2>…` is 2x8.
fn size(rest: &str) -> String {
    rest.split(", ").take(2).collect::<Vec<_>>().join("x")
}

/// A row for each loop in the functions whose name contains `symbol`; `kernel` makes a name of what follows it.
fn loops_of(
    functions: &[Function],
    symbol: &str,
    kernel: impl Fn(&str) -> String,
    (backend, codec): (&str, &str),
) -> Result<Vec<Value>, String> {
    let mut rows = Vec::new();
    for function in functions {
        let Some((_, rest)) = function.name.split_once(symbol) else { continue };
        for instructions in function.innermost_loops() {
            let count = |what: &dyn Fn(&Instruction) -> bool| instructions.iter().filter(|x| what(x)).count();
            let vpdpbusd = count(&|x| x.is("vpdpbusd"));
            if vpdpbusd > 0 {
                rows.push(json!({
                    "backend": backend,
                    "kernel": kernel(rest),
                    "codec": codec,
                    "loop": 0,
                    "vpdpbusd": vpdpbusd,
                    "instructions": instructions.len(),
                    "loads": count(&Instruction::loads),
                    "stores": count(&Instruction::stores),
                    "shuffles": count(&Instruction::shuffles),
                }));
            }
        }
    }
    if rows.is_empty() {
        return Err(format!("no function `…{symbol}…` has a loop with vpdpbusd: was the kernel renamed?"));
    }
    // The place of a loop in the function says nothing; its size tells it from the others of its kernel.
    rows.sort_by_key(|row| (row["kernel"].to_string(), row["vpdpbusd"].as_u64(), row["instructions"].as_u64()));
    let mut number = 0;
    for index in 0..rows.len() {
        let same = index > 0 && rows[index - 1]["kernel"] == rows[index]["kernel"];
        number = if same { number + 1 } else { 1 };
        rows[index]["loop"] = json!(number);
    }
    Ok(rows)
}

fn print(row: &Value) {
    let [backend, kernel, codec] = ["backend", "kernel", "codec"].map(|field| row[field].as_str().unwrap_or_default());
    let numbers = ["vpdpbusd", "instructions", "loads", "stores", "shuffles"];
    let [vpdpbusd, instructions, loads, stores, shuffles] = numbers.map(|field| row[field].as_u64().unwrap_or(0));
    let others = (instructions - vpdpbusd) as f64 / vpdpbusd as f64;
    say(&format!(
        "{backend:<11}  {kernel:<10}  {codec:<9}  {instructions:>4} instructions: {vpdpbusd:>3} vpdpbusd, {loads:>3} loads, \
         {stores:>2} stores, {shuffles:>2} shuffles; {others:.2} others per vpdpbusd\n"
    ));
}
