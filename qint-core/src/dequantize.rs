//! Quantized weights back to f32: whole matrices for checks and exports, single rows for embedding look-ups.
use crate::{Error, layout::VECTOR_BYTES, matrix::QMatrix, matrix::expect_length};

/// One row as stored, `padded_cols` numbers: `row_scale · (sub_scale · level)`, the product of integers being exact.
/// (In the transformed domain if the matrix was transformed.)
///
/// # Errors
/// [`Error::Length`], or [`Error::Dimension`] if `row` is not below the rows.
pub fn row(matrix: &QMatrix<'_>, row: usize, out: &mut [f32]) -> Result<(), Error> {
    let layout = matrix.layout();
    if row >= layout.rows() {
        return Err(Error::Dimension { what: "row", given: row, limit: layout.rows() - 1 });
    }
    expect_length("dequantized row", out.len(), layout.padded_cols())?;

    let (codec, panels) = (layout.codec(), matrix.panels());
    let (fields, bits) = (codec.fields(), codec.bits());
    let start = layout.code_position(row, 0).byte;
    let row_scale = matrix.row_scales()[row];
    for (group, out) in out.chunks_mut(layout.group().cols()).enumerate() {
        let sub_scale = panels[layout.sub_scale_position(row, group)].cast_signed();
        let first_quad = group * layout.group().cols() / 4;
        for (quad, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let quad = first_quad + quad;
            let bytes = &panels[start + quad / fields * VECTOR_BYTES..][..4];
            for (weight, byte) in out.iter_mut().zip(bytes) {
                let level = codec.level(byte >> (quad % fields * bits));
                *weight = row_scale * (i32::from(sub_scale) * i32::from(level)) as f32;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{
        codec::{Codec, Group},
        layout::Layout,
        pack::pack_row,
    };
    use std::vec;

    #[test]
    fn a_row_is_row_scale_times_sub_scale_times_level() {
        for codec in Codec::ALL {
            for (cols, group) in [(32, Group::G128), (100, Group::G32), (192, Group::G128), (257, Group::G64)] {
                let layout = Layout::new(19, cols, codec, group).unwrap();
                let codes: vec::Vec<u8> = (0..layout.padded_cols()).map(|col| (col * 37 % 256) as u8).collect();
                let sub_scales: vec::Vec<i8> = (0..layout.groups()).map(|group| 3 - 2 * group as i8).collect();
                let mut panels = vec![0xa5; layout.panels_bytes()];
                pack_row(&layout, 18, &codes, &sub_scales, &mut panels).unwrap();
                let mut row_scales = vec![0.0; layout.padded_rows()];
                row_scales[18] = 0.3;
                let aligned = crate::reference::tests::aligned(&panels);
                let matrix = QMatrix::new(layout, aligned.bytes(), &row_scales).unwrap();

                let mut weights = vec![f32::NAN; layout.padded_cols()];
                row(&matrix, 18, &mut weights).unwrap();
                for (col, &weight) in weights.iter().enumerate() {
                    let integer = i32::from(sub_scales[col / group.cols()]) * i32::from(codec.level(codes[col]));
                    assert_eq!(weight, 0.3 * integer as f32, "{codec:?} {cols} {col}");
                }
                assert!(row(&matrix, 19, &mut weights).is_err());
                assert!(row(&matrix, 18, &mut weights[1..]).is_err());
            }
        }
    }
}
