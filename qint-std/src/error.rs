//! The one error type of this crate. Each variant says what failed and why; [`Error::class`] says what kind of failure it
//! is, from which a command derives its exit code.
use std::{io, path::PathBuf};

/// `Result` with this crate's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory that was named does not exist, or is not a thing that can be read as a model.
    #[error("{}: {why}", path.display())]
    NotFound {
        /// The path given.
        path: PathBuf,
        /// Why it can't be used.
        why: &'static str,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The output exists and replacing it was not asked for.
    #[error("{} exists already", path.display())]
    OutputExists {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that break the rules of their format.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which file or which part of it.
        what: String,
        /// The rule that is broken, with the numbers.
        why: String,
    },
    /// Well-formed, but something this engine does not do.
    #[error("{what} is not supported{}{way_out}", if way_out.is_empty() { "" } else { "; " })]
    Unsupported {
        /// The feature, by the name that the input gives it.
        what: String,
        /// What can be done instead; may be empty.
        way_out: String,
    },
    /// An argument outside its range.
    #[error("{what} is {given}; {allowed}")]
    Argument {
        /// Which argument.
        what: &'static str,
        /// Its value.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// Not enough memory or disk for the job.
    #[error("{what} needs {needed} bytes, {available} are available")]
    Resources {
        /// What needs them.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The work was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A shape, scale or token that qint-core refuses.
    #[error("{context}: {source}")]
    Core {
        /// What was being done, for example the tensor's name.
        context: String,
        /// The reason.
        source: qint_core::Error,
    },
}

/// Kinds of failure, one per exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A bug or a broken system (1).
    Unexpected,
    /// Wrong arguments (2).
    Usage,
    /// The input does not exist (4).
    NotFound,
    /// The input is malformed (5).
    Malformed,
    /// The input needs something that is not supported (6).
    Unsupported,
    /// Memory or disk is short (8).
    Resources,
    /// Stopped by the user (130).
    Interrupted,
}

impl Error {
    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        match self {
            Error::NotFound { .. } => Class::NotFound,
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Class::NotFound,
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::OutOfMemory => Class::Resources,
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Class::Malformed,
                _ => Class::Unexpected,
            },
            Error::OutputExists { .. } | Error::Argument { .. } => Class::Usage,
            Error::Malformed { .. } => Class::Malformed,
            Error::Unsupported { .. } => Class::Unsupported,
            Error::Resources { .. } => Class::Resources,
            Error::Interrupted => Class::Interrupted,
            Error::Core { source, .. } => match source {
                qint_core::Error::ContextFull { .. } => Class::Usage,
                _ => Class::Malformed,
            },
        }
    }

    /// [`Error::Malformed`] from anything that can be displayed.
    pub fn malformed(what: impl Into<String>, why: impl std::fmt::Display) -> Error {
        Error::Malformed { what: what.into(), why: why.to_string() }
    }

    /// [`Error::Unsupported`] with what to do instead (may be empty).
    pub fn unsupported(what: impl Into<String>, way_out: impl Into<String>) -> Error {
        Error::Unsupported { what: what.into(), way_out: way_out.into() }
    }

    /// Wraps an I/O error with its path, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// Wraps a core error with what was being done, for `map_err`.
    pub fn core(context: impl Into<String>) -> impl FnOnce(qint_core::Error) -> Error {
        let context = context.into();
        move |source| Error::Core { context, source }
    }
}
