//! Matrices in the caller's memory.
use crate::shared::{self, Raw, last_error};
use qint_capi::*;
use std::ptr::{null, null_mut};

const X: [f32; 70] = [1.0; 70];

/// A matrix of 20 × 70 and the buffers of a product.
struct Buffers {
    raw: Raw,
    y: [f32; 20],
    workspace: Vec<f32>,
}

impl Buffers {
    fn new() -> Buffers {
        let raw = Raw::new(20, 70, QINT_Q4, 1);
        let workspace = vec![0.0; raw.sizes.workspace];
        Buffers { raw, y: [7.0; 20], workspace }
    }

    fn matvec(&mut self, matrix: &qint_matrix) -> i32 {
        let (y, w, n) = (self.y.as_mut_ptr(), self.workspace.as_mut_ptr(), self.workspace.len());
        unsafe { qint_matvec(matrix, X.as_ptr(), 70, y, 20, w, n) }
    }

    fn with_shape(&mut self, shape: &qint_shape) -> i32 {
        let matrix = self.raw.matrix();
        self.matvec(&qint_matrix { shape, ..matrix })
    }

    /// Nothing was written after an error, and all is well.
    fn expect_unharmed(mut self) {
        assert_eq!(self.y, [7.0; 20]);
        let matrix = self.raw.matrix();
        assert_eq!(self.matvec(&matrix), QINT_OK);
        assert_ne!(self.y, [7.0; 20]);
    }
}

#[test]
fn matrices() {
    let mut buffers = Buffers::new();
    let (matrix, sizes) = (buffers.raw.matrix(), buffers.raw.sizes);
    let mut broken = buffers.raw.row_scales.clone();
    broken[3] = f32::INFINITY;
    let panels = vec![0u8; sizes.panels + 4];
    misuses! {
        "a matrix without size" => QINT_ERROR_STRUCT_SIZE, buffers.matvec(&qint_matrix { struct_size: 0, ..matrix });
        "a matrix with something reserved" => QINT_ERROR_ARGUMENT, buffers.matvec(&qint_matrix { reserved: 1, ..matrix });
        "no shape" => QINT_ERROR_NULL, buffers.matvec(&qint_matrix { shape: null(), ..matrix });
        "no panels" => QINT_ERROR_NULL, buffers.matvec(&qint_matrix { panels: null(), ..matrix });
        "too few panels" => QINT_ERROR_LENGTH, buffers.matvec(&qint_matrix { panels_length: 64, ..matrix });
        "misaligned panels" => QINT_ERROR_ALIGNMENT, buffers.matvec(&qint_matrix { panels: panels.as_ptr().wrapping_add(1), ..matrix });
        "no row scales" => QINT_ERROR_NULL, buffers.matvec(&qint_matrix { row_scales: null(), ..matrix });
        "too few row scales" => QINT_ERROR_LENGTH, buffers.matvec(&qint_matrix { row_scales_length: 20, ..matrix });
        "an infinite row scale" => QINT_ERROR_MALFORMED, buffers.matvec(&qint_matrix { row_scales: broken.as_ptr(), ..matrix });
    };
    buffers.expect_unharmed();
}

#[test]
fn shapes() {
    let mut buffers = Buffers::new();
    let shape = buffers.raw.shape;
    misuses! {
        "a shape without size" => QINT_ERROR_STRUCT_SIZE, buffers.with_shape(&qint_shape { struct_size: 3, ..shape });
        "an unknown codec" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { codec: 6, ..shape });
        "an unknown group" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { group: 48, ..shape });
        "an unknown transform" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { transform: 2, ..shape });
        "an unknown block" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { activation_block: 100, ..shape });
        "something reserved" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { reserved: 9, ..shape });
        "no rows" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { rows: 0, ..shape });
        "no columns" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { cols: 0, ..shape });
        "too many rows" => QINT_ERROR_ARGUMENT, buffers.with_shape(&qint_shape { rows: u32::MAX, ..shape });
        "a larger shape than buffers" => QINT_ERROR_LENGTH, buffers.with_shape(&qint_shape { cols: 700, ..shape });
    };
    buffers.expect_unharmed();
}

#[test]
fn sizes() {
    let Raw { shape, mut sizes, .. } = Raw::new(20, 70, QINT_Q4, 1);
    let mut both = [shape; 3];
    let inside = both.as_mut_ptr().cast::<qint_sizes>();
    misuses! {
        "sizes without a shape" => QINT_ERROR_NULL, qint_matrix_sizes(null(), 1, &mut sizes);
        "sizes into null" => QINT_ERROR_NULL, qint_matrix_sizes(&shape, 1, null_mut());
        "sizes of no tokens" => QINT_ERROR_ARGUMENT, qint_matrix_sizes(&shape, 0, &mut sizes);
        "sizes into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_matrix_sizes(&shape, 1, &mut qint_sizes { struct_size: 8, ..shared::sizes() });
        "sizes in the shape" => QINT_ERROR_ARGUMENT, qint_matrix_sizes(both.as_ptr(), 1, inside);
    };
    assert_eq!(both.map(|shape| shape.rows), [20; 3]);
}

#[test]
fn products() {
    let mut buffers = Buffers::new();
    let matrix = buffers.raw.matrix();
    let (x, nan, y_pointer) = (X, [f32::NAN; 70], buffers.y.as_mut_ptr());
    let (w, n) = (buffers.workspace.as_mut_ptr(), buffers.workspace.len());
    misuses! {
        "no matrix" => QINT_ERROR_NULL, qint_matvec(null(), x.as_ptr(), 70, y_pointer, 20, w, n);
        "no x" => QINT_ERROR_NULL, qint_matvec(&matrix, null(), 70, y_pointer, 20, w, n);
        "a short x" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 69, y_pointer, 20, w, n);
        "an x with NaN" => QINT_ERROR_MALFORMED, qint_matvec(&matrix, nan.as_ptr(), 70, y_pointer, 20, w, n);
        "a misaligned x" => QINT_ERROR_ALIGNMENT, qint_matvec(&matrix, x.as_ptr().wrapping_byte_add(3), 70, y_pointer, 20, w, n);
        "no y" => QINT_ERROR_NULL, qint_matvec(&matrix, x.as_ptr(), 70, null_mut(), 20, w, n);
        "a short y" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 19, w, n);
        "no workspace" => QINT_ERROR_NULL, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 20, null_mut(), n);
        "a small workspace" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 20, w, n - 1);
        "y in the workspace" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, x.as_ptr(), 70, w, 20, w, n);
        "x in the workspace" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, w, 70, y_pointer, 20, w, n);
        "y in the row scales" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, x.as_ptr(), 70, matrix.row_scales.cast_mut(), 20, w, n);
        "no tokens" => QINT_ERROR_ARGUMENT, qint_matmul(&matrix, 0, x.as_ptr(), 0, y_pointer, 0, w, n);
        "too many tokens" => QINT_ERROR_ARGUMENT, qint_matmul(&matrix, usize::MAX, x.as_ptr(), 70, y_pointer, 20, w, n);
        "more tokens than x has" => QINT_ERROR_LENGTH, qint_matmul(&matrix, 2, x.as_ptr(), 70, y_pointer, 40, w, n);
    };
    buffers.expect_unharmed();
}

#[test]
fn rows_back_to_numbers() {
    let mut buffers = Buffers::new();
    let (matrix, sizes) = (buffers.raw.matrix(), buffers.raw.sizes);
    let w = buffers.workspace.as_mut_ptr();
    misuses! {
        "a row that is not there" => QINT_ERROR_ARGUMENT, qint_dequantize_row(&matrix, 20, w, sizes.padded_cols as usize);
        "a row into null" => QINT_ERROR_NULL, qint_dequantize_row(&matrix, 0, null_mut(), sizes.padded_cols as usize);
        "a row into too little" => QINT_ERROR_LENGTH, qint_dequantize_row(&matrix, 0, w, 70);
        "a row in the row scales" => QINT_ERROR_ARGUMENT, qint_dequantize_row(&matrix, 0, matrix.row_scales.cast_mut(), sizes.padded_cols as usize);
    };
    buffers.expect_unharmed();
}

#[test]
fn quantization() {
    let Raw { shape, sizes, weights, .. } = Raw::new(20, 70, QINT_Q4, 1);
    let mut panels = vec![0u8; sizes.panels];
    let mut scales = vec![0.0f32; sizes.row_scales];
    let (p, s) = (panels.as_mut_ptr(), scales.as_mut_ptr());
    misuses! {
        "quantize null" => QINT_ERROR_NULL, qint_quantize(&shape, null(), weights.len(), p, sizes.panels, s, sizes.row_scales);
        "quantize too little" => QINT_ERROR_LENGTH, qint_quantize(&shape, weights.as_ptr(), 20, p, sizes.panels, s, sizes.row_scales);
        "quantize into too little" => QINT_ERROR_LENGTH, qint_quantize(&shape, weights.as_ptr(), weights.len(), p, 1, s, sizes.row_scales);
        "quantize NaN" => QINT_ERROR_MALFORMED, qint_quantize(&shape, [f32::NAN; 1400].as_ptr(), 1400, p, sizes.panels, s, sizes.row_scales);
        "quantize in place" => QINT_ERROR_ARGUMENT, qint_quantize(&shape, s, weights.len(), p, sizes.panels, s, sizes.row_scales);
    };
}

#[test]
fn the_last_error() {
    misuses! {
        "a session that is none" => QINT_ERROR_HANDLE, qint_session_free(0);
        "the last error into null" => QINT_ERROR_NULL, qint_last_error(null_mut(), 100, null_mut());
        "the last error over its length" => QINT_ERROR_ARGUMENT, { let mut block = [0usize; 200]; qint_last_error(block.as_mut_ptr().cast(), 1024, block.as_mut_ptr()) };
    };
}
