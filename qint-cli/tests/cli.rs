//! How the `qint` command behaves: streams, exit codes, signals, and what it says.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is test code, helpers included")]
mod cli {
    mod bench;
    pub(crate) mod command;
    #[cfg(unix)]
    mod compare;
    mod convert;
    mod export;
    mod figures;
    mod inputs;
    pub(crate) mod models;
    #[cfg(unix)]
    mod signals;
    mod streams;
    mod writing;
}

/// Help texts and short runs, pinned word for word. `TRYCMD=overwrite cargo test -p qint-cli` rewrites them.
#[test]
fn pinned_output() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd").env("QINT_BACKEND", "portable");
}
