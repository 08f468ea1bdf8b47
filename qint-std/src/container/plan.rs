//! Which tensors a container holds, in which order and shape. They follow from the manifest and the assets alone, so the
//! header can be written before the data, and a reader knows what to expect.
use super::{
    ASSET_PREFIX,
    header::{Kind, PAD_PREFIX, Shape, TENSOR_ALIGN, Tensor},
    manifest::{Manifest, MatrixInfo},
};
use crate::{Error, Result, limits};
use qint_core::layout::PANEL_ROWS;
use std::collections::HashMap;

/// One tensor without its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
}

/// The model's tensors in the order of the architecture: norms, and panels and row scales of matrices.
///
/// # Errors
/// [`Error::Malformed`] if the matrices of the manifest are not those of its configuration.
pub(super) fn parts(manifest: &Manifest) -> Result<Vec<Part>> {
    let mut matrices = HashMap::with_capacity(manifest.matrices.len());
    for matrix in &manifest.matrices {
        if matrices.insert(matrix.name.as_str(), matrix).is_some() {
            return Err(wrong(&matrix.name, "is listed twice".into()));
        }
    }
    let mut parts = Vec::new();
    for tensor in manifest.config.expected_tensors() {
        if tensor.role.is_norm() {
            parts.push(Part { kind: Kind::F32, shape: Shape::One([tensor.cols]), name: tensor.name });
            continue;
        }
        let matrix = matrices.remove(tensor.name.as_str()).ok_or_else(|| wrong(&tensor.name, "is missing".into()))?;
        let (rows, cols) = (matrix.layout.rows(), matrix.layout.cols());
        if (rows, cols) != (tensor.rows, tensor.cols) {
            return Err(wrong(&tensor.name, format!("is {rows}×{cols}, not {}×{}", tensor.rows, tensor.cols)));
        }
        parts.extend(matrix_parts(matrix));
    }
    match matrices.keys().next() {
        Some(name) => Err(wrong(name, "is no matrix of this architecture".into())),
        None => Ok(parts),
    }
}

fn wrong(name: &str, why: String) -> Error {
    Error::malformed("the manifest", format!("matrix {} {why}", limits::shown(name)))
}

fn matrix_parts(matrix: &MatrixInfo) -> [Part; 2] {
    let (name, layout) = (&matrix.name, &matrix.layout);
    [
        Part { name: panels_name(name), kind: Kind::U8, shape: Shape::Two([layout.panels(), layout.panel_bytes()]) },
        Part { name: row_scales_name(name), kind: Kind::F32, shape: Shape::One([layout.panels() * PANEL_ROWS]) },
    ]
}

pub(super) fn panels_name(matrix: &str) -> String {
    format!("{matrix}.panels")
}

pub(super) fn row_scales_name(matrix: &str) -> String {
    format!("{matrix}.row_scales")
}

/// All tensors of a container with their places, pads included: the model, then `assets` (names and lengths).
pub(super) fn tensors(manifest: &Manifest, assets: &[(&str, usize)]) -> Result<Vec<Tensor>> {
    let mut placed = Placed::default();
    parts(manifest)?.into_iter().try_for_each(|part| placed.push(part))?;
    for (name, length) in assets {
        placed.push(Part { name: format!("{ASSET_PREFIX}{name}"), kind: Kind::U8, shape: Shape::One([*length]) })?;
    }
    Ok(placed.tensors)
}

#[derive(Default)]
struct Placed {
    tensors: Vec<Tensor>,
    end: usize,
    pads: usize,
}

impl Placed {
    fn push(&mut self, part: Part) -> Result<()> {
        let pad = self.end.next_multiple_of(TENSOR_ALIGN) - self.end;
        if pad > 0 {
            let name = format!("{PAD_PREFIX}{}", self.pads);
            self.pads += 1;
            self.place(Part { name, kind: Kind::U8, shape: Shape::One([pad]) })?;
        }
        self.place(part)
    }

    fn place(&mut self, part: Part) -> Result<()> {
        let end = part.shape.bytes(part.kind).and_then(|bytes| self.end.checked_add(bytes));
        let end = end.ok_or_else(|| Error::Resources {
            what: part.name.clone(),
            needed: u64::MAX,
            available: usize::MAX as u64,
        })?;
        self.tensors.push(Tensor { name: part.name, kind: part.kind, shape: part.shape, range: self.end..end });
        self.end = end;
        Ok(())
    }
}
