//! C programs that are linked with the libraries or load them do what Rust does, and lose no memory.
#![allow(clippy::expect_used, clippy::panic)]
mod shared;

use shared::{ROOT, compile, container, has, libraries};
use std::{
    io::Write,
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

    // No errors, and no memory definitely or indirectly lost; possibly lost in the tables of tests/valgrind.supp is suppressed.
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
    let (empty, other) = (prefix.path().join("empty"), prefix.path().join("other"));
    std::fs::create_dir(&empty).expect("a directory");
    let failed = Command::new(Path::new(ROOT).join("install")).arg(&other).arg(&empty).output().expect("install runs");
    assert!(!failed.status.success() && !other.exists(), "without a library nothing is installed");
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
    let cycles = if std::env::var_os("QINT_LONG_TESTS").is_some() { "1000" } else { "200" };
    let library = libraries().join("libqint_capi.so");
    // After the warm-up, in all cycles together. The allocator's own steps are larger in some runs; what is lost is lost in all.
    let mut fewest = i64::MAX;
    for _ in 0..3 {
        let said = run(Command::new(&program).arg(&library).arg(&model).arg(cycles));
        let added = said.split(' ').nth(2).expect("a number of pages");
        if added == "unknown" {
            let _ = writeln!(std::io::stderr(), "SKIP: this system does not tell how much memory a process has");
            return;
        }
        fewest = fewest.min(added.parse().expect("a number of pages"));
        if fewest <= 16 {
            return;
        }
    }
    panic!("{cycles} cycles added {fewest} pages at least");
}
