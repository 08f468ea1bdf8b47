//! What a model takes of a microcontroller, from its shapes alone.
use super::{Session, Shape};
use crate::{Result, config::ModelConfig, engine, tokenizer::Pieces};
use qint_core::flash::{FORMAT_BYTES, HEADER_BYTES, LAYER_BYTES, PART_ALIGN};

/// Bytes of flash and RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The image: weights and vocabulary.
    pub flash: u64,
    /// Keys and values.
    pub kv: u64,
    /// What a step throws away.
    pub workspace: u64,
    /// The logits.
    pub logits: u64,
    /// The views of all layers.
    pub layers: u64,
}

impl Needs {
    /// The needs of a model with these matrices (in the model's order), token by token. Stack and code are not counted.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) for sizes that can't be addressed.
    pub fn of(config: &ModelConfig, shapes: &[Shape], pieces: &Pieces, session: Session) -> Result<Needs> {
        let architecture = &config.architecture;
        let (layers, hidden) = (architecture.layers as u64, architecture.hidden as u64);
        let text: usize = pieces.bytes.iter().map(Vec::len).sum();
        let tables = [HEADER_BYTES, FORMAT_BYTES * shapes.len(), 4 * (pieces.bytes.len() + 1), text];
        let matrices = shapes.iter().flat_map(|(layout, _)| [layout.panels_bytes(), 4 * layout.padded_rows()]);
        let flash: u64 = tables.into_iter().chain(matrices).map(|bytes| padded(bytes as u64)).sum();
        Ok(Needs {
            flash: flash + (2 * layers + 1) * padded(4 * hidden),
            kv: engine::Session::bytes(architecture, session.kv, session.capacity)?,
            workspace: engine::workspace_bytes(architecture, 1)?,
            logits: 4 * architecture.vocabulary as u64,
            layers: layers * LAYER_BYTES as u64,
        })
    }

    /// All RAM together.
    pub const fn ram(&self) -> u64 {
        self.kv + self.workspace + self.logits + self.layers
    }
}

fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(PART_ALIGN as u64)
}
