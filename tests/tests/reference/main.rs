//! The bars that need real models: the dense engine's perplexity, the loss of q8 and q4, and what the models say.
//!
//! `QINT_REFERENCE`, `QINT_STORIES`, `QINT_GGUF` and `QINT_TEXT` name the models and the texts (CONTRIBUTING.md).
mod accuracy;
mod text;

use qint_core::{backend::Backend, codec::Codec};
use qint_std::{
    convert::{Options, convert},
    engine::Engine,
    mapping::Loading,
    model::Model,
    quantize::{Recipe, Scheme},
    source,
    team::ThreadTeam,
};
use std::path::Path;

fn engine() -> Engine {
    Engine::new(Backend::detect(), Box::new(ThreadTeam::for_this_machine()), 256)
}

/// The checkpoint at `path`, quantized; embedding and head q8, as the converter does unless told otherwise.
fn quantized(path: &Path, codec: Codec) -> Model {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = directory.path().join("model.qint.safetensors");
    let source = source::open(path).expect("the checkpoint opens");
    convert(&*source, &Recipe::new(Scheme::of(codec)), &output, &Options::default(), &|_| {}).expect("it converts");
    Model::open(&output, Loading::Read).expect("the container opens")
}
