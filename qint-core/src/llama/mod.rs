//! The forward pass of Llama-family models: token ids become logits, in memory that the caller provides.
//!
//! One pass serves all uses: prompts in chunks, single steps, several sequences in one batch. A [`Weights`] value borrows
//! the matrices; a [`KvCache`] holds one sequence; a [`Workspace`] holds what is thrown away between calls; [`Plan`] and
//! [`KvPlan`] say how large they must be; [`forward()`] does it.
//!
//! ```
//! use qint_core::{backend::Backend, llama::*, matrix::{DenseMatrix, DenseValues, Matrix}, team::Serial};
//!
//! // A model of one block and four tokens whose matrices are all ones.
//! let config = Config {
//!     hidden: 2, intermediate: 2, layers: 1, heads: 1, kv_heads: 1, head_dim: 2, vocabulary: 4, context: 8,
//!     norm_epsilon: 1e-5, rope_theta: 10000.0, rope_scaling: RopeScaling::None, sliding_window: None,
//!     activation: Activation::Silu, norm_plus_one: false, embedding_scale: 1.0,
//! };
//! let ones = [1.0; 8];
//! let matrix = |rows| DenseMatrix::new(rows, 2, DenseValues::F32(&ones[..2 * rows])).map(Matrix::Dense);
//! let (square, tall) = (matrix(2)?, matrix(4)?);
//! let norm = &[1.0; 2];
//! let layers = [Layer {
//!     attention_norm: norm, q: square, k: square, v: square, o: square,
//!     mlp_norm: norm, gate: square, up: square, down: square,
//! }];
//! let weights = Weights::new(config, tall, &layers, norm, tall)?;
//!
//! // Memory: what a call throws away, and what a sequence keeps.
//! let plan = Plan::new(&config, PlanRequest { tokens: 3 })?;
//! let (mut floats, mut codes, mut sums) = (vec![0.0; plan.floats], vec![0; plan.codes], vec![0; plan.sums]);
//! let mut workspace = Workspace { floats: &mut floats, codes: &mut codes, sums: &mut sums };
//! let mut memory = vec![0.0; KvPlan::new(KvKind::F32, 8, &config)?.values];
//! let mut cache = KvCache::new(&config, 8, KvStore::F32(&mut memory))?;
//!
//! // Three tokens in, the logits of the last one out.
//! let mut logits = [0.0; 4];
//! let sequence = Sequence { tokens: &[1, 2, 3], cache: &mut cache, logits: Logits::Last };
//! forward(Backend::detect(), &Serial, &weights, &mut [sequence], &mut workspace, &mut logits)?;
//! assert_eq!(cache.len(), 3);
//! assert!((logits[0] - 2.0).abs() < 1e-3);
//! # Ok::<(), qint_core::Error>(())
//! ```
mod attention;
mod batch;
mod config;
mod embedding;
mod forward;
mod input;
mod kv;
mod kv_order;
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
