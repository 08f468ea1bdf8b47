//! Cortex-M kernels of qint: quantized matrix products from flash, with the same bits as on every other machine.
//!
//! `no_std`, no allocator, no state, no panic in what these functions link: each checks its arguments once and returns a
//! [`qint_core::Error`].
//!
//! # The layers
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`include_qint!`] | a file | aligned bytes in flash |
//! | [`hadamard`] | f32 activations | the same, spread (if the matrix was quantized for that) |
//! | [`mod@quantize`] | f32 activations | i8 codes with one scale per activation block |
//! | [`inputs`] | i8 codes | streams: 16-bit pairs in the order in which this core's kernels read them |
//! | [`prepared`] | a matrix | the same, and what this core wants to know of it (Helium and q8 only) |
//! | [`mod@matmul`] | a matrix, streams and a range of panels | f32 outputs |
//! | [`layer`] | all of it | one call, for dynamic and for compile-time shapes |
//! | [`forward`] | qint-core's forward pass | the same with these kernels |
//! | `kernel` | one activation block of a panel | sixteen exact integers, in assembly |
//!
//! # Which kernels
//!
//! The target decides when the crate is built:
//!
//! | target | cores | linear codecs, q8, q1 | q4, q2 (tables) |
//! |---|---|---|---|
//! | `thumbv7em-*`, `thumbv8m.main-*` with `-C target-feature=+dsp` | M4, M7, M33 | SMLAD, four rows, or a row and four tokens, at a time | SMLAD and tables of pairs |
//! | `thumbv8m.main-*` with `-C target-feature=+v8.1m.main,+mve,+lob` | M55 with floating-point MVE | sixteen bytes at a time | the same, looked up by gathers |
//! | `thumbv7m-*`, `thumbv8m.main-*` | M3 | two products in one multiplication | plain Rust |
//! | `thumbv6m-*`, `thumbv8m.base-*` | M0, M0+, M23 | the same with the small instruction set | plain Rust |
//! | any other, for example RISC-V | | the same in plain Rust | plain Rust |
//!
//! [`KERNELS`] says which. The Helium kernels need MVE with floating point in the core (an M55 may have been made without);
//! the compiler's feature `mve.fp` is refused all the same, since its vectors of f32 flush subnormal numbers.
//!
//! # Memory
//!
//! The caller owns it all. A product needs [`Inputs::words`](inputs::Inputs::words) words for its streams besides the
//! quantized activations; [`layer::workspace_words`] counts everything. A product
//! uses less than 512 bytes of stack if its rows are whole panels and there is one activation block, otherwise less than 640.
#![no_std]

mod float;
pub mod forward;
pub mod hadamard;
mod include;
pub mod inputs;
mod kernel;
pub mod layer;
pub mod matmul;
pub mod prepared;
pub mod quantize;

/// The kernels that this build has: `helium`, `dsp`, `thumb2`, `thumb1` or `portable`.
pub const KERNELS: &str = if cfg!(qint_kernels = "helium") {
    "helium"
} else if cfg!(qint_kernels = "dsp") {
    "dsp"
} else if cfg!(qint_kernels = "thumb2") {
    "thumb2"
} else if cfg!(qint_kernels = "thumb1") {
    "thumb1"
} else {
    "portable"
};
