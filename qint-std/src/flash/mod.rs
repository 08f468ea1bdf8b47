//! A container becomes a flash image `*.qfw` that firmware reads where it lies ([`qint_core::flash`]).
//!
//! [`Needs::of`] says from shapes alone what flash and RAM a model takes, so that a choice can be made before anything is
//! converted: [`choose`] takes the best codec and KV cache that fit a [`Budget`]. [`image`] copies the panels as they are;
//! [`emit`] turns the bytes into source code.
mod choice;
pub mod emit;
mod needs;

pub use choice::{Budget, Choice, choose};
pub use needs::Needs;

use crate::{
    Error, Result,
    config::Role,
    container::Container,
    quantize::Assignment,
    tokenizer::{Pieces, Tokenizer},
};
use qint_core::{
    activation::ActivationFormat,
    flash::{FlashHeader, MAX_END_TOKENS, PART_ALIGN, format_bytes},
    layout::Layout,
    llama::KvKind,
    matrix::Matrix,
};

/// A matrix as an image needs to know it.
pub type Shape = (Layout, ActivationFormat);

/// What a firmware is to hold besides the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Positions of KV cache.
    pub capacity: usize,
    /// How keys and values are kept.
    pub kv: KvKind,
}

/// The matrices that a recipe would make, in the model's order.
///
/// # Errors
/// [`Error::Core`] if a matrix can't be addressed.
pub fn shapes(assignments: &[Assignment]) -> Result<Vec<Shape>> {
    let shape = |assignment: &Assignment| {
        let Assignment { name, rows, cols, scheme, activation, .. } = assignment;
        let layout = Layout::new(*rows, *cols, scheme.codec, scheme.group).map_err(Error::core(name.as_str()))?;
        Ok((layout, *activation))
    };
    assignments.iter().map(shape).collect()
}

/// The vocabulary of a model with this `tokenizer.json`; without one, tokens have no text.
///
/// # Errors
/// As [`Tokenizer::from_bytes`] and [`Tokenizer::pieces`].
pub fn pieces(tokenizer: Option<&[u8]>, vocabulary: usize) -> Result<Pieces> {
    match tokenizer {
        Some(json) => Tokenizer::from_bytes(json)?.pieces(vocabulary),
        None => Ok(Pieces { bytes: vec![Vec::new(); vocabulary], strips_space: false }),
    }
}

/// The image of `container`, for sequences as `session` says.
///
/// # Errors
/// [`Error::Argument`] if `session` is longer than the model's context; [`Error::Unsupported`] for a model that an image
/// can't hold (4 GiB, more than four end tokens); as [`pieces`].
pub fn image(container: &Container, session: Session) -> Result<Vec<u8>> {
    let config = &container.manifest().config;
    let architecture = config.architecture;
    if session.capacity == 0 || session.capacity > architecture.context {
        return Err(Error::Argument {
            what: "the context of a flash image",
            given: session.capacity.to_string(),
            allowed: format!("1 to {} positions are possible", architecture.context),
        });
    }
    let mut ends = [0; MAX_END_TOKENS];
    let too_many = || Error::unsupported(format!("a flash image with {} end tokens", config.eos.len()), "four fit");
    ends.get_mut(..config.eos.len()).ok_or_else(too_many)?.copy_from_slice(&config.eos);
    let pieces = pieces(container.asset("tokenizer.json"), architecture.vocabulary)?;

    let mut data = Vec::new();
    for matrix in &container.manifest().matrices {
        data.extend(format_bytes(&matrix.layout, matrix.activation));
    }
    pad(&mut data);
    let text = append_pieces(&mut data, &pieces);
    for tensor in config.expected_tensors() {
        append_tensor(&mut data, container, tensor.role)?;
    }
    let header = FlashHeader {
        config: architecture,
        capacity: session.capacity,
        kv: session.kv,
        tied_head: config.tied_head,
        start: config.bos,
        ends,
        end_count: config.eos.len(),
        strips_space: pieces.strips_space,
    };
    let too_large = || Error::unsupported("a flash image with a size of 2³² or more", "choose a smaller model");
    let mut image = header.encode(&data, text).ok_or_else(too_large)?.to_vec();
    image.append(&mut data);
    Ok(image)
}

fn append_tensor(data: &mut Vec<u8>, container: &Container, role: Role) -> Result<()> {
    let name = role.name();
    let missing = || Error::malformed(&name, "the tensor is missing");
    if role.is_norm() {
        data.extend(container.norm(&name).ok_or_else(missing)?.iter().flat_map(|gain| gain.to_le_bytes()));
    } else if let Some(Matrix::Quantized(matrix, _)) = container.matrix(&name) {
        data.extend_from_slice(matrix.panels());
        pad(data);
        data.extend(matrix.row_scales().iter().flat_map(|scale| scale.to_le_bytes()));
    } else {
        return Err(missing());
    }
    pad(data);
    Ok(())
}

/// Offsets and text; returns the length of the text.
fn append_pieces(data: &mut Vec<u8>, pieces: &Pieces) -> usize {
    let text = pieces.bytes.concat();
    let mut offset = 0u32;
    data.extend(offset.to_le_bytes());
    for piece in &pieces.bytes {
        offset += piece.len() as u32;
        data.extend(offset.to_le_bytes());
    }
    pad(data);
    data.extend_from_slice(&text);
    pad(data);
    text.len()
}

fn pad(data: &mut Vec<u8>) {
    data.resize(data.len().next_multiple_of(PART_ALIGN), 0);
}

#[cfg(test)]
mod tests;
