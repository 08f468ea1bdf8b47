//! Compilers, libraries and models for the tests of the C ABI.
#![allow(dead_code, unsafe_code, clippy::expect_used, clippy::panic)]
use qint_capi::*;
use qint_core::codec::Codec;
use qint_std::{
    bundled, convert,
    quantize::{Recipe, Scheme},
    source,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    ptr::null,
};

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Whether a program is there; says so visibly if it is not. CI installs all of them.
pub(crate) fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        // Not eprintln: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIP: there is no {program} here");
    }
    found
}

/// Compiles with every warning an error.
pub(crate) fn compile(compiler: &str, arguments: &[&str], files: &[&Path]) {
    let include = format!("-I{ROOT}/include");
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", &include])
        .args(files)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(output.status.success(), "{compiler} {arguments:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Where cargo has put the libraries of this crate.
pub(crate) fn libraries() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    test.parent().expect("its directory").to_owned()
}

/// The bundled model as a q4 container in `directory`.
pub(crate) fn container(directory: &Path) -> PathBuf {
    bundled::write_to(directory).expect("the bundled model");
    let path = directory.join("q4.qint.safetensors");
    let source = source::open(directory).expect("the bundled model");
    let recipe = Recipe::new(Scheme::of(Codec::Q4));
    convert::convert(&*source, &recipe, &path, &convert::Options::default(), &|_| ()).expect("converted");
    path
}

/// An open model with a session of one thread and 64 positions.
pub(crate) struct Fixture {
    pub(crate) model: u64,
    pub(crate) session: u64,
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let directory = tempfile::tempdir().expect("a directory");
        let path = container(directory.path());
        let bytes = std::fs::read(&path).expect("the container");
        let path = path.into_os_string().into_string().expect("UTF-8");
        let model = open(&path);
        Fixture { model, session: session(model, 1, 64), path, bytes, _directory: directory }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        assert_eq!(qint_session_free(self.session), QINT_OK);
        assert_eq!(qint_model_free(self.model), QINT_OK);
    }
}

pub(crate) fn open(path: &str) -> u64 {
    let mut model = 0;
    // SAFETY: valid pointers and their lengths.
    let code = unsafe { qint_model_open(path.as_ptr().cast(), path.len(), 0, &mut model) };
    assert_eq!(code, QINT_OK, "{}", last_error());
    model
}

pub(crate) fn session(model: u64, threads: u32, capacity: u32) -> u64 {
    let (options, mut session) = (qint_session_options { threads, capacity, ..session_options() }, 0);
    // SAFETY: valid pointers.
    let code = unsafe { qint_session_new(model, &options, &mut session) };
    assert_eq!(code, QINT_OK, "{}", last_error());
    session
}

pub(crate) fn last_error() -> String {
    let (mut text, mut length) = ([0u8; 1024], 0);
    // SAFETY: a valid pointer and its length.
    let code = unsafe { qint_last_error(text.as_mut_ptr().cast(), text.len(), &mut length) };
    assert_eq!(code, QINT_OK);
    String::from_utf8(text[..length].to_vec()).expect("UTF-8")
}

pub(crate) fn model_info() -> qint_model_info {
    let struct_size = size_of::<qint_model_info>() as u32;
    qint_model_info { struct_size, vocabulary: 0, hidden: 0, layers: 0, context: 0, tokenizer_vocabulary: 0, bytes: 0 }
}

pub(crate) fn session_info() -> qint_session_info {
    let struct_size = size_of::<qint_session_info>() as u32;
    qint_session_info { struct_size, threads: 0, length: 0, capacity: 0 }
}

pub(crate) fn session_options() -> qint_session_options {
    let struct_size = size_of::<qint_session_options>() as u32;
    qint_session_options { struct_size, threads: 1, capacity: 64, kv: 0, backend: null(), backend_length: 0 }
}

pub(crate) fn generate_options() -> qint_generate_options {
    let mut options = std::mem::MaybeUninit::<qint_generate_options>::zeroed();
    // SAFETY: zeros are a value of every field.
    let options = unsafe { options.assume_init_mut() };
    options.struct_size = size_of::<qint_generate_options>() as u32;
    // SAFETY: a valid pointer.
    assert_eq!(unsafe { qint_generate_defaults(options) }, QINT_OK);
    *options
}

pub(crate) fn generated() -> qint_generated {
    let struct_size = size_of::<qint_generated>() as u32;
    qint_generated { struct_size, reason: 9, prompt_tokens: 0, tokens: 0, prompt_nanoseconds: 0, decode_nanoseconds: 0 }
}

pub(crate) fn sizes() -> qint_sizes {
    let struct_size = size_of::<qint_sizes>() as u32;
    qint_sizes { struct_size, padded_cols: 0, panels: 0, row_scales: 0, workspace: 0 }
}

/// A quantized matrix made by the ABI, and what it was made from.
pub(crate) struct Raw {
    pub(crate) shape: qint_shape,
    pub(crate) sizes: qint_sizes,
    pub(crate) weights: Vec<f32>,
    pub(crate) panels: Vec<u32>,
    pub(crate) row_scales: Vec<f32>,
}

impl Raw {
    pub(crate) fn new(rows: u32, cols: u32, codec: u32, tokens: usize) -> Raw {
        let shape = qint_shape {
            struct_size: size_of::<qint_shape>() as u32,
            rows,
            cols,
            codec,
            group: 32,
            transform: QINT_TRANSFORM_HADAMARD,
            activation_block: 256,
            reserved: 0,
        };
        let mut sizes = sizes();
        // SAFETY: valid pointers.
        assert_eq!(unsafe { qint_matrix_sizes(&shape, tokens, &mut sizes) }, QINT_OK, "{}", last_error());
        let weights: Vec<f32> = (0..rows * cols).map(|i| ((i * 37 % 101) as f32 - 50.0) / 64.0).collect();
        let (mut panels, mut row_scales) = (vec![0u32; sizes.panels / 4], vec![0.0; sizes.row_scales]);
        let (p, s) = (panels.as_mut_ptr().cast::<u8>(), row_scales.as_mut_ptr());
        // SAFETY: valid pointers and their lengths.
        let code =
            unsafe { qint_quantize(&shape, weights.as_ptr(), weights.len(), p, sizes.panels, s, sizes.row_scales) };
        assert_eq!(code, QINT_OK, "{}", last_error());
        Raw { shape, sizes, weights, panels, row_scales }
    }

    pub(crate) fn matrix(&self) -> qint_matrix {
        qint_matrix {
            struct_size: size_of::<qint_matrix>() as u32,
            reserved: 0,
            shape: &self.shape,
            panels: self.panels.as_ptr().cast(),
            panels_length: self.sizes.panels,
            row_scales: self.row_scales.as_ptr(),
            row_scales_length: self.row_scales.len(),
        }
    }
}
