//! Bytes that writers avoid and readers take: q8 codes of 0 (level −128) and sub-scales of −128. They are no error; a
//! report about a file may want to mention them, because this crate never writes them.
use super::Container;
use qint_core::{
    activation::Transform,
    codec::Codec,
    layout::{PANEL_ROWS, VECTOR_BYTES},
    matrix::Matrix,
};

/// How often they occur in one matrix, padding not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// q8 codes of 0.
    pub codes: u64,
    /// Sub-scales of −128.
    pub sub_scales: u64,
}

impl Container {
    /// Counts them in the matrix of that Hugging Face name, of which everything is read.
    pub fn reserved(&self, name: &str) -> Option<Reserved> {
        let Matrix::Quantized(matrix, format) = self.matrix(name)? else { return None };
        let layout = matrix.layout();
        let cols = if format.transform == Transform::None { layout.cols() } else { layout.padded_cols() };
        let mut found = Reserved::default();
        for (i, panel) in matrix.panels().chunks_exact(layout.panel_bytes()).enumerate() {
            let rows = PANEL_ROWS.min(layout.rows() - i * PANEL_ROWS);
            for sub_scales in panel[..layout.groups() * PANEL_ROWS].chunks_exact(PANEL_ROWS) {
                found.sub_scales += count(&sub_scales[..rows], 0x80);
            }
            if layout.codec() != Codec::Q8 {
                continue;
            }
            let codes = &panel[layout.codes_offset()..][..layout.codes_bytes()];
            for (quad, vector) in codes.chunks_exact(VECTOR_BYTES).enumerate() {
                let used = cols.saturating_sub(4 * quad).min(4);
                for row in vector.chunks_exact(4).take(rows) {
                    found.codes += count(&row[..used], 0);
                }
            }
        }
        Some(found)
    }
}

fn count(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().filter(|byte| **byte == wanted).count() as u64
}
