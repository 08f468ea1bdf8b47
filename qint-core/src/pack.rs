//! Codes and sub-scales in row order become panels, and back.
//!
//! Both directions visit the codes of one row a quad at a time: four neighbouring bytes of one vector, all in the same
//! bit field ([`crate::layout`] has the order). Packing a row touches no bit of another row.
use crate::{
    Error,
    layout::{Layout, PANEL_ROWS, VECTOR_BYTES},
    matrix::expect_length,
};

/// Writes one row into its place in `panels` ([`Layout::panels_bytes`] bytes): `codes` holds one code per padded column,
/// `sub_scales` one per group. Only the low [`bits`](crate::codec::Codec::bits) of a code are stored.
///
/// # Errors
/// [`Error::Length`], or [`Error::Dimension`] if `row` is not below the padded rows.
pub fn pack_row(layout: &Layout, row: usize, codes: &[u8], sub_scales: &[i8], panels: &mut [u8]) -> Result<(), Error> {
    expect_row(layout, row, codes.len(), sub_scales.len(), panels.len())?;
    for (group, &sub_scale) in sub_scales.iter().enumerate() {
        panels[layout.sub_scale_position(row, group)] = sub_scale.cast_unsigned();
    }
    let mask = code_mask(layout);
    for (codes, (vector, shift)) in codes.as_chunks::<4>().0.iter().zip(quads(layout, row)) {
        for (byte, code) in panels[vector..][..4].iter_mut().zip(codes) {
            *byte = *byte & !(mask << shift) | (code & mask) << shift;
        }
    }
    Ok(())
}

/// Reads one row back; the inverse of [`pack_row`].
///
/// # Errors
/// As [`pack_row`].
///
/// # Example
/// ```
/// use qint_core::{codec::{Codec, Group}, layout::Layout, pack};
/// # fn main() -> Result<(), qint_core::Error> {
/// let layout = Layout::new(20, 32, Codec::Q2, Group::G32)?;
/// let mut panels = vec![0; layout.panels_bytes()];
/// pack::pack_row(&layout, 17, &[2; 32], &[-5], &mut panels)?;
/// let (mut codes, mut sub_scales) = ([0; 32], [0; 1]);
/// pack::unpack_row(&layout, 17, &panels, &mut codes, &mut sub_scales)?;
/// assert_eq!((codes, sub_scales), ([2; 32], [-5]));
/// # Ok(())
/// # }
/// ```
pub fn unpack_row(
    layout: &Layout,
    row: usize,
    panels: &[u8],
    codes: &mut [u8],
    sub_scales: &mut [i8],
) -> Result<(), Error> {
    expect_row(layout, row, codes.len(), sub_scales.len(), panels.len())?;
    for (group, sub_scale) in sub_scales.iter_mut().enumerate() {
        *sub_scale = panels[layout.sub_scale_position(row, group)].cast_signed();
    }
    let mask = code_mask(layout);
    for (codes, (vector, shift)) in codes.as_chunks_mut::<4>().0.iter_mut().zip(quads(layout, row)) {
        for (byte, code) in panels[vector..][..4].iter().zip(codes) {
            *code = byte >> shift & mask;
        }
    }
    Ok(())
}

fn expect_row(layout: &Layout, row: usize, codes: usize, sub_scales: usize, panels: usize) -> Result<(), Error> {
    if row >= layout.padded_rows() {
        return Err(Error::Dimension { what: "row", given: row, limit: layout.padded_rows() - 1 });
    }
    expect_length("codes", codes, layout.padded_cols())?;
    expect_length("sub-scales", sub_scales, layout.groups())?;
    expect_length("panels", panels, layout.panels_bytes())
}

fn code_mask(layout: &Layout) -> u8 {
    u8::MAX >> (8 - layout.codec().bits())
}

/// For every quad of `row` in column order: the position of its first byte and the lowest bit of its field.
fn quads(layout: &Layout, row: usize) -> impl Iterator<Item = (usize, usize)> {
    let start = layout.code_position(row, 0).byte;
    let (fields, bits) = (layout.codec().fields(), layout.codec().bits());
    debug_assert_eq!(start % VECTOR_BYTES, row % PANEL_ROWS * 4);
    (0..layout.padded_cols() / 4).map(move |quad| (start + quad / fields * VECTOR_BYTES, quad % fields * bits))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::codec::{Codec, Group};
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    fn layouts() -> impl Strategy<Value = Layout> {
        (1..70usize, 1..400usize, 0..Codec::ALL.len(), 0..Group::ALL.len()).prop_map(|(rows, cols, codec, group)| {
            Layout::new(rows, cols, Codec::ALL[codec], Group::ALL[group]).unwrap()
        })
    }

    fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), len)
    }

    proptest! {
        /// What was packed comes back, whatever was in the panels before, and every code lies where the layout says.
        #[test]
        fn a_row_survives_the_round_trip(
            (layout, row, codes, sub_scales, before) in layouts().prop_flat_map(|layout| (
                Just(layout),
                0..layout.padded_rows(),
                bytes(layout.padded_cols()),
                prop::collection::vec(any::<i8>(), layout.groups()),
                bytes(layout.panels_bytes()),
            ))
        ) {
            let mut panels = before.clone();
            pack_row(&layout, row, &codes, &sub_scales, &mut panels).unwrap();

            let mut codes_back = vec![0; layout.padded_cols()];
            let mut sub_scales_back = vec![0; layout.groups()];
            unpack_row(&layout, row, &panels, &mut codes_back, &mut sub_scales_back).unwrap();
            let mask = code_mask(&layout);
            prop_assert_eq!(&codes_back, &codes.iter().map(|code| code & mask).collect::<Vec<_>>());
            prop_assert_eq!(&sub_scales_back, &sub_scales);
            for (col, code) in codes_back.iter().enumerate() {
                let position = layout.code_position(row, col);
                prop_assert_eq!(panels[position.byte] >> position.bit & mask, *code);
            }

            // Nothing else changed: restoring the row restores every byte.
            unpack_row(&layout, row, &before, &mut codes_back, &mut sub_scales_back).unwrap();
            pack_row(&layout, row, &codes_back, &sub_scales_back, &mut panels).unwrap();
            prop_assert_eq!(panels, before);
        }
    }

    #[test]
    fn wrong_lengths_and_rows_are_refused() {
        let layout = Layout::new(17, 33, Codec::Q4, Group::G32).unwrap();
        let mut panels = vec![0; layout.panels_bytes()];
        assert!(pack_row(&layout, 31, &[0; 64], &[0; 2], &mut panels).is_ok());
        for (row, codes, sub_scales) in [(32, 64, 2), (0, 33, 2), (0, 64, 1)] {
            let (mut codes, mut sub_scales) = (vec![0; codes], vec![0; sub_scales]);
            assert!(pack_row(&layout, row, &codes, &sub_scales, &mut panels).is_err());
            assert!(unpack_row(&layout, row, &panels, &mut codes, &mut sub_scales).is_err());
        }
        assert!(pack_row(&layout, 0, &[0; 64], &[0; 2], &mut panels[1..]).is_err());
    }
}
