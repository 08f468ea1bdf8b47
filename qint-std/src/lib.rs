//! Around qint-core: files, conversion, tokenizers, sampling, generation and evaluation.
//!
//! # The way of the data
//!
//! ```text
//! model directory | GGUF | NPZ   source       named tensors, borrowed from a mapping, read by rows
//!    → quantizer                 quantize     codes + scales
//!    → container                 container    *.qint.safetensors, written atomically
//!    → mapped view               container    checked once, infallible after, zero copy
//!    → flash image               flash        *.qfw for firmware
//!    → model                     model        qint_core::llama::Weights over the mapping
//!    → engine                    engine       backend + threads + memory
//!    → sampler → text            sample, tokenizer, chat, generate
//! ```
pub mod atomic_file;
pub mod bench;
pub mod bundled;
pub mod chat;
pub mod config;
pub mod container;
pub mod convert;
pub mod engine;
pub mod error;
pub mod eval;
pub mod flash;
pub mod generate;
pub mod limits;
pub mod mapping;
pub mod model;
pub mod npz;
pub mod pages;
pub mod quantize;
pub mod roofline;
pub mod sample;
pub mod source;
pub mod synthetic;
pub mod team;
pub mod tokenizer;
pub mod validate;

pub use error::{Error, Result};
