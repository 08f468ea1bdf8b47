//! The committed header is the generated one, and compilers take it without a word.
//!
//! `QINT_WRITE_HEADER=1 cargo test -p qint-capi --test header` writes it anew.
#![allow(clippy::expect_used)]
mod shared;

use shared::{ROOT, compile, has};
use std::{fs, path::Path};

fn generated() -> String {
    let config = cbindgen::Config::from_file(Path::new(ROOT).join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new().with_crate(ROOT).with_config(config).generate().expect("a header");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

#[test]
fn the_committed_header_is_what_the_crate_gives() {
    let path = Path::new(ROOT).join("include/qint.h");
    if std::env::var_os("QINT_WRITE_HEADER").is_some() {
        fs::write(&path, generated()).expect("written");
    }
    let committed = fs::read_to_string(&path).expect("include/qint.h");
    assert!(committed == generated(), "include/qint.h is out of date: run this test with QINT_WRITE_HEADER=1");
}

#[test]
fn compilers_take_it_as_c11_and_as_cpp17() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, compiler, standard) in [("header.c", "cc", "-std=c11"), ("header.cpp", "c++", "-std=c++17")] {
        if !has(compiler) {
            continue;
        }
        let source = directory.path().join(name);
        for definition in ["", "#define QINT_FREESTANDING\n"] {
            fs::write(
                &source,
                format!("{definition}#include <qint.h>\nint main(void) {{ return qint_abi() == 0; }}\n"),
            )
            .expect("written");
            compile(compiler, &[standard, "-c", "-o", "/dev/null"], &[&source]);
        }
    }
}
