//! The forward pass of Llama-family models: token ids become logits, in memory that the caller provides.
//!
//! One pass serves all uses: prompts in chunks, single steps, several sequences in one batch. A [`Weights`] value borrows
//! the matrices; a [`KvCache`] holds one sequence; a [`Workspace`] holds what is thrown away between calls; [`Plan`] says
//! how large they must be.
mod config;
mod kv;
mod weights;

pub use config::{Activation, Config, RopeScaling};
pub use kv::{KvCache, KvKind, KvStore};
pub use weights::{Layer, Weights};
