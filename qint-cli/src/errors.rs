//! Failures become one sentence on stderr and an exit code. Nothing else in this crate knows a code.
use qint_std::error::Class;
use std::{
    backtrace::Backtrace,
    fmt,
    io::{self, Write},
    panic,
    process::ExitCode,
    sync::Mutex,
};

/// Why a command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library refused.
    Library(qint_std::Error),
    /// stdout could not be written.
    Stdout(io::Error),
    /// An argument that clap alone can't judge.
    Usage(String),
    /// An input (prompt, text, list) that breaks its rules.
    Malformed(String),
    /// A file that was named is not there.
    NotFound(String),
    /// A limit of `validate` or a baseline of `bench` was passed; what was measured is on stdout.
    Gate(Vec<String>),
    /// A program that was started ended badly; the code is to be passed on.
    Child { code: u8, why: String },
    /// Ctrl-C.
    Interrupted,
}

/// The exit codes, in one place. 7 (network) joins them with the first command that uses one.
mod code {
    pub(super) const UNEXPECTED: u8 = 1;
    pub(super) const USAGE: u8 = 2;
    pub(super) const GATE: u8 = 3;
    pub(super) const NOT_FOUND: u8 = 4;
    pub(super) const MALFORMED: u8 = 5;
    pub(super) const UNSUPPORTED: u8 = 6;
    pub(super) const RESOURCES: u8 = 8;
    pub(super) const INTERRUPTED: u8 = 130;
    pub(super) const CLOSED_PIPE: u8 = 141;
}

/// The exit codes for the help text.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 unexpected, 2 usage, 3 a limit was passed, 4 input not found, 5 input malformed, 6 not supported,
8 memory or disk, 130 interrupted, 141 the reader of stdout went away.";

/// The code of a mapped file that shrank; the signal handler needs it as a number.
#[cfg(unix)]
pub(crate) const SHRUNK_CODE: i32 = code::MALFORMED as i32;
/// The code of an interruption; the signal handler needs it as a number.
pub(crate) const INTERRUPTED_CODE: i32 = code::INTERRUPTED as i32;

/// Says why the command stops, and gives its exit code.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    if !failure.is_silent() {
        error_line(&format!("error: {failure}"));
        for hint in failure.hints() {
            error_line(&format!("  {hint}"));
        }
    }
    ExitCode::from(failure.code())
}

/// Help and version go to stdout, complaints about arguments to stderr.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) if error.use_stderr() => ExitCode::from(code::USAGE),
        Ok(()) => io::stdout().flush().map_or_else(|error| report(&Failure::Stdout(error)), |()| ExitCode::SUCCESS),
        Err(error) => report(&Failure::Stdout(error)),
    }
}

/// Where the last panic happened: the hook must stay silent, since qint-std catches panics of third-party parsers.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Replaces the panic hook by one that only remembers. `RUST_BACKTRACE` works as ever.
pub(crate) fn catch_panics_quietly() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let mut text = format!("{message} ({place})");
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            text = format!("{text}\n{}", Backtrace::force_capture());
        }
        if let Ok(mut last) = PANIC.lock() {
            *last = Some(text);
        }
    }));
}

/// One line that asks for a report.
pub(crate) fn report_panic() -> ExitCode {
    let what = PANIC.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    error_line(&format!("error: this is a bug in qint {version}, please report it with the command line: {what}"));
    ExitCode::from(code::UNEXPECTED)
}

/// Errors are shown even with `--quiet`; a closed stderr changes nothing.
fn error_line(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

impl Failure {
    /// The sentence for a closed pipe is nobody's business.
    fn is_silent(&self) -> bool {
        matches!(self, Failure::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Nothing more can be said to whoever reads stdout.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self, Failure::Stdout(_))
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Library(error) => class_code(error.class()),
            Failure::Stdout(error) => match error.kind() {
                io::ErrorKind::BrokenPipe => code::CLOSED_PIPE,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    code::RESOURCES
                }
                _ => code::UNEXPECTED,
            },
            Failure::Usage(_) => code::USAGE,
            Failure::Malformed(_) => code::MALFORMED,
            Failure::NotFound(_) => code::NOT_FOUND,
            Failure::Gate(_) => code::GATE,
            Failure::Child { code, .. } => *code,
            Failure::Interrupted => code::INTERRUPTED,
        }
    }

    /// What to do about it, where the sentence alone does not say.
    fn hints(&self) -> Vec<String> {
        match self {
            Failure::Library(qint_std::Error::OutputExists { .. }) => vec!["--force replaces it".to_string()],
            Failure::Gate(limits) => limits.clone(),
            _ => Vec::new(),
        }
    }
}

fn class_code(class: Class) -> u8 {
    match class {
        Class::Unexpected => code::UNEXPECTED,
        Class::Usage => code::USAGE,
        Class::NotFound => code::NOT_FOUND,
        Class::Malformed => code::MALFORMED,
        Class::Unsupported => code::UNSUPPORTED,
        Class::Resources => code::RESOURCES,
        Class::Interrupted => code::INTERRUPTED,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Library(error) => error.fmt(f),
            Failure::Stdout(error) => write!(f, "the output could not be written: {error}"),
            Failure::Usage(why) | Failure::Malformed(why) | Failure::NotFound(why) | Failure::Child { why, .. } => {
                f.write_str(why)
            }
            Failure::Gate(limits) => match limits.len() {
                1 => f.write_str("a limit was passed"),
                count => write!(f, "{count} limits were passed"),
            },
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<qint_std::Error> for Failure {
    fn from(error: qint_std::Error) -> Failure {
        match error {
            qint_std::Error::Interrupted => Failure::Interrupted,
            error => Failure::Library(error),
        }
    }
}

/// The result of a command and of its parts.
pub(crate) type Result<T> = std::result::Result<T, Failure>;
