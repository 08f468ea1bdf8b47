//! How good a model is on a text: perplexity, and divergence from a reference.
//!
//! A text is cut into windows of tokens that don't overlap ([`EvalText`]); each window is a sequence of its own, of which the
//! positions from the middle on are scored, so that every scored token has at least half a window before it.
mod run;
mod score;
mod summary;
mod text;

pub use run::{Observer, Scored, divergence, perplexity};
pub use score::{PairedPosition, Position, compare, score, top};
pub use summary::{Divergence, Perplexity};
pub use text::{EvalOptions, EvalText};
