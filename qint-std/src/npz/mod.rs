//! NPZ and manifest.json: un-quantized weights that numpy reads and writes, as a source and as an export.
//!
//! ```text
//! DIR/manifest.json   {format: "qint-npz", version: 1, architecture and/or config, tensors: {name: {shape, dtype}}}
//! DIR/weights.npz     a ZIP archive with one NAME.npy of f32 or f16 per tensor, stored or deflated
//! DIR/tokenizer.json, generation_config.json, chat_template.jinja   where there are any
//! ```
//!
//! docs/format.md describes it for writers in other languages.
mod archive;
mod array;
mod export;
mod import;
mod inflate;
mod manifest;

pub use export::export;
pub(crate) use import::Npz;

/// The file with the arrays.
const WEIGHTS: &str = "weights.npz";
/// The file that describes them.
pub(crate) const MANIFEST: &str = "manifest.json";
