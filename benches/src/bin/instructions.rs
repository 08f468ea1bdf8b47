//! Runs every kernel on the backend that is named: `check` compares results, `count` marks the beginning and the end of one
//! call of each for callgrind (`cargo xtask instructions`).
//!
//! `count` prints a JSON document a line for each call, in order. Products of 64 rows and 4096 columns; attention is that of
//! tinyllama-1.1b, one token after 1,023.
use qint_benches::{Attention, Bench, Heads, Norm, Product, Quantization};
use qint_core::{backend::Backend, codec::Codec, llama::KvKind};
use std::{hint::black_box, process::ExitCode};

const ROWS: usize = 64;
const TOKENS: usize = 16;
const COLS: usize = 4096;
const DEPTH: usize = 1023;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, name] = arguments.as_slice() else { return usage("") };
    let Some(backend) = Backend::from_name(name) else { return usage("no such backend here; ") };
    match mode.as_str() {
        "check" => for_each_kernel(|_, _, bench| bench.check(backend)),
        "count" => for_each_kernel(|kernel, kind, bench| count(backend, kernel, kind, bench)),
        _ => return usage(""),
    }
    ExitCode::SUCCESS
}

fn usage(why: &str) -> ExitCode {
    eprintln!("{why}usage: instructions check|count BACKEND");
    ExitCode::from(2)
}

fn for_each_kernel(mut work: impl FnMut(&str, &str, &mut dyn Bench)) {
    for codec in Codec::ALL {
        work("matvec", codec.name(), &mut Product::new(codec, ROWS, 1));
    }
    for codec in Codec::ALL {
        work("matmul", codec.name(), &mut Product::new(codec, ROWS, TOKENS));
    }
    for (name, kind) in [("f32", KvKind::F32), ("f16", KvKind::F16), ("i8", KvKind::I8)] {
        work("attention", name, &mut Attention::new(Heads::TINYLLAMA, kind, DEPTH, 1));
    }
    work("quantize-activations", "hadamard", &mut Quantization::new(COLS));
    work("rms-norm", "f32", &mut Norm::new(COLS));
}

fn count(backend: Backend, kernel: &str, kind: &str, bench: &mut dyn Bench) {
    // Memory is there, and features are detected.
    bench.run(backend);
    kernel_begins();
    bench.run(backend);
    kernel_ends();
    let (backend, multiply_adds) = (backend.name(), bench.multiply_adds());
    println!(r#"{{"backend":"{backend}","kernel":"{kernel}","kind":"{kind}","multiply_adds":{multiply_adds}}}"#);
}

/// Callgrind starts a new count here: it knows the function by its name.
#[inline(never)]
fn kernel_begins() {
    black_box(());
}

/// As [`kernel_begins`].
#[inline(never)]
fn kernel_ends() {
    black_box(1);
}
