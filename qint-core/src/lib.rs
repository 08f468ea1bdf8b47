//! Quantized matrices and the Llama forward pass, `no_std` and without an allocator: the same packed weights give the same
//! bits on every CPU.
//!
//! # The layers, from the bottom
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`codec`] | a stored code of 1, 2, 4 or 8 bits | a small integer level |
//! | [`layout`] | (rows, columns, codec, group) | byte positions inside panels of 16 rows |
//! | [`pack`] | codes and sub-scales in row order | panels, and back |
//! | [`matrix`] | bytes and row scales | a checked [`QMatrix`](matrix::QMatrix) view that can't fail any more |
//! | [`activation`] | f32 activations | i8 codes with one scale per block, after an optional [`hadamard`] transform |
//! | [`isa`] | one kind of CPU | sixteen-lane operations |
//! | [`kernel`] | a matrix and activations | f32 outputs, bit-identical on every backend |
//! | [`peak`] | a backend | the rate of its multiplier, with nothing else to do |
//! | [`dense`] | a dense matrix and f32 activations | f32 outputs, by the same rules |
//! | [`math`] | f32 | exp, SiLU, GELU, RMSNorm in a fixed order |
//! | [`backend`] | what this CPU offers | one closed choice, made once |
//! | [`team`] | a job | the same job on several threads, over disjoint rows |
//! | [`llama`] | token ids | logits, in memory that the caller provides |
//! | [`flash`] | a flash image | the model in it, checked, where it lies |
//!
//! [`mod@reference`] holds the readable formulas that all of it is tested against.
//!
//! Nothing here reads a file, allocates, or keeps state in a static. Views are checked once when they are made; after
//! that there is no error to handle and nothing is checked again.
#![no_std]
#![deny(unsafe_code)]
#[cfg(feature = "std")]
extern crate std;

pub mod activation;
pub mod backend;
pub mod codec;
pub mod dense;
pub mod dequantize;
mod element;
pub mod error;
pub mod flash;
pub mod hadamard;
pub mod isa;
pub mod kernel;
pub mod layout;
pub mod llama;
pub mod math;
pub mod matrix;
pub mod pack;
pub mod peak;
pub mod reference;
pub mod team;

pub use error::Error;
