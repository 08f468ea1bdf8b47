//! The forward pass with this crate's products has the bits of qint-core's own.
#![allow(clippy::unwrap_used)]
use qint_arm::forward as products;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    backend::Backend,
    codec::{Codec, Group},
    layout::Layout,
    llama::*,
    matrix::{Matrix, QMatrix},
    team::Serial,
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
