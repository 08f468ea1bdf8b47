//! `instructions`: what the AVX2 kernels cost, counted by callgrind (valgrind knows no AVX-512), beside the committed table.
//!
//! The program qint-benches/instructions says with two empty functions where a kernel begins and ends; callgrind starts a
//! new count at each.
use crate::{say, table::Kind};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

static TABLE: Kind = Kind {
    task: "instructions",
    path: "benches/instructions.jsonl",
    key: &["backend", "kernel", "kind"],
    count: "instructions",
    percent: 1.0,
    exact: &[],
};
const PROGRAM: &str = "target/release/instructions";
const BACKEND: &str = "avx2";

/// Counts, prints and compares, or renews the committed table.
pub(crate) fn run(write: bool) -> ExitCode {
    let rows = rows();
    rows.iter().flatten().for_each(print);
    TABLE.settle_all(rows, write)
}

fn rows() -> Result<Vec<Value>, String> {
    let build = ["build", "--quiet", "--release", "--package", "qint-benches", "--bin", "instructions"];
    output(Command::new("cargo").args(build))?;
    output(Command::new(PROGRAM).args(["check", BACKEND]))?;
    let directory = Path::new("target/instructions");
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let printed = output(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--dump-before=*::kernel_begins", "--dump-before=*::kernel_ends"])
            .arg(format!("--callgrind-out-file={}/count", directory.display()))
            .args([PROGRAM, "count", BACKEND])
            // Else memcpy is `rep movsb` on some CPUs, of which callgrind counts every byte as an instruction.
            .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS"),
    )?;
    let kernels: Result<Vec<Value>, _> = printed.lines().map(serde_json::from_str).collect();
    let kernels = kernels.map_err(|error| format!("{PROGRAM}: {error}"))?;
    let counts = counts(directory)?;
    if kernels.len() != counts.len() || counts.is_empty() {
        return Err(format!("{} kernels have {} counts", kernels.len(), counts.len()));
    }
    let join = |(mut row, count): (Value, u64)| {
        row["instructions"] = json!(count);
        row
    };
    Ok(kernels.into_iter().zip(counts).map(join).collect())
}

/// The instructions up to each `kernel_ends`, in order.
fn counts(directory: &Path) -> Result<Vec<u64>, String> {
    let mut counts = Vec::new();
    for part in 1.. {
        let path: PathBuf = directory.join(format!("count.{part}"));
        let Ok(text) = fs::read_to_string(&path) else { break };
        let trigger = text.lines().find_map(|line| line.strip_prefix("desc: Trigger: --dump-before="));
        if trigger.is_some_and(|function| function.contains("kernel_ends")) {
            let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
            counts.push(total.ok_or_else(|| format!("{}: there is no total", path.display()))?);
        }
    }
    Ok(counts)
}

fn print(row: &Value) {
    let words = ["backend", "kernel", "kind"].map(|field| row[field].as_str().unwrap_or_default());
    let [instructions, multiply_adds] = ["instructions", "multiply_adds"].map(|field| row[field].as_u64().unwrap_or(0));
    let per = if multiply_adds == 0 {
        String::new()
    } else {
        format!("{:9.5} per multiply-add", instructions as f64 / multiply_adds as f64)
    };
    let [backend, kernel, kind] = words;
    say(&format!("{backend}  {kernel:<20}  {kind:<9}  {instructions:>9} instructions  {per}\n"));
}

/// What a command prints on stdout; an error if it fails.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
