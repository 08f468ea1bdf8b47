//! `qint compare`: a model here and a GGUF file in llama.cpp, by turns, on the same machine.
//!
//! Both sides are programs that are started anew for every round, so that drifts of the machine hit both alike and memory is
//! that of one program. Each makes a run that does not count and one that does.
mod child;
mod side;

use crate::{
    args::{EngineArguments, Kv},
    commands::subject::{SubjectArguments, TestArguments},
    errors::{Failure, Result},
    output::{Align, Output, Table},
};
use clap::Args;
use qint_std::bench::mean_and_deviation;
use serde::Serialize;
use serde_json::{Value, json};
use side::{Measured, Program, Test};
use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  qint compare --llama-bench llama.cpp/build/bin/llama-bench --gguf model-q4_0.gguf model.qint.safetensors
  qint compare --llama-bench llama-bench --gguf tinyllama-q4_0.gguf --shape tinyllama-1.1b --codec q4 -p 512 -n 64 -t 1

pp N: a prompt of N tokens; tg N: N tokens one after the other. A ratio above 1 means that qint is faster. Ratios are taken
within a round; their range over the rounds stands in brackets.";

/// Measure a model here and a GGUF file in llama.cpp by turns
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// llama.cpp's program llama-bench
    #[arg(long, value_name = "PATH")]
    llama_bench: PathBuf,
    /// The model that it runs
    #[arg(long, value_name = "FILE")]
    gguf: PathBuf,
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    tests: TestArguments,
    /// Rounds
    #[arg(short, long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// How keys and values are kept (i8: q8_0 in llama.cpp)
    #[arg(long, value_enum, default_value = "f16")]
    kv: Kv,
    #[command(flatten)]
    engine: EngineArguments,
}

/// One test, all rounds.
#[derive(Debug, Serialize)]
struct Comparison {
    test: &'static str,
    n: u64,
    depth: usize,
    threads: usize,
    qint_tokens_per_second: f64,
    qint_stddev: f64,
    llama_cpp_tokens_per_second: f64,
    llama_cpp_stddev: f64,
    /// Mean over the rounds.
    ratio: f64,
    ratio_min: f64,
    ratio_max: f64,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    arguments.check()?;
    let (llama_cpp, qint) = (Program::llama_cpp(arguments), Program::qint(arguments)?);
    let rounds = arguments.repetitions.get();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (program, measured) in [(&llama_cpp, &mut theirs), (&qint, &mut ours)] {
            output.note(&format!("round {round} of {rounds}: {}", program.name()));
            measured.push(program.run()?);
        }
    }
    let results = arguments.comparisons(&ours, &theirs)?;
    let document = json!({
        "model": ours[0].document["model"],
        "gguf": arguments.gguf.file_name().map(|name| name.to_string_lossy()),
        "llama_cpp": {
            "build_commit": theirs[0].document[0]["build_commit"],
            "model_type": theirs[0].document[0]["model_type"],
            "model_bytes": theirs[0].document[0]["model_size"],
        },
        "bytes_per_token": ours[0].document["bytes_per_token"],
        "qint_peak_bytes": peak(&ours),
        "llama_cpp_peak_bytes": peak(&theirs),
        "rounds": rounds,
        "results": results,
    });
    if output.is_json() {
        return output.document("compare", ours[0].document["environment"].clone(), document);
    }
    table(&results, output)?;
    output.line("")?;
    summary(&document, &ours[0].document, output)
}

impl Arguments {
    /// What is wrong before anything is started.
    fn check(&self) -> Result<()> {
        if self.tests.prompt.iter().chain(&self.tests.predict).all(|&count| count == 0) {
            return Err(Failure::Usage("-p 0 and -n 0 leave nothing to measure".to_string()));
        }
        if !self.gguf.is_file() {
            return Err(Failure::NotFound(format!("{}: no such file", self.gguf.display())));
        }
        Ok(())
    }

    /// The tests, in words that both programs understand.
    fn tests(&self) -> Vec<OsString> {
        let list = |counts: &[usize]| {
            let counts =
                counts.iter().enumerate().filter(|(index, count)| **count > 0 && !counts[..*index].contains(count));
            let counts: Vec<String> = counts.map(|(_, count)| count.to_string()).collect();
            if counts.is_empty() { "0".to_string() } else { counts.join(",") }
        };
        ["-p", &list(&self.tests.prompt), "-n", &list(&self.tests.predict), "-d", &self.tests.depth.to_string()]
            .map(OsString::from)
            .to_vec()
    }

    /// One for each test; both sides must have made it in every round.
    fn comparisons(&self, ours: &[Measured], theirs: &[Measured]) -> Result<Vec<Comparison>> {
        let tests = ours[0].rates.iter().map(|&(test, _)| test);
        let comparison = |test: Test| {
            let missing =
                |program: &str| Failure::Malformed(format!("{}{} is missing in a round of {program}", test.0, test.1));
            let ours = rates(ours, test).ok_or_else(|| missing("qint bench"))?;
            let theirs = rates(theirs, test).ok_or_else(|| missing("llama-bench"))?;
            Ok(Comparison::new(self, test, &ours, &theirs))
        };
        tests.map(comparison).collect()
    }
}

impl Comparison {
    fn new(arguments: &Arguments, (test, n): Test, ours: &[f64], theirs: &[f64]) -> Comparison {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        let ((ours, our_deviation), (theirs, their_deviation)) = (mean_and_deviation(ours), mean_and_deviation(theirs));
        Comparison {
            test,
            n,
            depth: arguments.tests.depth,
            threads: arguments.engine.execution.threads(),
            qint_tokens_per_second: ours,
            qint_stddev: our_deviation,
            llama_cpp_tokens_per_second: theirs,
            llama_cpp_stddev: their_deviation,
            ratio: mean_and_deviation(&ratios).0,
            ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_max: ratios.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// A test's tokens per second in every round.
fn rates(rounds: &[Measured], test: Test) -> Option<Vec<f64>> {
    rounds.iter().map(|round| round.rates.iter().find(|(found, _)| *found == test).map(|(_, rate)| *rate)).collect()
}

fn peak(rounds: &[Measured]) -> u64 {
    rounds.iter().map(|round| round.peak_bytes).max().unwrap_or_default()
}

fn table(results: &[Comparison], output: &mut Output) -> Result<()> {
    use Align::{Left, Right};
    let header = ["test", "threads", "qint tokens/s", "llama.cpp tokens/s", "qint / llama.cpp"];
    let mut table = Table::new(&[Left, Right, Right, Right, Right], &header);
    for result in results {
        let depth = if result.depth > 0 { format!(" @ d{}", result.depth) } else { String::new() };
        table.row(vec![
            format!("{}{}{depth}", result.test, result.n),
            result.threads.to_string(),
            format!("{:.2} ± {:.2}", result.qint_tokens_per_second, result.qint_stddev),
            format!("{:.2} ± {:.2}", result.llama_cpp_tokens_per_second, result.llama_cpp_stddev),
            format!("{:.2} ({:.2} to {:.2})", result.ratio, result.ratio_min, result.ratio_max),
        ]);
    }
    output.text(&table.markdown())
}

/// Who was compared, and the memory of both.
fn summary(document: &Value, ours: &Value, output: &mut Output) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_string();
    let megabytes = |value: &Value| format!("{:.0} MB", value.as_f64().unwrap_or_default() / 1e6);
    let (model, backend) = (text(&document["model"]), text(&ours["environment"]["backend"]));
    let codec = text(&ours["results"][0]["codec"]);
    let llama = &document["llama_cpp"];
    output.line(&format!(
        "qint: {model}, {codec}, {backend}, {} read a token, peak memory {}.",
        megabytes(&document["bytes_per_token"]),
        megabytes(&document["qint_peak_bytes"])
    ))?;
    output.line(&format!(
        "llama.cpp {}: {}, {}, peak memory {}.",
        text(&llama["build_commit"]),
        text(&llama["model_type"]),
        megabytes(&llama["model_bytes"]),
        megabytes(&document["llama_cpp_peak_bytes"])
    ))
}
