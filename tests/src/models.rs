//! Models that are too large for the repository: their paths come from the environment. A test that lacks one prints a line
//! that starts with `SKIP: `.
use std::{io::Write, path::PathBuf};

/// The path in the environment variable `name`, or `None` after a visible line that `test` is skipped.
pub fn path(name: &str, test: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    if path.is_none() {
        // Not eprintln: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIP: {test}: {name} is not set");
    }
    path
}

/// Whether the long form of tests was asked for; their short form runs always.
pub fn long() -> bool {
    std::env::var_os("QINT_LONG_TESTS").is_some_and(|value| value == "1")
}
