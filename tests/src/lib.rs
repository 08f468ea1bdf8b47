//! What the cross-crate tests share: random quantized matrices and activations, and the choice of backends.
//!
//! Nothing here knows how a kernel works; it only builds inputs through the public interface.
pub mod backends;
pub mod models;
pub mod products;
pub mod vectors;
