//! The small files of a model directory: bounded reading, the assets that travel with the weights, and what to say about
//! directories that hold no readable model.
use crate::{
    Error, Result, limits,
    mapping::{Loading, Mapping},
};
use serde_json::Value;
use std::{borrow::Cow, ffi::OsStr, path::Path};

/// Files that are carried along, by name.
#[derive(Debug, Default)]
pub(crate) struct Assets(Vec<(&'static str, Content)>);

#[derive(Debug)]
enum Content {
    File(Mapping),
    Made(Vec<u8>),
}

impl Assets {
    /// Adds the file `name` of `directory` if it is there.
    pub(crate) fn add_file(&mut self, directory: &Path, name: &'static str, limit: u64) -> Result<()> {
        let path = directory.join(name);
        if is_file(&path) {
            self.0.push((name, Content::File(open_bounded(&path, limit)?)));
        }
        Ok(())
    }

    /// Adds an asset that was made from something else.
    pub(crate) fn add(&mut self, name: &'static str, content: Vec<u8>) {
        self.0.push((name, Content::Made(content)));
    }

    pub(crate) fn find(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (_, content) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(Cow::Borrowed(match content {
            Content::File(mapping) => mapping,
            Content::Made(bytes) => bytes,
        }))
    }
}

/// Whether `path` is a regular file (links are followed).
pub(crate) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Reads and parses a JSON file of at most `limit` bytes.
pub(crate) fn read_json(path: &Path, limit: u64) -> Result<Value> {
    parse_json(path, &open_bounded(path, limit)?)
}

/// [`read_json`] for a file that may be absent.
pub(crate) fn read_json_if_there(path: &Path, limit: u64) -> Result<Option<Value>> {
    is_file(path).then(|| read_json(path, limit)).transpose()
}

pub(crate) fn parse_json<'a, T: serde::Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::malformed(path.display().to_string(), error))
}

/// The bytes of a file of at most `limit` bytes. These files are small: they are read, so that they may change later.
pub(crate) fn open_bounded(path: &Path, limit: u64) -> Result<Mapping> {
    let size = path.metadata().map_err(Error::io(path))?.len();
    if size > limit {
        let why = format!("it has {size} bytes, at most {limit} are allowed");
        return Err(Error::malformed(path.display().to_string(), why));
    }
    Mapping::open(path, if size > 1 << 20 { Loading::Map } else { Loading::Read })
}

/// Refuses a path whose extension says that it is a pickle.
pub(super) fn refuse_pickle(path: &Path) -> Result<()> {
    if is_pickle(path) { Err(pickle(path)) } else { Ok(()) }
}

/// The error for a checkpoint directory without safetensors: a pickle, or nothing at all.
pub(super) fn no_safetensors(directory: &Path) -> Error {
    match entries(directory).find(|entry| is_pickle(entry)) {
        Some(found) => pickle(&found),
        None => Error::NotFound {
            path: directory.into(),
            why: "it holds neither model.safetensors nor model.safetensors.index.json",
        },
    }
}

/// Why a directory without `config.json` is no model.
pub(super) fn why_no_model(directory: &Path) -> &'static str {
    let holds = |extension| entries(directory).any(|entry| entry.extension() == Some(OsStr::new(extension)));
    if holds("gguf") {
        "this is a directory; name the .gguf file in it"
    } else if holds("safetensors") {
        "it holds *.safetensors, but no config.json to read them by"
    } else {
        "it holds neither config.json and *.safetensors nor manifest.json and weights.npz"
    }
}

/// Refuses a directory whose only tokenizer is a SentencePiece model.
pub(super) fn refuse_sentencepiece_only(directory: &Path) -> Result<()> {
    if is_file(&directory.join("tokenizer.json")) || !is_file(&directory.join("tokenizer.model")) {
        return Ok(());
    }
    Err(Error::unsupported(
        "a checkpoint that has tokenizer.model, but no tokenizer.json,",
        "write one in Python: AutoTokenizer.from_pretrained(DIR, use_fast=True).save_pretrained(DIR)",
    ))
}

fn entries(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    directory.read_dir().into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether the name of `path` says that it is a pickle.
pub(crate) fn is_pickle(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    matches!(extension, "pt" | "pth" | "ckpt" | "pkl") || (extension == "bin" && !name.starts_with("training_args"))
}

fn pickle(path: &Path) -> Error {
    Error::unsupported(
        format!("the pickle checkpoint {}", limits::shown(&path.display().to_string())),
        "convert it in Python: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT, safe_serialization=True)",
    )
}
