//! Any source → a directory with `manifest.json` and `weights.npz`.
use super::{
    MANIFEST, WEIGHTS, array,
    manifest::{FORMAT, Manifest, Tensor, VERSION},
};
use crate::{
    Error, Result,
    atomic_file::AtomicFile,
    container::json::Bounded,
    source::{Floats, Source, SourceTensor},
};
use half::f16;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// f32 numbers that are read at once.
const CHUNK: usize = 1 << 18;
/// Numbers start at a multiple of this, so that they can be used where they are mapped.
const ALIGN: u16 = 64;
const ASSETS: [&str; 4] = ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"];

/// Writes `source` to `directory`, which is created if it is not there. Tensors that are stored as f16 become f16 arrays, all
/// others f32; no number changes. With `replace`, files of an earlier export are replaced.
///
/// The manifest is written last: a directory without it is no model.
///
/// # Errors
/// [`Error::OutputExists`] without `replace`; [`Error::Malformed`] for NaN or infinity in a tensor; [`Error::Io`].
///
/// # Examples
/// ```
/// # fn main() -> qint_std::Result<()> {
/// # let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/llama2");
/// # let directory = std::env::temp_dir().join(format!("qint-npz-example-{}", std::process::id()));
/// use qint_std::{npz, source};
/// npz::export(&*source::open(checkpoint.as_ref())?, &directory, false)?;
/// let again = source::open(&directory)?;
/// assert_eq!(again.tensors().len(), 21);
/// # std::fs::remove_dir_all(&directory).map_err(qint_std::Error::io(&directory))?;
/// # Ok(())
/// # }
/// ```
pub fn export(source: &dyn Source, directory: &Path, replace: bool) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io(directory))?;
    let manifest_path = directory.join(MANIFEST);
    let manifest_file = AtomicFile::create(&manifest_path, replace)?;
    for name in ASSETS {
        if let Some(content) = source.asset(name) {
            write_file(AtomicFile::create(&directory.join(name), replace)?, &content)?;
        }
    }
    write_arrays(source, &directory.join(WEIGHTS), replace)?;
    let json = serde_json::to_vec_pretty(&manifest(source)?).map_err(io::Error::from);
    write_file(manifest_file, &json.map_err(Error::io(&manifest_path))?)
}

fn write_file(mut file: AtomicFile, content: &[u8]) -> Result<()> {
    let path = file.target().to_owned();
    file.write_all(content).map_err(Error::io(path))?;
    file.commit()
}

fn manifest(source: &dyn Source) -> Result<Manifest> {
    let config = match source.asset("config.json") {
        None => None,
        Some(json) => Some(serde_json::from_slice(&json).map_err(|error| Error::malformed("config.json", error))?),
    };
    let tensor = |tensor: &SourceTensor| {
        (tensor.expected.name.clone(), Tensor { shape: shape(tensor), dtype: floats(tensor).name().into() })
    };
    Ok(Manifest {
        format: FORMAT.into(),
        version: VERSION,
        architecture: Some(Bounded(source.config().to_json())),
        config,
        tensors: source.tensors().iter().map(tensor).collect::<BTreeMap<_, _>>(),
    })
}

fn write_arrays(source: &dyn Source, path: &Path, replace: bool) -> Result<()> {
    let mut zip = ZipWriter::new(BufWriter::new(AtomicFile::create(path, replace)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(true)
        .with_alignment(ALIGN);
    let failed = |error: zip::result::ZipError| Error::io(path)(error.into());
    for (index, tensor) in source.tensors().iter().enumerate() {
        zip.start_file(format!("{}.npy", tensor.expected.name), options).map_err(failed)?;
        zip.write_all(&array::write(floats(tensor), &shape(tensor))).map_err(Error::io(path))?;
        write_numbers(source, index, &mut zip, path)?;
    }
    let file = zip.finish().map_err(failed)?;
    file.into_inner().map_err(|error| Error::io(path)(error.into_error()))?.commit()
}

fn write_numbers(source: &dyn Source, index: usize, out: &mut impl Write, path: &Path) -> Result<()> {
    let tensor = &source.tensors()[index];
    let (rows, cols) = (tensor.expected.rows, tensor.expected.cols);
    let step = (CHUNK / cols).max(1);
    let mut values = vec![0.0; step.min(rows) * cols];
    let mut bytes = Vec::new();
    for first in (0..rows).step_by(step) {
        let count = step.min(rows - first);
        let values = &mut values[..count * cols];
        source.read_rows(index, first..first + count, values)?;
        bytes.clear();
        match floats(tensor) {
            Floats::F16 => bytes.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
            _ => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        out.write_all(&bytes).map_err(Error::io(path))?;
    }
    Ok(())
}

fn floats(tensor: &SourceTensor) -> Floats {
    if tensor.stored == Floats::F16.name() { Floats::F16 } else { Floats::F32 }
}

fn shape(tensor: &SourceTensor) -> Vec<usize> {
    let expected = &tensor.expected;
    if expected.role.is_norm() { vec![expected.cols] } else { vec![expected.rows, expected.cols] }
}
