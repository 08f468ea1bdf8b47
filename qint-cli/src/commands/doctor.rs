//! `qint doctor`: what this machine offers, and what qint would use of it and why.
use crate::{args::BackendArguments, environment, errors::Result, output::Output};
use clap::Args;
use qint_core::backend::{Backend, Known};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  qint doctor
  qint doctor --json
  qint doctor --backend portable   whether a backend can be used here";

/// Show the CPU, the backends it offers and which is chosen, threads, memory and limits
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    execution: BackendArguments,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<()> {
    let report = Report::new(arguments)?;
    if output.is_json() { report.document(output) } else { report.lines(output) }
}

struct Report {
    chosen: Backend,
    why: String,
    known: Vec<Known>,
    threads: usize,
    threads_why: &'static str,
}

impl Report {
    fn new(arguments: &Arguments) -> Result<Report> {
        let execution = &arguments.execution;
        Ok(Report {
            chosen: execution.backend()?,
            why: why_chosen(execution.backend.is_some()),
            known: Backend::known().collect(),
            threads: execution.threads(),
            threads_why: if execution.threads.is_some() {
                "asked for"
            } else {
                "one for each physical core that this process may use"
            },
        })
    }

    fn document(&self, output: &mut Output) -> Result<()> {
        let used = json!({"backend": self.chosen.name(), "threads": self.threads});
        let fields = json!({
            "backends": Backend::available().map(Backend::name).collect::<Vec<_>>(),
            "known_backends": self.known.iter().map(known_document).collect::<Vec<_>>(),
            "backend": {"name": self.chosen.name(), "why": self.why},
            "threads": {"count": self.threads, "why": self.threads_why},
            "memory": {
                "bytes": environment::memory(),
                "available_bytes": environment::memory_available(),
                "limit_bytes": environment::memory_limit(),
            },
            "environment_variables": {"QINT_BACKEND": std::env::var("QINT_BACKEND").ok()},
        });
        output.document("doctor", used, fields)
    }

    fn lines(&self, output: &mut Output) -> Result<()> {
        let cpu = environment::cpu_name().unwrap_or_else(|| "name unknown".to_string());
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        output.line(&format!("qint      {} on {os} {arch}", env!("CARGO_PKG_VERSION")))?;
        output.line(&format!("CPU       {cpu}, {} that this process may use", environment::cpus()))?;
        for (i, known) in self.known.iter().enumerate() {
            let label = if i == 0 { "backends" } else { "" };
            output.line(&format!("{label:8}  {:11}  {}", known.name, known_sentence(known)))?;
        }
        output.line(&format!("backend   {} ({})", self.chosen.name(), self.why))?;
        output.line(&format!("threads   {} ({})", self.threads, self.threads_why))?;
        output.line(&format!("memory    {}", memory_sentence()))?;
        output.line(&format!("limit     {}", limit_sentence()))
    }
}

/// Why a backend runs here: somebody asked for it, or it comes first among those that this CPU has.
fn why_chosen(asked_for: bool) -> String {
    if asked_for {
        return "asked for by --backend or QINT_BACKEND".to_string();
    }
    let faster: Vec<&str> =
        Backend::known().take_while(|known| known.backend.is_none()).map(|known| known.name).collect();
    match faster.as_slice() {
        [] => "the fastest one that there is for this kind of CPU".to_string(),
        names => format!("the fastest one of this CPU, which cannot run {}", names.join(" and ")),
    }
}

fn known_document(known: &Known) -> Value {
    json!({
        "name": known.name,
        "available": known.backend.is_some(),
        "features": known.features,
        "missing": known.missing().collect::<Vec<_>>(),
    })
}

fn known_sentence(known: &Known) -> String {
    let missing: Vec<&str> = known.missing().collect();
    match (known.features, missing.as_slice()) {
        ([], _) => "available: runs on every CPU".to_string(),
        (features, []) => format!("available: this CPU has {}", features.join(", ")),
        (_, missing) => format!("not available: this CPU, or its system, lacks {}", missing.join(", ")),
    }
}

fn memory_sentence() -> String {
    match (environment::memory(), environment::memory_available()) {
        (Some(total), Some(available)) => format!("{}, {} available", gib(total), gib(available)),
        (Some(total), None) => gib(total),
        _ => "unknown on this system".to_string(),
    }
}

fn limit_sentence() -> String {
    environment::memory_limit().map_or_else(
        || "no memory limit from a control group".to_string(),
        |limit| format!("{} of memory (control group)", gib(limit)),
    )
}

fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / (1u64 << 30) as f64;
    format!("{gib:.1} GiB")
}
