//! Everything that reads a model before quantization: configurations, checkpoints, GGUF and NPZ files, hostile files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]
mod checkpoint;
mod config;
mod gguf;
mod gguf_file;
mod hostile;
mod npz;
#[path = "../shared/mod.rs"]
mod shared;
mod support;
