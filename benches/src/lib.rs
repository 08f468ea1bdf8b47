//! Kernels with inputs of fixed sizes: what `benches/` times and `src/bin/instructions.rs` counts.
//!
//! Nothing is timed or counted before its result was compared: [`Product::check`] with the reference, the others with the
//! portable backend, bit by bit. For weights that come from memory, threads and whole models there is `qint bench`.
mod attention;
mod product;
mod vector;

pub use attention::{Attention, Heads};
pub use product::Product;
pub use vector::{Norm, Quantization};

use qint_core::backend::Backend;

/// A kernel and what it works on.
pub trait Bench {
    /// Runs the kernel once.
    fn run(&mut self, backend: Backend);
    /// Compares what it computes.
    ///
    /// # Panics
    /// If it differs in a bit.
    fn check(&mut self, backend: Backend);
    /// Multiply-adds of one run; 0 if that is not its measure.
    fn multiply_adds(&self) -> u64;
}

/// The backend of that name, which every CPU has.
fn portable() -> Backend {
    Backend::from_name("portable").expect("every CPU runs portable code")
}
