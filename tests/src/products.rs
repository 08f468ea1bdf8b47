//! Random products: a packed matrix and the activations it meets.
use qint_core::{
    activation::{ActivationBlock, Activations, SUM_COLS},
    backend::Backend,
    kernel,
    layout::Layout,
    matrix::QMatrix,
    team::RowsMut,
};
use std::ops::Range;

/// A small, fast, repeatable generator (SplitMix64).
pub struct Random(pub u64);

/// Owned panels and row scales of one matrix.
pub struct Weights {
    layout: Layout,
    panels: Vec<u64>,
    row_scales: Vec<f32>,
}

/// Owned activations of several tokens, in the order that kernels read.
pub struct Inputs {
    tokens: usize,
    padded_cols: usize,
    block: ActivationBlock,
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

/// How the numbers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Every legal value alike.
    Uniform,
    /// Only the ends of every range: the largest sums.
    Extreme,
}

impl Random {
    /// Sixty-four bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number in `range`.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.bits() % range.len() as u64) as usize
    }

    /// One of `choices`.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len())]
    }

    /// A scale with a random sign and a magnitude in 2⁻⁸..2⁸.
    pub fn scale(&mut self) -> f32 {
        let mantissa = 1.0 + (self.bits() >> 41) as f32 / (1 << 23) as f32;
        let sign = self.one_of(&[-1.0, 1.0]);
        sign * mantissa * 2f32.powi(self.within(0..16) as i32 - 8)
    }
}

impl Weights {
    /// Any bytes as sub-scales and codes: all of them are legal.
    pub fn random(layout: Layout, draw: Draw, random: &mut Random) -> Weights {
        let words = layout.panels_bytes() / 8;
        let panels = match draw {
            Draw::Uniform => (0..words).map(|_| random.bits()).collect(),
            // Sub-scale 0x80 is −128, q8 code 0x00 is level −128: one byte value all over gives the largest sums.
            Draw::Extreme => {
                let codes = random.one_of(&[0x00u8, 0xff]);
                let mut panels = vec![u64::from_ne_bytes([codes; 8]); words];
                for panel in 0..layout.panels() {
                    let start = panel * layout.panel_bytes() / 8;
                    panels[start..start + layout.codes_offset() / 8].fill(u64::from_ne_bytes([0x80; 8]));
                }
                panels
            }
        };
        let mut row_scales: Vec<f32> = (0..layout.padded_rows()).map(|_| random.scale()).collect();
        row_scales[layout.rows()..].fill(0.0);
        Weights { layout, panels, row_scales }
    }

    /// A matrix from its panels and row scales.
    pub fn new(layout: Layout, panels: &[u8], row_scales: Vec<f32>) -> Weights {
        let (words, _) = panels.as_chunks::<8>();
        Weights { layout, panels: words.iter().map(|word| u64::from_ne_bytes(*word)).collect(), row_scales }
    }

    /// The checked view.
    pub fn matrix(&self) -> QMatrix<'_> {
        QMatrix::new(self.layout, as_bytes(&self.panels), &self.row_scales).expect("built to fit")
    }
}

impl Inputs {
    /// Activations for a matrix with `padded_cols` columns.
    pub fn random(
        tokens: usize,
        padded_cols: usize,
        block: ActivationBlock,
        draw: Draw,
        random: &mut Random,
    ) -> Inputs {
        let sign = random.one_of(&[-127, 127]);
        let codes = (0..tokens * padded_cols)
            .map(|_| match draw {
                Draw::Uniform => (random.within(0..255) as i32 - 127) as i8,
                Draw::Extreme => sign,
            })
            .collect();
        let scales = (0..tokens * padded_cols.div_ceil(block.cols())).map(|_| random.scale().abs()).collect();
        Inputs::new(tokens, padded_cols, block, codes, scales)
    }

    /// Activations from their codes, `[tokens][padded_cols]`, and scales, `[tokens][blocks]`.
    pub fn new(tokens: usize, padded_cols: usize, block: ActivationBlock, codes: Vec<i8>, scales: Vec<f32>) -> Inputs {
        let sums: Vec<i32> =
            codes.chunks(SUM_COLS).map(|codes| codes.iter().map(|&code| i32::from(code)).sum()).collect();
        let codes = interleaved(tokens, padded_cols, 4, &codes);
        let sums = interleaved(tokens, padded_cols / SUM_COLS, 1, &sums);
        let scales = interleaved(tokens, padded_cols.div_ceil(block.cols()), 1, &scales);
        Inputs { tokens, padded_cols, block, codes, scales, sums }
    }

    /// One of the tokens alone.
    pub fn token(&self, token: usize) -> Inputs {
        let (x, cols) = (self.activations(), self.padded_cols);
        let codes = (0..cols).map(|col| x.code(token, col)).collect();
        let scales = (0..cols.div_ceil(self.block.cols())).map(|block| x.scale(token, block)).collect();
        Inputs::new(1, cols, self.block, codes, scales)
    }

    /// The checked view.
    pub fn activations(&self) -> Activations<'_> {
        Activations::new(self.tokens, self.padded_cols, self.block, &self.codes, &self.scales, &self.sums)
            .expect("built to fit")
    }
}

/// `values` of several tokens, `[tokens][per_token]`, as `[block of 4 tokens][per_token / together][4 tokens][together]`.
fn interleaved<T: Copy + Default>(tokens: usize, per_token: usize, together: usize, values: &[T]) -> Vec<T> {
    if tokens == 1 {
        return values.to_vec();
    }
    let mut out = Vec::new();
    for block in (0..tokens).step_by(4) {
        for first in (0..per_token).step_by(together) {
            for token in block..block + 4 {
                let part = values.get(token * per_token + first..token * per_token + first + together);
                out.extend(part.map_or(vec![T::default(); together], <[T]>::to_vec));
            }
        }
    }
    out
}

/// The whole product, `[tokens][rows]`.
pub fn product(backend: Backend, matrix: &QMatrix<'_>, x: &Activations<'_>) -> Vec<f32> {
    let layout = matrix.layout();
    let mut out = vec![f32::NAN; x.tokens() * layout.rows()];
    let mut rows = RowsMut::whole(&mut out, layout.rows());
    kernel::matmul(backend, matrix, x, 0..layout.panels(), &mut rows);
    out
}

/// The bits of every number.
pub fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The same memory as bytes.
#[allow(unsafe_code)]
fn as_bytes(words: &[u64]) -> &[u8] {
    // SAFETY: every byte of a u64 is initialized, u8 has no alignment, and the length in bytes is the same memory.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}
