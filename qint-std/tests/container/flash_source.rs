//! Flash images as source code: compilers take it, and programs made of it hold the image.
use crate::shared::skip;
use qint_core::{codec::Codec, llama::KvKind};
use qint_std::{
    bundled,
    container::Container,
    convert::{Options, convert},
    flash::{self, Session, emit},
    mapping::Loading,
    quantize::{Recipe, Scheme},
    source,
};
use std::{env, ffi::OsString, fs, path::Path, process::Command};

/// The bundled model's image.
fn image(directory: &Path) -> Vec<u8> {
    bundled::write_to(directory).unwrap();
    let output = directory.join("model.qint.safetensors");
    let recipe = Recipe::new(Scheme::of(Codec::Q2Linear));
    convert(&*source::open(directory).unwrap(), &recipe, &output, &Options::default(), &|_| {}).unwrap();
    let container = Container::open(&output, Loading::Read).unwrap();
    flash::image(&container, Session { capacity: 64, kv: KvKind::I8 }).unwrap()
}

/// What a program prints.
fn output(program: &Path) -> Vec<u8> {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Compiles, or says that there is no such compiler.
fn compiles(compiler: OsString, arguments: &[&str], directory: &Path) -> bool {
    let mut command = Command::new(&compiler);
    match command.args(arguments).current_dir(directory).output() {
        Ok(output) => {
            assert!(output.status.success(), "{compiler:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            skip("a flash image as source code", &format!("{}: {error}", compiler.display()));
            false
        }
    }
}

#[test]
fn rust_source_holds_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = image(directory.path());
    fs::write(directory.path().join("model.rs"), emit::rust(&bytes).unwrap()).unwrap();
    let main = "#![deny(warnings)]\n#[allow(dead_code)]\nmod model;\nuse std::io::Write;\n\
        fn main() {\n    assert!(model::MODEL.as_ptr().addr().is_multiple_of(64));\n    \
        std::io::stdout().write_all(model::MODEL).unwrap();\n}\n";
    fs::write(directory.path().join("main.rs"), main).unwrap();
    // The compiler of the cargo that runs this test, or the one on the path.
    let rustc =
        env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc")).filter(|path| path.exists());
    let rustc = rustc.map_or_else(|| "rustc".into(), Into::into);
    if compiles(rustc, &["--edition", "2024", "main.rs", "-o", "program"], directory.path()) {
        assert!(output(&directory.path().join("program")) == bytes);
    }
}

#[test]
fn c_source_holds_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = image(directory.path());
    fs::write(directory.path().join("model.h"), emit::c(&bytes).unwrap()).unwrap();
    let main = "#include <stdio.h>\n#include \"model.h\"\n\
        int main(void) {\n    if ((uintptr_t)qint_model % 64) return 2;\n    \
        return fwrite(qint_model, 1, sizeof qint_model, stdout) != sizeof qint_model;\n}\n";
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-o", "program"];
    for (compiler, standard, source) in [("cc", "-std=c11", "main.c"), ("c++", "-std=c++17", "main.cpp")] {
        fs::write(directory.path().join(source), main).unwrap();
        if compiles(compiler.into(), &[&[standard, source], &strict[..]].concat(), directory.path()) {
            assert!(output(&directory.path().join("program")) == bytes, "{compiler}");
        }
    }
}
