//! The tensors of a GGUF file under their Hugging Face names, with positions that are inside the file.
use super::{
    blocks::Stored,
    parse::{Header, TensorInfo, malformed},
};
use crate::{
    Error, Result,
    config::{ExpectedTensor, Role},
    limits::shown,
    source::{Floats, Found, FoundTensors},
};
use std::ops::Range;

/// What the file holds.
pub(super) struct Layout {
    pub(super) found: FoundTensors<Region>,
    /// The divisors of the rotary frequencies, where the file has them.
    pub(super) rope_factors: Option<Vec<f32>>,
}

/// Where and how a tensor is stored, as the file claims.
pub(super) struct Region {
    kind: u32,
    offset: u64,
}

impl Layout {
    /// Sorts the tensors of `header`. Biases are refused: the forward pass has none.
    pub(super) fn new(header: &Header<'_>, file: &[u8]) -> Result<Layout> {
        let mut layout = Layout { found: FoundTensors::new(), rope_factors: None };
        for info in &header.tensors {
            if info.name == "rope_freqs.weight" {
                layout.rope_factors = Some(rope_factors(info, header.data, file)?);
                continue;
            }
            if info.name.ends_with(".bias") {
                return Err(Error::unsupported(format!("the bias {}", shown(info.name)), ""));
            }
            let name = role(info.name).map_or_else(|| info.name.to_owned(), Role::name);
            let shape = info.dimensions.iter().rev().copied().collect();
            let found = Found { shape, stored: Region { kind: info.kind, offset: info.offset } };
            if layout.found.insert(name, found).is_some() {
                return Err(malformed(format!("tensor {} is there twice", shown(info.name))));
            }
        }
        Ok(layout)
    }

    /// Rows of the embedding matrix.
    pub(super) fn vocabulary(&self) -> Result<usize> {
        match self.found.get(&Role::Embedding.name()).map(|found| found.shape.as_slice()) {
            Some(&[rows, _]) => Ok(rows),
            _ => Err(malformed("token_embd.weight is missing or not a matrix")),
        }
    }

    pub(super) fn has_head(&self) -> bool {
        self.found.contains_key(&Role::Head.name())
    }
}

impl Region {
    /// The format and byte range of `tensor` in a file of `file` bytes whose data begins at `data`.
    pub(super) fn place(&self, tensor: &ExpectedTensor, data: usize, file: usize) -> Result<(Stored, Range<usize>)> {
        let stored = Stored::from_number(self.kind).map_err(|format| {
            let readable = "readable are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";
            Error::unsupported(format!("tensor {} stored as {format}", tensor.name), readable)
        })?;
        let row = stored.bytes(tensor.cols).ok_or_else(|| {
            malformed(format!("{} has {} columns, not whole blocks of {}", tensor.name, tensor.cols, stored.name()))
        })?;
        let range = range(data, self.offset, row.checked_mul(tensor.rows), file);
        let outside = || malformed(format!("tensor {} ends behind the end of the file", tensor.name));
        Ok((stored, range.ok_or_else(outside)?))
    }
}

fn range(data: usize, offset: u64, length: Option<usize>, file: usize) -> Option<Range<usize>> {
    let start = data.checked_add(usize::try_from(offset).ok()?)?;
    let end = start.checked_add(length?)?;
    (end <= file).then_some(start..end)
}

fn rope_factors(info: &TensorInfo<'_>, data: usize, file: &[u8]) -> Result<Vec<f32>> {
    let &[count] = info.dimensions.as_slice() else {
        return Err(malformed("rope_freqs.weight is not a vector"));
    };
    if info.kind != 0 {
        return Err(Error::unsupported("rope_freqs.weight that is not stored as F32", ""));
    }
    let range = range(data, info.offset, count.checked_mul(4), file.len())
        .ok_or_else(|| malformed("rope_freqs.weight ends behind the end of the file"))?;
    let mut factors = vec![0.0; count];
    Floats::F32.read(&file[range], &mut factors);
    Ok(factors)
}

fn role(name: &str) -> Option<Role> {
    match name {
        "token_embd.weight" => return Some(Role::Embedding),
        "output_norm.weight" => return Some(Role::FinalNorm),
        "output.weight" => return Some(Role::Head),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer = layer.parse().ok()?;
    Some(match part {
        "attn_norm.weight" => Role::AttentionNorm(layer),
        "attn_q.weight" => Role::Q(layer),
        "attn_k.weight" => Role::K(layer),
        "attn_v.weight" => Role::V(layer),
        "attn_output.weight" => Role::O(layer),
        "ffn_norm.weight" => Role::MlpNorm(layer),
        "ffn_gate.weight" => Role::Gate(layer),
        "ffn_up.weight" => Role::Up(layer),
        "ffn_down.weight" => Role::Down(layer),
        _ => return None,
    })
}
