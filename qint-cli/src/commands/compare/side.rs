//! The two sides of a comparison: how each is started, and what its document says.
use super::{Arguments, child};
use crate::errors::{Failure, Result};
use serde_json::Value;
use std::{ffi::OsString, path::PathBuf, process::Command};

/// A test by its kind, `pp` (prompt) or `tg` (generation), and its tokens.
pub(super) type Test = (&'static str, u64);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Qint,
    LlamaCpp,
}

/// A program with its arguments, to be started again and again.
pub(super) struct Program {
    side: Side,
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// What one run of a program found.
pub(super) struct Measured {
    /// Its document.
    pub(super) document: Value,
    /// Tokens per second of each test.
    pub(super) rates: Vec<(Test, f64)>,
    pub(super) peak_bytes: u64,
}

impl Program {
    /// This executable, as a program of its own: so its memory is the model's and the engine's alone.
    pub(super) fn qint(arguments: &Arguments) -> Result<Program> {
        let path = std::env::current_exe().map_err(qint_std::Error::io("the path of qint"))?;
        let mut words: Vec<OsString> =
            ["bench", "--quiet", "--json", "--no-limits", "-r", "1"].map(Into::into).to_vec();
        words.extend(arguments.subject.words());
        words.extend(arguments.engine.words()?);
        words.extend(["--kv".into(), arguments.kv.name().into()]);
        words.extend(arguments.tests());
        Ok(Program { side: Side::Qint, path, arguments: words })
    }

    pub(super) fn llama_cpp(arguments: &Arguments) -> Program {
        let mut words: Vec<OsString> = ["-o", "json", "-r", "1", "-ngl", "0", "-t"].map(Into::into).to_vec();
        words.push(arguments.engine.execution.threads().to_string().into());
        words.extend(["-m".into(), arguments.gguf.clone().into_os_string()]);
        let kv = arguments.kv.ggml_name();
        words.extend(["-ctk", kv, "-ctv", kv].map(OsString::from));
        words.extend(arguments.tests());
        Program { side: Side::LlamaCpp, path: arguments.llama_bench.clone(), arguments: words }
    }

    pub(super) fn name(&self) -> &'static str {
        match self.side {
            Side::Qint => "qint",
            Side::LlamaCpp => "llama.cpp",
        }
    }

    /// Runs it once.
    pub(super) fn run(&self) -> Result<Measured> {
        let finished = child::run(Command::new(&self.path).args(&self.arguments)).map_err(|failure| match failure {
            // Codes of another program mean nothing here.
            Failure::Child { why, .. } if self.side == Side::LlamaCpp => Failure::Child { code: 1, why },
            failure => failure,
        })?;
        let malformed = |why: &str| {
            let (path, like) = (self.path.display(), self.side.document());
            Failure::Malformed(format!("{path}: the output is not that of `{like}`: {why}"))
        };
        let document: Value = serde_json::from_str(&finished.stdout).map_err(|error| malformed(&error.to_string()))?;
        let results = match self.side {
            Side::Qint => document["results"].as_array(),
            Side::LlamaCpp => document.as_array(),
        };
        let results = results.ok_or_else(|| malformed("there is no list of results"))?;
        let rates: Option<Vec<_>> = results.iter().map(|result| self.side.rate(result)).collect();
        let rates = rates.ok_or_else(|| malformed("a result has no test or no tokens per second"))?;
        Ok(Measured { document, rates, peak_bytes: finished.peak_bytes })
    }
}

impl Side {
    fn document(self) -> &'static str {
        match self {
            Side::Qint => "qint bench --json",
            Side::LlamaCpp => "llama-bench -o json",
        }
    }

    fn rate(self, result: &Value) -> Option<(Test, f64)> {
        let rate = |key: &str| result[key].as_f64().filter(|rate| *rate > 0.0 && rate.is_finite());
        match self {
            Side::Qint => {
                let kind = ["pp", "tg"].into_iter().find(|kind| result["test"] == *kind)?;
                Some(((kind, result["n"].as_u64()?), rate("tokens_per_second")?))
            }
            Side::LlamaCpp => {
                let test = match (result["n_prompt"].as_u64()?, result["n_gen"].as_u64()?) {
                    (prompt, 0) => ("pp", prompt),
                    (0, generated) => ("tg", generated),
                    _ => return None,
                };
                Some((test, rate("avg_ts")?))
            }
        }
    }
}
