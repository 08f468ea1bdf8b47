//! Runs `qint` and gives what it wrote and how it ended.
use std::{
    ffi::OsStr,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// A `qint` process that is about to start.
pub(crate) fn qint<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qint"));
    command.args(arguments).env_remove("QINT_BACKEND").stdin(Stdio::null());
    command
}

/// The words of `line`, run; `line` holds no quotes.
pub(crate) fn run(line: &str) -> Ended {
    Ended::new(&qint(line.split_whitespace()).output().expect("qint starts"))
}

/// As [`run`], with `input` on stdin.
pub(crate) fn run_with_input(line: &str, input: &[u8]) -> Ended {
    let mut command = qint(line.split_whitespace());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("qint starts");
    // It may stop reading early.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    Ended::new(&child.wait_with_output().expect("qint ends"))
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn new(output: &Output) -> Ended {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It failed with `code`, said `words` on stderr, and nothing on stdout.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &str) -> &Ended {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(words), "{words:?} is missing: {self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self
    }

    /// It succeeded.
    #[track_caller]
    pub(crate) fn fine(&self) -> &Ended {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A file or directory of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
