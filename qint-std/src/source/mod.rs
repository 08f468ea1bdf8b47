//! Where un-quantized models come from: named tensors, read by rows as f32 or borrowed as they are.
//!
//! Every source speaks Hugging Face: tensor names, row order of Q and K (rotary pairs in two halves), `tokenizer.json`.
//!
//! ```text
//! directory with config.json + *.safetensors   checkpoint
//! file that starts with "GGUF"                 gguf
//! directory with manifest.json + weights.npz   crate::npz
//! ```
//!
//! Opening checks everything but the weights' values: configuration, names, shapes, positions in the file, tokenizer.
mod checkpoint;
mod dequantized;
mod files;
mod floats;
mod gguf;
mod pairing;
mod shards;
mod template;

use crate::{
    Error, Result,
    config::{ExpectedTensor, ModelConfig},
    container::hex,
    mapping::Loading,
    npz,
};
pub use dequantized::Dequantized;
pub(crate) use files::{Assets, is_file, is_pickle, open_bounded, parse_json, read_json, read_json_if_there};
pub(crate) use floats::Floats;
pub(crate) use pairing::{Found, FoundTensors, pair};
use qint_core::matrix::DenseValues;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, io::Read, ops::Range, path::Path};

/// A model before quantization. Cheap to share between threads. An `index` counts [`Source::tensors`]; one beyond them
/// panics.
pub trait Source: Send + Sync {
    /// Architecture and special tokens.
    fn config(&self) -> &ModelConfig;
    /// All tensors that the architecture needs, in its order: embedding, layers, final norm, head (absent if tied).
    fn tensors(&self) -> &[SourceTensor];
    /// Reads rows of tensor `index` as f32 into `out`, `[rows.len()][cols]`. Exact for f32, f16, bf16.
    ///
    /// # Errors
    /// I/O errors; NaN or infinity is `Malformed` with the tensor's name.
    fn read_rows(&self, index: usize, rows: Range<usize>, out: &mut [f32]) -> Result<()>;
    /// The whole tensor without a copy, where it is stored as f32, f16 or bf16 in Hugging Face row order and aligned.
    /// Its numbers may be NaN or infinite.
    fn dense(&self, index: usize) -> Option<DenseValues<'_>>;
    /// The bytes of the whole tensor as they are stored, where they lie in memory: what [`Source::hash`] goes over.
    fn stored(&self, index: usize) -> Option<&[u8]> {
        let _ = index;
        None
    }
    /// Files to carry along, by name: `tokenizer.json`, `config.json`, `generation_config.json`, `chat_template.jinja`;
    /// from a checkpoint also `tokenizer_config.json`.
    fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// Names of tensors in the files that the model does not use: a second copy of a tied head, leftovers of training.
    fn ignored(&self) -> &[String];
    /// SHA-256 over all weight bytes as they are stored ([`Source::stored`]; else as little-endian f32), in the order of
    /// [`Source::tensors`], hexadecimal. Reads everything once.
    ///
    /// # Errors
    /// I/O errors.
    fn hash(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for (index, tensor) in self.tensors().iter().enumerate() {
            match self.stored(index) {
                Some(stored) => hash.update(stored),
                None => hash_rows(self, index, &tensor.expected, &mut hash)?,
            }
        }
        Ok(hex(&hash.finalize()))
    }
}

/// One tensor of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTensor {
    /// Name, role and shape.
    pub expected: ExpectedTensor,
    /// How it is stored: `f32`, `f16`, `bf16`, `q4_1`, …
    pub stored: &'static str,
    /// Bytes it takes there.
    pub bytes: u64,
}

/// Opens a model directory or GGUF file, mapped into memory.
///
/// # Errors
/// `NotFound` if there is nothing that can be read as a model, `Unsupported` for pickle checkpoints, missing
/// `tokenizer.json` beside a `tokenizer.model`, and options that the engine does not have, `Malformed` for the rest.
///
/// # Examples
/// ```
/// # fn main() -> qint_std::Result<()> {
/// # let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/mistral");
/// let source = qint_std::source::open(directory.as_ref())?;
/// let tensor = &source.tensors()[0];
/// let mut row = vec![0.0; tensor.expected.cols];
/// source.read_rows(0, 5..6, &mut row)?;
/// assert_eq!((tensor.expected.name.as_str(), tensor.stored), ("model.embed_tokens.weight", "f16"));
/// # Ok(())
/// # }
/// ```
pub fn open(path: &Path) -> Result<Box<dyn Source>> {
    open_with(path, Loading::Map)
}

/// [`open`], with the choice of how the weights get into memory.
///
/// # Errors
/// As [`open`]; `Resources` if there is no memory to read a file into.
pub fn open_with(path: &Path, loading: Loading) -> Result<Box<dyn Source>> {
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NotFound { path: path.into(), why: "no such file or directory" });
        }
        Err(error) => return Err(Error::io(path)(error)),
    };
    if metadata.is_dir() { open_directory(path, loading) } else { open_file(path, loading) }
}

fn open_directory(path: &Path, loading: Loading) -> Result<Box<dyn Source>> {
    if is_file(&path.join(npz::MANIFEST)) {
        return Ok(Box::new(npz::Npz::open(path, loading)?));
    }
    if is_file(&path.join("config.json")) {
        return Ok(Box::new(checkpoint::Checkpoint::open(path, loading)?));
    }
    Err(Error::NotFound { path: path.into(), why: files::why_no_model(path) })
}

fn open_file(path: &Path, loading: Loading) -> Result<Box<dyn Source>> {
    files::refuse_pickle(path)?;
    let mut magic = Vec::new();
    let file = crate::mapping::open_regular(path)?;
    file.take(4).read_to_end(&mut magic).map_err(Error::io(path))?;
    if magic == b"GGUF" {
        return Ok(Box::new(gguf::Gguf::open(path, loading)?));
    }
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        let way_out = "name the directory that holds it and config.json; a container is not converted again";
        return Err(Error::unsupported(format!("{} as a source", path.display()), way_out));
    }
    Err(Error::malformed(path.display().to_string(), "this is neither a GGUF file nor a model directory"))
}

/// Refuses a request for rows that the tensor does not have, or with a buffer of another length.
pub(crate) fn check_request(tensor: &SourceTensor, rows: &Range<usize>, out: &[f32]) -> Result<()> {
    let expected = &tensor.expected;
    let refuse = |what, given, needed| Error::Core {
        context: expected.name.clone(),
        source: qint_core::Error::Length { what, given, needed },
    };
    if rows.start > rows.end || rows.end > expected.rows {
        return Err(refuse("the tensor", expected.rows, rows.end.max(rows.start)));
    }
    match rows.len() * expected.cols {
        needed if needed == out.len() => Ok(()),
        needed => Err(refuse("the buffer for rows", out.len(), needed)),
    }
}

/// Refuses NaN and infinity in what was read of `tensor` from row `first` on.
pub(crate) fn check_finite(tensor: &SourceTensor, first: usize, out: &[f32]) -> Result<()> {
    match out.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let (row, column) = (first + at / tensor.expected.cols, at % tensor.expected.cols);
            let why = format!("row {row}, column {column} is {}", out[at]);
            Err(Error::malformed(&tensor.expected.name, why))
        }
    }
}

/// The rows of one tensor as little-endian f32.
fn hash_rows<S: Source + ?Sized>(source: &S, index: usize, tensor: &ExpectedTensor, hash: &mut Sha256) -> Result<()> {
    let mut values = vec![0.0; tensor.cols];
    for row in 0..tensor.rows {
        source.read_rows(index, row..row + 1, &mut values)?;
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    Ok(())
}
