//! C programs that are linked with the libraries or load them do what Rust does, and leave nothing behind.
#![allow(clippy::expect_used, clippy::panic)]
mod shared;

use shared::{ROOT, compile, container, has, libraries};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What the static library needs beside itself on Linux: rustc --print native-static-libs.
const SYSTEM: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// An example in C, compiled in `directory`.
fn program(directory: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let (source, program) = (Path::new(ROOT).join("examples/c").join(name), directory.join(name).with_extension("exe"));
    let out = program.to_str().expect("UTF-8");
    compile("cc", &[&["-std=c11", "-g", "-o", out], arguments].concat(), &[&source]);
    program
}

fn run(command: &mut Command) -> String {
    let output = command.env_remove("QINT_BACKEND").output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    format!("{out}{err}")
}

#[test]
fn a_program_linked_either_way_writes_the_same() {
    if !has("cc") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let model = container(directory.path());
    let libraries = libraries();
    let path = libraries.to_str().expect("UTF-8");
    let dynamic = [&format!("-L{path}"), "-lqint_capi", &format!("-Wl,-rpath,{path}")];
    let dynamic = run(Command::new(program(directory.path(), "linked.c", &dynamic)).arg(&model));
    let archive = format!("{path}/libqint_capi.a");
    let with_archive: Vec<&str> = [archive.as_str()].into_iter().chain(SYSTEM).collect();
    let program = program(directory.path(), "linked.c", &with_archive);
    assert_eq!(run(Command::new(&program).arg(&model)), dynamic);
    assert!(dynamic.contains("\n16 tokens\n") && dynamic.contains("is the likeliest"), "{dynamic}");

    // Every byte is given back, and none is touched that should not be.
    if !has("valgrind") {
        return;
    }
    let checked = ["--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible"];
    let errors = ["--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=9"];
    let known = format!("--suppressions={ROOT}/tests/valgrind.supp");
    let found = run(Command::new("valgrind").args(checked).args(errors).arg(known).arg(&program).arg(&model));
    assert!(!found.contains("=="), "{found}");
}

#[test]
fn pkg_config_knows_what_is_installed() {
    if !has("cc") || !has("pkg-config") {
        return;
    }
    let prefix = tempfile::tempdir().expect("a directory");
    run(Command::new(Path::new(ROOT).join("install")).arg(prefix.path()).arg(libraries()));
    let pkg_config = |what: &str| {
        let mut command = Command::new("pkg-config");
        run(command.env("PKG_CONFIG_PATH", prefix.path().join("lib/pkgconfig")).args([what, "qint"]))
    };
    assert_eq!(pkg_config("--modversion").trim(), env!("CARGO_PKG_VERSION"));
    let flags = pkg_config("--cflags") + &pkg_config("--libs");
    let rpath = format!("-Wl,-rpath,{}/lib", prefix.path().display());
    let flags: Vec<&str> = flags.split_whitespace().chain([rpath.as_str()]).collect();
    let model = container(prefix.path());
    let said = run(Command::new(program(prefix.path(), "linked.c", &flags)).arg(&model));
    assert!(said.starts_with(concat!("qint ", env!("CARGO_PKG_VERSION"))), "{said}");
}

#[test]
fn loading_and_unloading_adds_no_memory() {
    if !has("cc") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let model = container(directory.path());
    let program = program(directory.path(), "loaded.c", &["-ldl"]);
    let cycles = if std::env::var_os("QINT_LONG_TESTS").is_some() { "1000" } else { "100" };
    let said = run(Command::new(program).arg(libraries().join("libqint_capi.so")).arg(&model).arg(cycles));
    let added: i64 = said.split(' ').nth(2).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    assert!(added < 256, "{said}");
}
