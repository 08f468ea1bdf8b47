//! The forward pass of Llama-family models: token ids become logits, in memory that the caller provides.
//!
//! One pass serves all uses: prompts in chunks, single steps, several sequences in one batch. A [`Weights`] value borrows
//! the matrices; a [`KvCache`] holds one sequence; a [`Workspace`] holds what is thrown away between calls; [`Plan`] and
//! [`KvPlan`] say how large they must be; [`forward()`] does it.
mod attention;
mod batch;
mod config;
mod embedding;
mod forward;
mod input;
mod kv;
mod kv_store;
mod plan;
mod rope;
mod weights;

pub use batch::{Logits, Sequence};
pub use config::{Activation, Config, MAX_CONTEXT, MAX_HEAD_DIM, MAX_LAYERS, RopeScaling};
pub use forward::forward;
pub use kv::{KvCache, KvKind, KvPlan};
pub use kv_store::KvStore;
pub use plan::{Plan, PlanRequest, Workspace};
pub use weights::{Layer, Weights};
