//! Where the code and the sub-scale of a weight lie: shapes become byte positions inside panels.
//!
//! A panel is 16 rows: `[sub-scales: groups × 16 i8, group-major][pad to 64][codes: 16·K·bits/8 bytes][pad to 64]`, K being
//! the columns padded to a multiple of 32. The code bytes form vectors of 64 bytes; with F = 8/bits fields a byte, byte j
//! of vector v holds in field f the code of row j/4, column 4·(v·F + f) + j%4. So one 32-bit word of a decoded vector is
//! a quad: four neighbouring columns of one row.
use crate::{
    Error,
    codec::{Codec, Group},
};

/// Rows in a panel: one SIMD lane is one row.
pub const PANEL_ROWS: usize = 16;
/// Panels start at multiples of this many bytes, and vectors of codes are this long.
pub const VECTOR_BYTES: usize = 64;
/// Columns are padded to a multiple of this.
pub const COLUMN_STEP: usize = 32;
/// The largest number of rows or columns of a matrix.
pub const MAX_DIMENSION: usize = 1 << 24;

/// Shape and codec of a quantized matrix, and the byte positions that follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    rows: usize,
    cols: usize,
    codec: Codec,
    group: Group,
}

/// A code's place: a byte of the panels and the number of its lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePosition {
    /// Byte offset from the start of the panels.
    pub byte: usize,
    /// Lowest bit of the code in that byte.
    pub bit: usize,
}

impl Layout {
    /// The layout of a `rows` × `cols` matrix.
    ///
    /// # Errors
    /// [`Error::Dimension`] if a dimension is 0 or above [`MAX_DIMENSION`], or if the panels would not fit `usize`.
    pub const fn new(rows: usize, cols: usize, codec: Codec, group: Group) -> Result<Layout, Error> {
        if rows == 0 || rows > MAX_DIMENSION {
            return Err(Error::Dimension { what: "rows", given: rows, limit: MAX_DIMENSION });
        }
        if cols == 0 || cols > MAX_DIMENSION {
            return Err(Error::Dimension { what: "columns", given: cols, limit: MAX_DIMENSION });
        }
        let layout = Layout { rows, cols, codec, group };
        let limit = isize::MAX as usize / layout.panel_bytes();
        if layout.panels() > limit {
            return Err(Error::Dimension { what: "panels", given: layout.panels(), limit });
        }
        Ok(layout)
    }

    /// Rows (outputs, N), not padded.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns (inputs, K), not padded.
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The codec of every code.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Columns that share a sub-scale.
    pub const fn group(&self) -> Group {
        self.group
    }

    /// Rows padded to a multiple of 16.
    pub const fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(PANEL_ROWS)
    }

    /// Columns padded to a multiple of 32.
    pub const fn padded_cols(&self) -> usize {
        padded_cols(self.cols)
    }

    /// Number of panels.
    pub const fn panels(&self) -> usize {
        self.padded_rows() / PANEL_ROWS
    }

    /// Groups in a row; the last may be shorter than the others.
    pub const fn groups(&self) -> usize {
        self.padded_cols().div_ceil(self.group.cols())
    }

    /// Bytes from the start of a panel to its codes.
    pub const fn codes_offset(&self) -> usize {
        (self.groups() * PANEL_ROWS).next_multiple_of(VECTOR_BYTES)
    }

    /// Bytes of a panel's codes, a multiple of 64.
    pub const fn codes_bytes(&self) -> usize {
        PANEL_ROWS * self.padded_cols() / self.codec.fields()
    }

    /// Bytes of one panel, a multiple of 64.
    pub const fn panel_bytes(&self) -> usize {
        (self.codes_offset() + self.codes_bytes()).next_multiple_of(VECTOR_BYTES)
    }

    /// Bytes of all panels.
    pub const fn panels_bytes(&self) -> usize {
        self.panels() * self.panel_bytes()
    }

    /// Where the code of (`row`, `col`) lies; both may be padding.
    pub const fn code_position(&self, row: usize, col: usize) -> CodePosition {
        let fields = self.codec.fields();
        let quad = col / 4;
        let byte_in_vector = row % PANEL_ROWS * 4 + col % 4;
        CodePosition {
            byte: row / PANEL_ROWS * self.panel_bytes()
                + self.codes_offset()
                + quad / fields * VECTOR_BYTES
                + byte_in_vector,
            bit: quad % fields * self.codec.bits(),
        }
    }

    /// Where the sub-scale of (`row`, `group`) lies, in bytes from the start of the panels.
    pub const fn sub_scale_position(&self, row: usize, group: usize) -> usize {
        row / PANEL_ROWS * self.panel_bytes() + group * PANEL_ROWS + row % PANEL_ROWS
    }
}

/// `cols` padded to a multiple of 32.
pub const fn padded_cols(cols: usize) -> usize {
    cols.next_multiple_of(COLUMN_STEP)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::pack::pack_row;
    use std::{collections::HashSet, vec, vec::Vec};

    /// The worked example of docs/format.md.
    #[test]
    fn the_documented_example_has_the_documented_bytes() {
        let layout = Layout::new(2, 40, Codec::Q4, Group::G32).unwrap();
        assert_eq!((layout.padded_cols(), layout.codes_offset(), layout.panels_bytes()), (64, 64, 576));
        let mut panels = vec![0; 576];
        let ascending: Vec<u8> = (0..64).map(|col| col % 16).collect();
        let descending: Vec<u8> = ascending.iter().map(|code| 15 - code).collect();
        pack_row(&layout, 0, &ascending, &[100, -3], &mut panels).unwrap();
        pack_row(&layout, 1, &descending, &[7, -128], &mut panels).unwrap();

        let mut expected = vec![0; 576];
        expected[..2].copy_from_slice(&[0x64, 0x07]);
        expected[16..18].copy_from_slice(&[0xfd, 0x80]);
        for vector in [64, 192, 320, 448] {
            expected[vector..vector + 8].copy_from_slice(&[0x40, 0x51, 0x62, 0x73, 0xbf, 0xae, 0x9d, 0x8c]);
            expected[vector + 64..vector + 72].copy_from_slice(&[0xc8, 0xd9, 0xea, 0xfb, 0x37, 0x26, 0x15, 0x04]);
        }
        assert_eq!(panels, expected);
    }

    /// Every code and sub-scale has a place of its own, and the codes fill their part of the panel.
    #[test]
    fn places_are_distinct_and_leave_no_gap() {
        for codec in Codec::ALL {
            for (rows, cols) in [(1, 1), (16, 32), (17, 33), (33, 257)] {
                for group in Group::ALL {
                    let layout = Layout::new(rows, cols, codec, group).unwrap();
                    let mut codes = HashSet::new();
                    let mut sub_scales = HashSet::new();
                    for row in 0..layout.padded_rows() {
                        for col in 0..layout.padded_cols() {
                            let CodePosition { byte, bit } = layout.code_position(row, col);
                            let in_panel = byte % layout.panel_bytes();
                            assert!(in_panel >= layout.codes_offset() && bit + codec.bits() <= 8);
                            assert_eq!(byte / layout.panel_bytes(), row / PANEL_ROWS);
                            assert!(codes.insert((byte, bit)));
                        }
                        for group in 0..layout.groups() {
                            let byte = layout.sub_scale_position(row, group);
                            assert!(byte % layout.panel_bytes() < layout.groups() * PANEL_ROWS);
                            assert!(sub_scales.insert(byte));
                        }
                    }
                    assert_eq!(codes.len() * codec.bits(), layout.panels() * layout.codes_bytes() * 8);
                    assert!(layout.panel_bytes().is_multiple_of(VECTOR_BYTES));
                    assert_eq!(layout.codes_bytes() + layout.codes_offset(), layout.panel_bytes());
                }
            }
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for (rows, cols) in [(0, 1), (1, 0), (MAX_DIMENSION + 1, 1), (1, MAX_DIMENSION + 1)] {
            assert!(Layout::new(rows, cols, Codec::Q8, Group::G32).is_err());
        }
        let largest = Layout::new(MAX_DIMENSION, MAX_DIMENSION, Codec::Q8, Group::G32);
        assert_eq!(largest.is_ok(), usize::BITS == 64);
    }
}
