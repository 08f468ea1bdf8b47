//! Every backend gives the bits of the reference, for any shape, group, activation block, batch and split into panels.
use qint_core::{
    activation::ActivationBlock,
    backend::Backend,
    codec::{Codec, Group},
    kernel,
    layout::{Layout, PANEL_ROWS},
    matrix::QMatrix,
    reference,
    team::{DisjointRows, RowsMut},
};
use qint_tests::{
    backends::backends,
    products::{Draw, Inputs, Random, Weights, bits, product},
};

const SHAPES: usize = 5000;
const BLOCKS: [ActivationBlock; 3] = [ActivationBlock::B256, ActivationBlock::B512, ActivationBlock::B1024];

/// All backends against the reference on the rows of `sampled`, and against portable everywhere.
fn check(layout: Layout, tokens: usize, block: ActivationBlock, draw: Draw, sampled: usize, random: &mut Random) {
    let weights = Weights::random(layout, draw, random);
    let inputs = Inputs::random(tokens, layout.padded_cols(), block, draw, random);
    let (matrix, x) = (weights.matrix(), inputs.activations());
    let outputs: Vec<(Backend, Vec<f32>)> =
        backends().into_iter().map(|backend| (backend, product(backend, &matrix, &x))).collect();
    let (_, portable) = outputs.last().expect("portable is always there");
    for (backend, output) in &outputs {
        assert_eq!(bits(output), bits(portable), "{} {layout:?} {tokens} tokens {block:?} {draw:?}", backend.name());
    }
    for _ in 0..sampled {
        let (token, row) = (random.within(0..tokens), random.within(0..layout.rows()));
        let expected = reference::dot(&matrix, row, &x, token);
        let found = portable[token * layout.rows() + row];
        assert_eq!(found.to_bits(), expected.to_bits(), "{layout:?} row {row} token {token} {block:?} {draw:?}");
    }
}

fn random_shapes(codec: Codec) {
    let mut random = Random(codec as u64);
    for shape in 0..SHAPES {
        let (rows, cols) = (random.within(1..34), random.within(1..301));
        let layout = Layout::new(rows, cols, codec, random.one_of(&Group::ALL)).unwrap();
        let draw = if shape % 8 == 0 { Draw::Extreme } else { Draw::Uniform };
        let tokens = random.within(1..10);
        let block = random.one_of(&BLOCKS);
        check(layout, tokens, block, draw, 8, &mut random);
    }
}

fn long_rows(codec: Codec) {
    let mut random = Random(!(codec as u64));
    for cols in [992, 1024, 1056, 4096, 5000, 16352, 16384] {
        for group in Group::ALL {
            for block in BLOCKS {
                for draw in [Draw::Uniform, Draw::Extreme] {
                    let layout = Layout::new(17, cols, codec, group).unwrap();
                    let tokens = random.one_of(&[1, 2, 5]);
                    check(layout, tokens, block, draw, 2, &mut random);
                }
            }
        }
    }
}

macro_rules! for_each_codec {
    ($($name:ident $codec:ident)*) => {
        mod random_shapes_have_the_reference_s_bits {
            $(#[test] fn $name() { super::random_shapes(super::Codec::$codec) })*
        }
        mod long_rows_have_the_reference_s_bits {
            $(#[test] fn $name() { super::long_rows(super::Codec::$codec) })*
        }
    };
}
for_each_codec! { q8 Q8 q4 Q4 q4_linear Q4Linear q2 Q2 q2_linear Q2Linear q1 Q1 }

/// One panel after the other, dealt out in chunks, gives what the whole product gives; nothing outside is written.
#[test]
fn a_split_into_panels_changes_nothing() {
    let mut random = Random(7);
    for codec in Codec::ALL {
        for tokens in [1, 2, 3, 4, 8, 9, 17] {
            let layout = Layout::new(75, 600, codec, codec.default_group()).unwrap();
            let weights = Weights::random(layout, Draw::Uniform, &mut random);
            let inputs =
                Inputs::random(tokens, layout.padded_cols(), ActivationBlock::B256, Draw::Uniform, &mut random);
            let (matrix, x) = (weights.matrix(), inputs.activations());
            for backend in backends() {
                let whole = product(backend, &matrix, &x);
                let stride = 80;
                let mut out = vec![-1.0; tokens * stride];
                for mut rows in DisjointRows::new(&mut out, stride, layout.rows(), 2 * PANEL_ROWS) {
                    let panels = rows.range().start / PANEL_ROWS..rows.range().end.div_ceil(PANEL_ROWS);
                    kernel::matmul(backend, &matrix, &x, panels, &mut rows);
                }
                for (token, out) in out.chunks(stride).enumerate() {
                    let expected = &whole[token * layout.rows()..][..layout.rows()];
                    assert_eq!(bits(&out[..layout.rows()]), bits(expected), "{} {codec:?}", backend.name());
                    assert_eq!(out[layout.rows()..], [-1.0; 5]);
                }
            }
        }
    }
}

/// A token's output does not depend on the tokens beside it.
#[test]
fn a_batch_gives_what_its_tokens_give_alone() {
    let mut random = Random(11);
    for codec in Codec::ALL {
        let layout = Layout::new(40, 1100, codec, Group::G64).unwrap();
        let weights = Weights::random(layout, Draw::Uniform, &mut random);
        let matrix = weights.matrix();
        let inputs = Inputs::random(13, layout.padded_cols(), ActivationBlock::B512, Draw::Uniform, &mut random);
        let x = inputs.activations();
        for backend in backends() {
            let batch = product(backend, &matrix, &x);
            for token in 0..x.tokens() {
                let alone = product(backend, &matrix, &inputs.token(token).activations());
                assert_eq!(bits(&alone), bits(&batch[token * layout.rows()..][..layout.rows()]), "{}", backend.name());
            }
        }
    }
}

#[test]
fn padding_rows_and_zero_scales_give_zero() {
    let mut random = Random(3);
    let layout = Layout::new(20, 64, Codec::Q4, Group::G32).unwrap();
    let weights = Weights::random(layout, Draw::Uniform, &mut random);
    let matrix = weights.matrix();
    let zeros = vec![0.0; layout.padded_rows()];
    let silent = QMatrix::new(layout, matrix.panels(), &zeros).unwrap();
    let inputs = Inputs::random(3, 64, ActivationBlock::B256, Draw::Uniform, &mut random);
    for backend in backends() {
        assert!(product(backend, &silent, &inputs.activations()).iter().all(|&y| y == 0.0));
    }
}

#[test]
fn no_tokens_and_no_panels_are_nothing_to_do() {
    let mut random = Random(5);
    let layout = Layout::new(20, 64, Codec::Q2, Group::G32).unwrap();
    let weights = Weights::random(layout, Draw::Uniform, &mut random);
    let none = Inputs::new(0, 64, ActivationBlock::B256, Vec::new(), Vec::new());
    for backend in backends() {
        assert!(product(backend, &weights.matrix(), &none.activations()).is_empty());
        kernel::matmul(backend, &weights.matrix(), &none.activations(), 1..1, &mut RowsMut::whole(&mut [], 0));
    }
}
