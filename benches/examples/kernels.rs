//! How fast one core multiplies: bytes of weights per second for one token (from cache, from memory) and multiply-adds per
//! second for several, per codec and backend. Every product is compared with the reference before it is timed.
//!
//! `cargo run --release -p qint-benches --example kernels [-- BACKEND…]`
use qint_core::{
    activation::{self, ActivationBlock, ActivationFormat, Activations},
    backend::Backend,
    codec::Codec,
    hadamard, kernel,
    layout::{Layout, PANEL_ROWS},
    matrix::QMatrix,
    reference,
    team::RowsMut,
};
use qint_tests::products::{Draw, Inputs, Random, Weights};
use std::{hint::black_box, ops::Range, time::Instant};

const COLS: usize = 4096;
const TOKENS: [usize; 4] = [4, 8, 12, 96];

fn main() {
    println!("reading alone: {:.1} GB/s", read_bandwidth());
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let backends =
        Backend::available().filter(|backend| wanted.is_empty() || wanted.iter().any(|name| name == backend.name()));
    for backend in backends {
        println!("{}: Hadamard + rounding of {COLS} activations: {:.2} us", backend.name(), preparation(backend) * 1e6);
        println!("| {:9} | cache GB/s | memory GB/s | GMAC/s at {TOKENS:?} tokens |", "codec");
        for codec in Codec::ALL {
            let (cached, streamed) = (bandwidth(backend, codec, 64, 0), bandwidth(backend, codec, 1024, 1 << 28));
            let batch = TOKENS.map(|tokens| format!("{:.1}", multiply_adds(backend, codec, tokens))).join(" ");
            println!("| {:9} | {cached:10.1} | {streamed:11.1} | {batch} |", codec.name());
        }
    }
}

fn preparation(backend: Backend) -> f64 {
    let mut random = Random(1);
    let x: Vec<f32> = (0..COLS).map(|_| random.scale()).collect();
    let (mut codes, mut scales, mut sums) = ([0; COLS], [0.0; COLS / 256], [0; COLS / 32]);
    let mut work = x.clone();
    hadamard::transform(backend, &mut work);
    seconds(|| {
        work.copy_from_slice(&x);
        let done =
            activation::quantize(backend, &mut work, ActivationFormat::DEFAULT, &mut codes, &mut scales, &mut sums);
        assert!(done.is_ok());
    })
}

/// 10⁹ bytes per second that one core can read from memory: the limit of one token.
fn read_bandwidth() -> f64 {
    let memory = vec![1u64; 1 << 25];
    let mut chunks = memory.chunks(1 << 19).cycle();
    let seconds = seconds(|| {
        black_box(chunks.next().map(|chunk| chunk.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word))));
    });
    (8 << 19) as f64 / seconds / 1e9
}

/// 10⁹ bytes of panels per second, one token: the quickest of many chunks of `rows` rows out of a matrix of `bytes` bytes.
fn bandwidth(backend: Backend, codec: Codec, rows: usize, bytes: usize) -> f64 {
    let chunks = (bytes * 8 / codec.bits() / COLS / rows).max(1);
    let product = Product::new(backend, codec, rows * chunks, 1);
    let (matrix, x) = product.views();
    let mut out = vec![0.0; rows];
    let mut chunk = 0;
    let seconds = seconds(|| {
        multiply(backend, &matrix, &x, chunk * rows..(chunk + 1) * rows, &mut out);
        chunk = (chunk + 1) % chunks;
    });
    (matrix.layout().panels_bytes() / chunks) as f64 / seconds / 1e9
}

/// 10⁹ multiply-adds per second.
fn multiply_adds(backend: Backend, codec: Codec, tokens: usize) -> f64 {
    let rows = 128;
    let product = Product::new(backend, codec, rows, tokens);
    let (matrix, x) = product.views();
    let mut out = vec![0.0; rows * tokens];
    (rows * COLS * tokens) as f64 / seconds(|| multiply(backend, &matrix, &x, 0..rows, &mut out)) / 1e9
}

struct Product {
    weights: Weights,
    inputs: Inputs,
}

impl Product {
    /// A random one that has the reference's bits in a few rows.
    fn new(backend: Backend, codec: Codec, rows: usize, tokens: usize) -> Product {
        let mut random = Random(2);
        let layout = Layout::new(rows, COLS, codec, codec.default_group()).expect("legal sizes");
        let weights = Weights::random(layout, Draw::Uniform, &mut random);
        let inputs = Inputs::random(tokens, COLS, ActivationBlock::B256, Draw::Uniform, &mut random);
        let product = Product { weights, inputs };
        let (matrix, x) = product.views();
        let mut out = vec![0.0; tokens * rows];
        multiply(backend, &matrix, &x, 0..rows, &mut out);
        for token in [0, tokens - 1] {
            let row = random.within(0..rows);
            assert_eq!(out[token * rows + row].to_bits(), reference::dot(&matrix, row, &x, token).to_bits());
        }
        product
    }

    fn views(&self) -> (QMatrix<'_>, Activations<'_>) {
        (self.weights.matrix(), self.inputs.activations())
    }
}

fn multiply(backend: Backend, matrix: &QMatrix<'_>, x: &Activations<'_>, rows: Range<usize>, out: &mut [f32]) {
    let panels = rows.start / PANEL_ROWS..rows.end / PANEL_ROWS;
    kernel::matmul(backend, matrix, x, panels, &mut RowsMut::whole(out, rows.len()));
    black_box(out);
}

/// The quickest of many runs, about 0.2 s in all.
fn seconds(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut quickest = f64::INFINITY;
    while start.elapsed().as_secs_f64() < 0.2 {
        let start = Instant::now();
        run();
        quickest = quickest.min(start.elapsed().as_secs_f64());
    }
    quickest
}
