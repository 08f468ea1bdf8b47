//! `qint doctor`: what this machine offers, and what qint would use of it and why.
use crate::{args::BackendArguments, environment, errors::Result, output::Output};
use clap::Args;
use qint_core::backend::Backend;
use serde_json::json;

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
    why: &'static str,
    available: Vec<&'static str>,
    threads: usize,
    threads_why: &'static str,
}

impl Report {
    fn new(arguments: &Arguments) -> Result<Report> {
        let execution = &arguments.execution;
        Ok(Report {
            chosen: execution.backend()?,
            why: if execution.backend.is_some() { "asked for" } else { "the fastest one of this CPU" },
            available: Backend::available().map(Backend::name).collect(),
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
            "backends": self.available,
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
        output.line(&format!("backends  {}", self.available.join(", ")))?;
        output.line(&format!("backend   {} ({})", self.chosen.name(), self.why))?;
        output.line(&format!("threads   {} ({})", self.threads, self.threads_why))?;
        output.line(&format!("memory    {}", memory_sentence()))?;
        output.line(&format!("limit     {}", limit_sentence()))
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
