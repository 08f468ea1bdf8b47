//! Matrix products: random panels and activations.
use crate::Bench;
use qint_core::{
    activation::ActivationBlock, backend::Backend, codec::Codec, kernel, layout::Layout, reference, team::RowsMut,
};
use qint_tests::products::{Draw, Inputs, Random, Weights};

/// Columns of every matrix.
const COLS: usize = 4096;

/// `rows` × 4096 weights and some tokens.
pub struct Product {
    weights: Weights,
    inputs: Inputs,
    rows: usize,
    out: Vec<f32>,
}

impl Product {
    /// A matrix of `codec` in its default groups.
    pub fn new(codec: Codec, rows: usize, tokens: usize) -> Product {
        let mut random = Random(1);
        let layout = Layout::new(rows, COLS, codec, codec.default_group()).expect("legal sizes");
        let weights = Weights::random(layout, Draw::Uniform, &mut random);
        let inputs = Inputs::random(tokens, COLS, ActivationBlock::B256, Draw::Uniform, &mut random);
        Product { weights, inputs, rows, out: vec![0.0; tokens * rows] }
    }

    /// Bytes of panels that a run reads.
    pub fn bytes(&self) -> u64 {
        self.weights.matrix().layout().panels_bytes() as u64
    }
}

impl Bench for Product {
    fn run(&mut self, backend: Backend) {
        let matrix = self.weights.matrix();
        let mut out = RowsMut::whole(&mut self.out, self.rows);
        kernel::matmul(backend, &matrix, &self.inputs.activations(), 0..matrix.layout().panels(), &mut out);
    }

    /// All rows of the first and the last token, with the reference.
    fn check(&mut self, backend: Backend) {
        self.out.fill(f32::NAN);
        self.run(backend);
        let (matrix, x) = (self.weights.matrix(), self.inputs.activations());
        for token in [0, x.tokens() - 1] {
            for row in 0..self.rows {
                let (found, expected) = (self.out[token * self.rows + row], reference::dot(&matrix, row, &x, token));
                assert_eq!(found.to_bits(), expected.to_bits(), "row {row} of token {token}: {found}, not {expected}");
            }
        }
    }

    fn multiply_adds(&self) -> u64 {
        self.out.len() as u64 * COLS as u64
    }
}
