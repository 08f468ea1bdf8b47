//! Products and rows on the caller's buffers have the bits of qint-core's reference and of all its backends.
use crate::shared::{Raw, last_error};
use qint_capi::*;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Activations, SUM_COLS, Transform, padded_tokens, quantize_tokens},
    backend::Backend,
    codec::{Codec, Group},
    dequantize, hadamard, kernel,
    layout::Layout,
    matrix::QMatrix,
    reference,
    team::RowsMut,
};

const CODECS: [(u32, Codec); 6] = [
    (QINT_Q8, Codec::Q8),
    (QINT_Q4, Codec::Q4),
    (QINT_Q4_LINEAR, Codec::Q4Linear),
    (QINT_Q2, Codec::Q2),
    (QINT_Q2_LINEAR, Codec::Q2Linear),
    (QINT_Q1, Codec::Q1),
];
const ROWS: usize = 37;
const COLS: usize = 300;
const TOKENS: usize = 5;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What qint-core's backend gives for the same bytes, after a comparison with the reference.
fn product(backend: Backend, matrix: &QMatrix<'_>, x: &[f32]) -> Vec<f32> {
    let (layout, format) =
        (*matrix.layout(), ActivationFormat { transform: Transform::Hadamard, block: ActivationBlock::B256 });
    let (cols, room) = (layout.padded_cols(), padded_tokens(TOKENS));
    let mut padded = vec![0.0; TOKENS * cols];
    for (padded, x) in padded.chunks_mut(cols).zip(x.chunks(COLS)) {
        padded[..COLS].copy_from_slice(x);
    }
    let (mut codes, mut scales) = (vec![0; room * cols], vec![0.0; room * cols.div_ceil(format.block.cols())]);
    let mut sums = vec![0; room * cols / SUM_COLS];
    quantize_tokens(backend, TOKENS, &mut padded, format, &mut codes, &mut scales, &mut sums).unwrap();
    let activations = Activations::new(TOKENS, cols, format.block, &codes, &scales, &sums).unwrap();
    let mut y = vec![0.0; TOKENS * ROWS];
    kernel::matmul(backend, matrix, &activations, 0..layout.panels(), &mut RowsMut::whole(&mut y, ROWS));
    for (index, y) in y.iter().enumerate() {
        let expected = reference::dot(matrix, index % ROWS, &activations, index / ROWS);
        assert_eq!(y.to_bits(), expected.to_bits(), "{}: {index}", backend.name());
    }
    y
}

#[test]
fn products_are_those_of_the_reference() {
    for (codec, core_codec) in CODECS {
        let raw = Raw::new(ROWS as u32, COLS as u32, codec, TOKENS);
        let matrix = raw.matrix();
        let x: Vec<f32> = (0..TOKENS * COLS).map(|i| (i * 29 % 53) as f32 / 16.0 - 1.5).collect();
        let (mut y, mut workspace) = (vec![0.0f32; TOKENS * ROWS], vec![0.0f32; raw.sizes.workspace]);
        let (w, n) = (workspace.as_mut_ptr(), workspace.len());
        let code = unsafe { qint_matmul(&matrix, TOKENS, x.as_ptr(), x.len(), y.as_mut_ptr(), y.len(), w, n) };
        assert_eq!(code, QINT_OK, "{}", last_error());
        for (token, (x, y)) in x.chunks(COLS).zip(y.chunks(ROWS)).enumerate() {
            let mut one = [0.0f32; ROWS];
            let code = unsafe { qint_matvec(&matrix, x.as_ptr(), COLS, one.as_mut_ptr(), ROWS, w, n) };
            assert_eq!((code, bits(&one)), (QINT_OK, bits(y)), "token {token}");
        }

        let layout = Layout::new(ROWS, COLS, core_codec, Group::G32).unwrap();
        let panels = unsafe { std::slice::from_raw_parts(raw.panels.as_ptr().cast::<u8>(), raw.sizes.panels) };
        let view = QMatrix::new(layout, panels, &raw.row_scales).unwrap();
        for backend in Backend::available() {
            assert_eq!(bits(&product(backend, &view, &x)), bits(&y), "codec {codec}, {}", backend.name());
        }
        rows_are_those_of_qint_core(&matrix, &view);
    }
}

fn rows_are_those_of_qint_core(matrix: &qint_matrix, view: &QMatrix<'_>) {
    let portable = Backend::from_name("portable").unwrap();
    let cols = view.layout().padded_cols();
    let (mut found, mut expected) = (vec![1.0f32; cols], vec![2.0f32; cols]);
    for row in 0..ROWS {
        assert_eq!(unsafe { qint_dequantize_row(matrix, row, found.as_mut_ptr(), cols) }, QINT_OK);
        dequantize::row(view, row, &mut expected).unwrap();
        hadamard::transform(portable, &mut expected);
        assert_eq!(bits(&found), bits(&expected), "row {row}");
    }
}

#[test]
fn eight_bits_keep_what_was_quantized() {
    let raw = Raw::new(ROWS as u32, COLS as u32, QINT_Q8, 1);
    let (matrix, mut weights) = (raw.matrix(), vec![0.0f32; raw.sizes.padded_cols as usize]);
    for (row, original) in raw.weights.chunks(COLS).enumerate() {
        assert_eq!(unsafe { qint_dequantize_row(&matrix, row, weights.as_mut_ptr(), weights.len()) }, QINT_OK);
        // Codes and sub-scales have 8 bits each: on average half a percent of a row is lost.
        let (found, original) = (&weights[..COLS], original.iter());
        let lost: f32 = original.clone().zip(found).map(|(weight, found)| (found - weight).powi(2)).sum();
        let all: f32 = original.map(|weight| weight.powi(2)).sum();
        assert!(lost < all * 0.01f32.powi(2), "row {row}: {lost} of {all}");
    }
}
