//! The forward pass with this crate's products has the bits of qint-core's own.
#![allow(clippy::unwrap_used, clippy::panic)]
use qint_arm::forward as products;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Activations, SUM_COLS, Transform},
    backend::Backend,
    codec::{Codec, Group},
    layout::Layout,
    llama::*,
    matrix::{Matrix, QMatrix},
    reference,
    team::{RowsMut, Serial},
};

const CONFIG: Config = Config {
    hidden: 48,
    intermediate: 300,
    layers: 1,
    heads: 4,
    kv_heads: 2,
    head_dim: 12,
    vocabulary: 40,
    context: 64,
    norm_epsilon: 1e-5,
    rope_theta: 10000.0,
    rope_scaling: RopeScaling::None,
    sliding_window: None,
    activation: Activation::Silu,
    norm_plus_one: false,
    embedding_scale: 1.0,
};

/// Random panels at a multiple of 64, for as long as the test runs.
fn matrix(rows: usize, cols: usize, codec: Codec) -> Matrix<'static> {
    let layout = Layout::new(rows, cols, codec, Group::G32).unwrap();
    let mut state = (rows * cols) as u32;
    let bytes: Vec<u8> = (0..layout.panels_bytes() + 64)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let bytes: &'static [u8] = bytes.leak();
    let panels = &bytes[bytes.as_ptr().align_offset(64)..][..layout.panels_bytes()];
    let scales: &'static [f32] = (0..layout.padded_rows()).map(|row| 1e-5 * row as f32).collect::<Vec<_>>().leak();
    let format = ActivationFormat { transform: Transform::Hadamard, block: ActivationBlock::B256 };
    Matrix::Quantized(QMatrix::new(layout, panels, scales).unwrap(), format)
}

/// Logits of a prompt of three tokens and then of single ones.
fn logits(backend: Backend, weights: &Weights<'_>) -> Vec<u32> {
    let plan = Plan::new(&CONFIG, PlanRequest { tokens: 3 }).unwrap();
    let kv = KvPlan::new(KvKind::I8, 16, &CONFIG).unwrap();
    let (mut codes, mut scales) = (vec![0; kv.values], vec![0.0; kv.scales]);
    let mut cache = KvCache::new(&CONFIG, 16, KvStore::I8 { codes: &mut codes, scales: &mut scales }).unwrap();
    let (mut floats, mut codes, mut sums) = (vec![0.0; plan.floats], vec![0; plan.codes], vec![0; plan.sums]);
    let mut workspace = Workspace { floats: &mut floats, codes: &mut codes, sums: &mut sums };
    let mut all = Vec::new();
    for tokens in [&[1, 2, 3][..], &[39], &[7]] {
        let mut logits = vec![0.0f32; CONFIG.vocabulary];
        let sequence = Sequence { tokens, cache: &mut cache, logits: Logits::Last };
        forward(backend, &Serial, weights, &mut [sequence], &mut workspace, &mut logits).unwrap();
        all.extend(logits.into_iter().map(f32::to_bits));
    }
    all
}

#[test]
fn logits_have_the_bits_of_every_other_backend() {
    let norm = &[0.5; CONFIG.hidden];
    let (q, kv, hidden, wide) = (CONFIG.q_dim(), CONFIG.kv_dim(), CONFIG.hidden, CONFIG.intermediate);
    let layers = [Layer {
        attention_norm: norm,
        q: matrix(q, hidden, Codec::Q4Linear),
        k: matrix(kv, hidden, Codec::Q2),
        v: matrix(kv, hidden, Codec::Q1),
        o: matrix(hidden, q, Codec::Q4),
        mlp_norm: norm,
        gate: matrix(wide, hidden, Codec::Q8),
        up: matrix(wide, hidden, Codec::Q4Linear),
        down: matrix(hidden, wide, Codec::Q2Linear),
    }];
    let head = matrix(CONFIG.vocabulary, hidden, Codec::Q8);
    let weights = Weights::new(CONFIG, head, &layers, norm, head).unwrap();
    let expected = logits(Backend::detect(), &weights);
    assert!(expected.iter().any(|bits| *bits != expected[0]));
    // With room for all streams, for the short ones only, and for none.
    for backend in [products::backend::<1024>(), products::backend::<80>(), products::backend::<0>()] {
        assert_eq!(logits(backend, &weights), expected);
    }
}

/// Whether a backend takes on a product of one token by `cols` columns; if so, its bits are right.
fn takes_on(backend: Backend, cols: usize) -> bool {
    let Backend::Products(products) = backend else { panic!("a backend of another kind") };
    let Matrix::Quantized(matrix, format) = matrix(40, cols, Codec::Q8) else { panic!("a matrix of another kind") };
    let padded = matrix.layout().padded_cols();
    let codes: Vec<i8> = (0..padded).map(|column| if column < cols { (column * 7 % 200) as i8 } else { 0 }).collect();
    let sums: Vec<i32> = codes.chunks(SUM_COLS).map(|codes| codes.iter().map(|code| i32::from(*code)).sum()).collect();
    let scales = vec![0.01; padded.div_ceil(format.block.cols())];
    let x = Activations::new(1, padded, format.block, &codes, &scales, &sums).unwrap();
    let mut out = [f32::NAN; 40];
    let taken = (products.multiply)(&matrix, &x, &mut RowsMut::whole(&mut out, 40));
    for (row, y) in out.iter().enumerate() {
        let expected = if taken { reference::dot(&matrix, row, &x, 0) } else { f32::NAN };
        assert_eq!(y.to_bits(), expected.to_bits(), "row {row} of {cols} columns");
    }
    taken
}

#[test]
fn products_are_taken_on_where_their_streams_have_room() {
    for cols in [48, 300] {
        assert!(takes_on(products::backend::<1024>(), cols));
        assert!(!takes_on(products::backend::<0>(), cols));
    }
    assert!(takes_on(products::backend::<80>(), 48));
    assert!(!takes_on(products::backend::<80>(), 300));
}
