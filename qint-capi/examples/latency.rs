//! What the C ABI costs: a product through `qint_matvec` beside the direct call of the same kernels, alternating.
//!
//! `cargo run --release -p qint-capi --example latency`
#![allow(unsafe_code, clippy::expect_used, clippy::print_stdout)]
use qint_capi::*;
use qint_core::{
    activation::{ActivationFormat, Activations, quantize},
    backend::Backend,
    codec::{Codec, Group},
    kernel,
    layout::Layout,
    matrix::QMatrix,
    team::RowsMut,
};
use std::{hint::black_box, time::Instant};

const ROUNDS: usize = 200;
const CALLS: usize = 100;

fn main() {
    println!("| rows x cols | direct us | C ABI us | overhead ns |");
    for (rows, cols) in [(16, 32), (64, 64), (512, 512), (2048, 2048)] {
        let (direct, abi) = measure(rows, cols);
        println!("| {rows} x {cols} | {:.3} | {:.3} | {:.0} |", direct * 1e6, abi * 1e6, (abi - direct) * 1e9);
    }
}

/// Seconds of a call, the least of many rounds: direct, and through the ABI.
fn measure(rows: usize, cols: usize) -> (f64, f64) {
    let layout = Layout::new(rows, cols, Codec::Q4, Group::G32).expect("a layout");
    let panels: Vec<u32> = (0..layout.panels_bytes() as u32 / 4).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
    let bytes: Vec<u8> = panels.iter().flat_map(|word| word.to_le_bytes()).collect();
    let row_scales = vec![1e-3f32; layout.padded_rows()];
    let x: Vec<f32> = (0..cols).map(|i| i as f32 / 64.0 - 1.0).collect();

    let backend = Backend::detect();
    let matrix = QMatrix::new(layout, &bytes, &row_scales).expect("a matrix");
    let (mut codes, mut scales, mut sums) = (vec![0; cols], vec![0.0; cols.div_ceil(256)], vec![0; cols / 32]);
    let (mut padded, mut direct_y) = (vec![0.0; cols], vec![0.0f32; rows]);
    let mut direct = || {
        padded.copy_from_slice(black_box(&x));
        let format = ActivationFormat::DEFAULT;
        quantize(backend, &mut padded, format, &mut codes, &mut scales, &mut sums).expect("finite");
        let activations = Activations::new(1, cols, format.block, &codes, &scales, &sums).expect("activations");
        let out = &mut RowsMut::whole(&mut direct_y, rows);
        kernel::matmul(backend, &matrix, &activations, 0..layout.panels(), out);
    };

    let shape = qint_shape {
        struct_size: size_of::<qint_shape>() as u32,
        rows: rows as u32,
        cols: cols as u32,
        codec: QINT_Q4,
        group: 32,
        transform: QINT_TRANSFORM_HADAMARD,
        activation_block: 256,
        reserved: 0,
    };
    let struct_size = size_of::<qint_sizes>() as u32;
    let mut sizes = qint_sizes { struct_size, padded_cols: 0, panels: 0, row_scales: 0, workspace: 0 };
    // SAFETY: valid pointers.
    assert_eq!(unsafe { qint_matrix_sizes(&shape, 1, &mut sizes) }, QINT_OK);
    let matrix = qint_matrix {
        struct_size: size_of::<qint_matrix>() as u32,
        reserved: 0,
        shape: &shape,
        panels: bytes.as_ptr(),
        panels_length: bytes.len(),
        row_scales: row_scales.as_ptr(),
        row_scales_length: row_scales.len(),
    };
    let (mut workspace, mut abi_y) = (vec![0.0f32; sizes.workspace], vec![0.0f32; rows]);
    let mut abi = || {
        let (x, y, w) = (black_box(&x), &mut abi_y, &mut workspace);
        // SAFETY: valid pointers and their lengths.
        let code = unsafe { qint_matvec(&matrix, x.as_ptr(), cols, y.as_mut_ptr(), rows, w.as_mut_ptr(), w.len()) };
        assert_eq!(code, QINT_OK);
    };
    direct();
    abi();
    let mut least = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        least[0] = least[0].min(seconds(&mut direct));
        least[1] = least[1].min(seconds(&mut abi));
    }
    assert_eq!(direct_y, abi_y, "the same bits");
    (least[0], least[1])
}

fn seconds(call: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    start.elapsed().as_secs_f64() / CALLS as f64
}
