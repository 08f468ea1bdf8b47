//! Products and whole layers, compared with qint-core's reference by `==`, on whatever machine runs the tests.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use qint_arm::{inputs::Inputs, layer, matmul, prepared::Prepared, quantize::quantize};
use qint_core::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Activations, SUM_COLS, Transform, padded_tokens},
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
    reference,
};

/// Random panels (from `start` on, at a multiple of 64) and row scales.
struct Weights {
    layout: Layout,
    bytes: Vec<u8>,
    start: usize,
    row_scales: Vec<f32>,
}

impl Weights {
    fn new(layout: Layout, seed: u64) -> Weights {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 40
        };
        let bytes: Vec<u8> = (0..layout.panels_bytes() + 64).map(|_| random() as u8).collect();
        let row_scales = (0..layout.padded_rows()).map(|_| random() as f32 / 1e6 - 8.0).collect();
        Weights { layout, start: bytes.as_ptr().align_offset(64), bytes, row_scales }
    }

    fn matrix(&self) -> QMatrix<'_> {
        let panels = &self.bytes[self.start..][..self.layout.panels_bytes()];
        QMatrix::new(self.layout, panels, &self.row_scales).unwrap()
    }
}

fn layouts() -> impl Strategy<Value = Layout> {
    (1..40usize, 1..700usize, 0..Codec::ALL.len(), 0..Group::ALL.len())
        .prop_map(|(rows, cols, codec, group)| Layout::new(rows, cols, Codec::ALL[codec], Group::ALL[group]).unwrap())
}

fn blocks() -> impl Strategy<Value = ActivationBlock> {
    prop::sample::select(vec![ActivationBlock::B256, ActivationBlock::B512, ActivationBlock::B1024])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn layers_have_the_bits_of_the_reference(
        layout in layouts(),
        block in blocks(),
        tokens in 1..7usize,
        hadamard: bool,
        seed: u64,
        x in prop::collection::vec(-2.0f32..2.0, 6 * 704),
    ) {
        let weights = Weights::new(layout, seed);
        let (matrix, cols) = (weights.matrix(), layout.padded_cols());
        let format = ActivationFormat { transform: if hadamard { Transform::Hadamard } else { Transform::None }, block };
        let mut x = x[..tokens * cols].to_vec();

        let mut workspace = vec![0; layer::workspace_words(&layout, block, tokens)];
        let mut out = vec![f32::NAN; tokens * layout.rows()];
        layer::apply(&matrix, format, tokens, &mut x.clone(), &mut workspace, &mut out).unwrap();

        let room = padded_tokens(tokens);
        let (mut codes, mut scales) = (vec![0; room * cols], vec![0.0; room * cols.div_ceil(block.cols())]);
        let mut sums = vec![0; room * cols / SUM_COLS];
        quantize(tokens, &mut x, format, &mut codes, &mut scales, &mut sums).unwrap();
        let x = Activations::new(tokens, cols, block, &codes, &scales, &sums).unwrap();
        for token in 0..tokens {
            for row in 0..layout.rows() {
                let expected = reference::dot(&matrix, row, &x, token);
                prop_assert_eq!(out[token * layout.rows() + row].to_bits(), expected.to_bits(), "row {}", row);
            }
        }

        // Panel by panel, last first; and the integers.
        let mut memory = vec![0; Inputs::words(&layout, block, tokens)];
        let inputs = Inputs::expand(&layout, &x, &mut memory).unwrap();
        let mut by_panels = vec![f32::NAN; out.len()];
        let mut integers = vec![0; tokens * inputs.blocks() * layout.rows()];
        for panel in (0..layout.panels()).rev() {
            matmul::matmul(&matrix, &inputs, panel..panel + 1, &mut by_panels).unwrap();
            matmul::block_sums(&matrix, &inputs, panel..panel + 1, &mut integers).unwrap();
        }
        prop_assert_eq!(by_panels.iter().map(|y| y.to_bits()).collect::<Vec<_>>(), out.iter().map(|y| y.to_bits()).collect::<Vec<_>>());
        for (index, integer) in integers.into_iter().enumerate() {
            let (vector, row) = (index / layout.rows(), index % layout.rows());
            let expected = reference::block_sum(&matrix, row, &x, vector / inputs.blocks(), vector % inputs.blocks());
            prop_assert_eq!(integer, expected);
        }
    }
}

#[test]
fn a_prepared_matrix_does_the_same() {
    for codec in Codec::ALL {
        let layout = Layout::new(20, 600, codec, Group::G64).unwrap();
        let weights = Weights::new(layout, 6);
        let matrix = weights.matrix();
        let format = ActivationFormat::DEFAULT;
        let mut memory = vec![0; Prepared::words(&layout, format.block)];
        let prepared = Prepared::new(&matrix, format.block, &mut memory).unwrap();
        let x: Vec<f32> = (0..608).map(|i| (i as f32).cos()).collect();
        let mut workspace = vec![0; layer::workspace_words(&layout, format.block, 1)];
        let (mut a, mut b) = ([0.0; 20], [1.0; 20]);
        layer::apply(&matrix, format, 1, &mut x.clone(), &mut workspace, &mut a).unwrap();
        layer::apply(prepared, format, 1, &mut x.clone(), &mut workspace, &mut b).unwrap();
        assert_eq!(a, b);
        assert!(Prepared::new(&matrix, format.block, &mut [0; 1]).is_err());
    }
}

#[test]
fn fixed_shapes_do_the_same() {
    let layout = layer::FixedMatrix::<20, 64>::layout(Codec::Q2Linear, Group::G32).unwrap();
    let weights = Weights::new(layout, 3);
    let dynamic = weights.matrix();
    let fixed =
        layer::FixedMatrix::<20, 64>::new(Codec::Q2Linear, Group::G32, dynamic.panels(), &weights.row_scales).unwrap();
    let format = ActivationFormat::DEFAULT;
    let x: [f32; 64] = core::array::from_fn(|i| (i as f32).sin());
    let mut workspace = vec![0; layer::workspace_words(&layout, format.block, 1)];
    let (mut a, mut b) = ([0.0; 20], [0.0; 20]);
    layer::apply(&dynamic, format, 1, &mut x.clone(), &mut workspace, &mut a).unwrap();
    fixed.apply(format, &mut x.clone(), &mut workspace, &mut b).unwrap();
    assert_eq!(a, b);
    assert!(a.iter().any(|y| *y != 0.0));
}

#[test]
fn what_does_not_fit_is_refused() {
    let layout = Layout::new(20, 300, Codec::Q4Linear, Group::G64).unwrap();
    let weights = Weights::new(layout, 4);
    let matrix = weights.matrix();
    let format = ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 };
    let needed = layer::workspace_words(&layout, format.block, 1);
    let apply = |x: usize, workspace: usize, out: usize| {
        layer::apply(&matrix, format, 1, &mut vec![1.0; x], &mut vec![0; workspace], &mut vec![0.0; out])
    };
    assert_eq!(apply(320, needed, 20), Ok(()));
    assert!(matches!(apply(300, needed, 20), Err(Error::Length { .. })));
    assert!(matches!(apply(320, needed - 1, 20), Err(Error::Length { .. })));
    assert!(matches!(apply(320, needed, 19), Err(Error::Length { .. })));
    assert!(matches!(apply(320, 0, 20), Err(Error::Length { .. })));

    let mut workspace = vec![0; needed];
    let nan = layer::apply(&matrix, format, 1, &mut [f32::NAN; 320], &mut workspace, &mut [0.0; 20]);
    assert_eq!(nan, Err(Error::NotFinite { at: "activations" }));

    let (codes, sums) = ([0; 320], [0; 10]);
    let x = Activations::new(1, 320, format.block, &codes, &[0.0; 2], &sums).unwrap();
    let inputs = Inputs::expand(&layout, &x, &mut workspace).unwrap();
    let (mut out, mut integers) = ([0.0; 20], [0; 40]);
    for panels in [0..2, 1..2, 2..2] {
        assert_eq!(matmul::matmul(&matrix, &inputs, panels.clone(), &mut out), Ok(()));
        assert_eq!(matmul::block_sums(&matrix, &inputs, panels, &mut integers), Ok(()));
    }
    #[allow(clippy::reversed_empty_ranges)]
    for panels in [0..3, 2..1, 5..2, usize::MAX..0] {
        let refused = matmul::matmul(&matrix, &inputs, panels.clone(), &mut out);
        assert!(matches!(refused, Err(Error::Dimension { .. })), "{panels:?}: {refused:?}");
        assert!(matmul::block_sums(&matrix, &inputs, panels, &mut integers).is_err());
    }
    for other in [
        Layout::new(20, 300, Codec::Q4Linear, Group::G32),
        Layout::new(20, 300, Codec::Q4, Group::G64),
        Layout::new(20, 200, Codec::Q4Linear, Group::G64),
    ] {
        let weights = Weights::new(other.unwrap(), 5);
        let result = matmul::matmul(&weights.matrix(), &inputs, 0..2, &mut [0.0; 20]);
        assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
    }
}

#[test]
fn scales_that_some_core_would_treat_otherwise_are_refused() {
    let layout = Layout::new(20, 300, Codec::Q4Linear, Group::G64).unwrap();
    let (codes, sums) = ([1; 320], [32; 10]);
    let expand = |scale: f32| {
        let scales = [1.0, scale];
        let x = Activations::new(1, 320, ActivationBlock::B256, &codes, &scales, &sums).unwrap();
        Inputs::expand(&layout, &x, &mut [0; 512]).map(|_| ())
    };
    let (smallest, largest) = (2f32.powi(-67), 2f32.powi(64));
    for scale in [0.0, -0.0, smallest, 1.0, largest] {
        assert_eq!(expand(scale), Ok(()), "{scale:e}");
    }
    for scale in [1e-40, smallest.next_down(), largest.next_up(), -1.0, f32::INFINITY, f32::MIN_POSITIVE] {
        assert_eq!(expand(scale), Err(Error::ActivationScale { index: 1, scale }));
    }
    assert!(matches!(expand(f32::NAN), Err(Error::ActivationScale { index: 1, .. })));
}
