//! Reading: a file becomes a checked view of its matrices, norms and assets, without copying any of them.
use super::{
    ASSET_PREFIX,
    header::{Header, Kind, Shape, TENSOR_ALIGN, Tensor, hex},
    manifest::Manifest,
    plan::{self, Part},
};
use crate::{
    Error, Result, limits,
    mapping::{Loading, Mapping, values},
    quantize::shared_input,
};
use qint_core::matrix::{Matrix, QMatrix};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, ops::Range, path::Path};

/// An open model file. Every name, number, shape and place in it was checked; only the weights themselves can be anything,
/// and any bytes are legal weights.
#[derive(Debug)]
pub struct Container {
    mapping: Mapping,
    what: String,
    manifest: Manifest,
    /// Tensors but for the pads, in bytes of the file.
    tensors: HashMap<String, Range<usize>>,
    pads: Vec<Range<usize>>,
    /// Positions in the manifest.
    matrices: HashMap<String, usize>,
}

impl Container {
    /// Opens the container at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Io`]; [`Error::Malformed`] or [`Error::Core`] if anything in it breaks the format;
    /// [`Error::Unsupported`] if it is another safetensors file or of a later version.
    ///
    /// # Examples
    /// ```no_run
    /// # fn main() -> qint_std::Result<()> {
    /// use qint_std::{container::Container, mapping::Loading};
    /// let container = Container::open("model.qint.safetensors".as_ref(), Loading::Map)?;
    /// println!("{} layers", container.manifest().config.architecture.layers);
    /// println!("{} hashes checked", container.verify()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: &Path, loading: Loading) -> Result<Container> {
        Container::from_mapping(Mapping::open(path, loading)?, path.display().to_string())
    }

    /// A container whose file is in memory; its bytes are copied.
    ///
    /// # Errors
    /// As [`open`](Container::open), and [`Error::Resources`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Container> {
        let what = "the container in memory";
        Container::from_mapping(Mapping::copy(bytes, what)?, what.to_owned())
    }

    fn from_mapping(mapping: Mapping, what: String) -> Result<Container> {
        let Header { manifest, tensors, data_start } = Header::parse(&mapping, &what)?;
        let manifest = Manifest::from_json(&manifest)?;
        check_shared_inputs(&manifest)?;
        let mut found: HashMap<&str, &Tensor> = HashMap::with_capacity(tensors.len());
        found.extend(tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)));
        plan::parts(&manifest)?.iter().try_for_each(|part| take(&mut found, part))?;
        found.into_values().try_for_each(check_extra)?;
        let (pads, tensors): (Vec<_>, Vec<_>) = tensors.into_iter().partition(Tensor::is_pad);
        let place = |tensor: &Tensor| tensor.range.start + data_start..tensor.range.end + data_start;
        let container = Container {
            pads: pads.iter().map(place).collect(),
            tensors: tensors
                .into_iter()
                .map(|tensor| (place(&tensor), tensor.name))
                .map(|(at, name)| (name, at))
                .collect(),
            matrices: manifest.matrices.iter().enumerate().map(|(i, matrix)| (matrix.name.clone(), i)).collect(),
            mapping,
            what,
            manifest,
        };
        container.check_hash_names()?;
        container.check_numbers()?;
        Ok(container)
    }

    /// What the container says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.mapping.len()
    }

    /// The quantized matrix of that Hugging Face name.
    pub fn matrix(&self, name: &str) -> Option<Matrix<'_>> {
        self.checked_matrix(name).ok()?
    }

    /// The norm gains of that Hugging Face name.
    pub fn norm(&self, name: &str) -> Option<&[f32]> {
        let is_norm = !name.starts_with(ASSET_PREFIX) && !name.ends_with(".panels") && !name.ends_with(".row_scales");
        values(self.tensor(name).filter(|_| is_norm)?)
    }

    /// A file that was carried along, by its name, for example `tokenizer.json`.
    pub fn asset(&self, name: &str) -> Option<&[u8]> {
        self.tensor(&format!("{ASSET_PREFIX}{name}"))
    }

    /// Reads all data, compares every hash and returns how many there were. Pads must be zeros.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the first tensor that differs.
    pub fn verify(&self) -> Result<usize> {
        use rayon::prelude::*;
        self.manifest.hashes.par_iter().try_for_each(|hash| {
            let found = self.tensor(&hash.name).map(|bytes| hex(&Sha256::digest(bytes)));
            match found {
                Some(found) if found == hash.sha256 => Ok(()),
                _ => Err(Error::malformed(
                    format!("{}: tensor {}", self.what, limits::shown(&hash.name)),
                    "its bytes do not match its SHA-256",
                )),
            }
        })?;
        if self.pads.iter().any(|pad| self.mapping[pad.clone()].iter().any(|byte| *byte != 0)) {
            return Err(Error::malformed(&self.what, "a pad is not zero"));
        }
        Ok(self.manifest.hashes.len())
    }

    fn tensor(&self, name: &str) -> Option<&[u8]> {
        self.mapping.get(self.tensors.get(name)?.clone())
    }

    fn checked_matrix(&self, name: &str) -> Result<Option<Matrix<'_>>> {
        let Some(info) = self.matrices.get(name).and_then(|index| self.manifest.matrices.get(*index)) else {
            return Ok(None);
        };
        let panels = self.tensor(&plan::panels_name(name)).unwrap_or_default();
        let row_scales = self.tensor(&plan::row_scales_name(name)).and_then(values).unwrap_or_default();
        let matrix = QMatrix::new(info.layout, panels, row_scales).map_err(Error::core(limits::shown(name)))?;
        Ok(Some(Matrix::Quantized(matrix, info.activation)))
    }

    /// The manifest lists every tensor but the pads exactly once.
    fn check_hash_names(&self) -> Result<()> {
        let wrong = |why: String| Error::malformed(&self.what, why);
        let mut missing: HashMap<&str, ()> = self.tensors.keys().map(|name| (name.as_str(), ())).collect();
        for hash in &self.manifest.hashes {
            if missing.remove(hash.name.as_str()).is_none() {
                return Err(wrong(format!(
                    "a hash for {}, which is no tensor or listed twice",
                    limits::shown(&hash.name)
                )));
            }
        }
        match missing.keys().next() {
            Some(name) => Err(wrong(format!("no hash for tensor {}", limits::shown(name)))),
            None => Ok(()),
        }
    }

    /// Row scales are in range and norms are finite.
    fn check_numbers(&self) -> Result<()> {
        for tensor in self.manifest.config.expected_tensors() {
            if !tensor.role.is_norm() {
                self.checked_matrix(&tensor.name)?;
            } else if !self.norm(&tensor.name).unwrap_or_default().iter().all(|gain| gain.is_finite()) {
                return Err(Error::malformed(format!("{}: {}", self.what, tensor.name), "a gain is NaN or infinite"));
            }
        }
        Ok(())
    }
}

/// Removes a tensor that must be there in this type and shape.
fn take(found: &mut HashMap<&str, &Tensor>, part: &Part) -> Result<()> {
    let wrong = |why: String| Error::malformed(format!("tensor {}", part.name), why);
    let tensor = found.remove(part.name.as_str()).ok_or_else(|| wrong("it is missing".into()))?;
    if (tensor.kind, tensor.shape) == (part.kind, part.shape) {
        Ok(())
    } else {
        Err(wrong(format!("{:?} {:?} instead of {:?} {:?}", tensor.kind, tensor.shape, part.kind, part.shape)))
    }
}

/// Beside the model's tensors there are only assets and pads.
fn check_extra(tensor: &Tensor) -> Result<()> {
    let bytes = matches!((tensor.kind, tensor.shape), (Kind::U8, Shape::One(_)));
    let known = tensor.name.starts_with(ASSET_PREFIX) || tensor.is_pad() && tensor.range.len() < TENSOR_ALIGN;
    if bytes && known {
        return Ok(());
    }
    Err(Error::malformed(format!("tensor {}", limits::shown(&tensor.name)), "no part of the model, no asset, no pad"))
}

fn check_shared_inputs(manifest: &Manifest) -> Result<()> {
    let mut formats = HashMap::new();
    let activations: HashMap<_, _> =
        manifest.matrices.iter().map(|matrix| (matrix.name.as_str(), matrix.activation)).collect();
    for tensor in manifest.config.expected_tensors() {
        let Some((input, activation)) = shared_input(tensor.role).zip(activations.get(tensor.name.as_str())) else {
            continue;
        };
        if formats.entry(input).or_insert(activation) != &activation {
            let why = format!("{} of layer {} disagree on their input", input.1, input.0);
            return Err(Error::malformed("the manifest", why));
        }
    }
    Ok(())
}
