//! The model file `*.qint.safetensors`: written once from beginning to end, then mapped and read in place.
//!
//! ```text
//! header     length, JSON (metadata with the manifest; name, type, shape and place of every tensor), spaces
//! data       at a multiple of 4096: per matrix <name>.panels and <name>.row_scales, norms under their own names,
//!            assets as qint.asset/<name>, and pads that keep every tensor at a multiple of 64
//! ```
//!
//! It is an ordinary safetensors file: existing tools open it. docs/format.md has it byte by byte. [`Container::open`]
//! checks everything once; past it nothing can fail. The hashes of the data are only checked by [`Container::verify`].
//! A mapped file must not shrink or change while it is open ([`crate::mapping`]).
mod accuracy;
mod figures;
mod header;
pub(crate) mod json;
mod manifest;
mod plan;
mod raw;
mod read;
mod reserved;
mod write;

pub use accuracy::record_accuracy;
pub(crate) use header::hex;
pub use manifest::{Manifest, MatrixInfo, SourceInfo, TensorHash};
pub use read::Container;
pub use reserved::Reserved;
pub(crate) use write::{Writer, unknown_hash};

/// Tensors with this prefix are files that were carried along.
pub const ASSET_PREFIX: &str = "qint.asset/";
/// The files that a conversion carries along, where the source has them.
pub const ASSETS: [&str; 5] =
    ["tokenizer.json", "config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"];
