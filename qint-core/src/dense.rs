//! Matrix products with dense weights: the un-quantized reference, through the same pass as the quantized one.
//!
//! `y[t][r] = Σ w[r][c] · x[t][c]`: sixteen partial sums, columns c ≡ lane (mod 16) by fma in ascending order, then the tree
//! of [`Isa::sum`]. So an output doesn't depend on the tile it was computed in:
//!
//! ```text
//! for each 6 tokens:              their activations stay in the first-level cache
//!   for each 2 rows:              the weights of these rows too
//!     for each 3 of the tokens:   6 × 16 partial sums in registers; a vector of weights serves 3 tokens
//! ```
//! One token alone (and those left over) meets 4 rows at a time.
use crate::{
    backend::{Backend, Operation},
    element::{Element, LANES, load_part},
    isa::Isa,
    matrix::{DenseMatrix, DenseValues},
    team::RowsMut,
};
use core::ops::Range;

/// Tokens whose activations are kept in cache.
const TOKEN_BLOCK: usize = 6;

/// Dense activations: `[tokens][stride]`, of which the first columns count.
#[derive(Clone, Copy, Debug)]
pub struct DenseActivations<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// Numbers from one token to the next, at least the matrix's columns.
    pub stride: usize,
}

/// `out[t][r] = Σ w[r] · x[t]` for the rows and tokens of `out`.
///
/// # Panics
/// If `x` has fewer tokens than `out` or a stride below the matrix's columns, or `out` has rows that the matrix has not.
pub fn matmul(backend: Backend, matrix: &DenseMatrix<'_>, x: DenseActivations<'_>, out: &mut RowsMut<'_>) {
    let cols = matrix.cols();
    match matrix.values() {
        DenseValues::F32(weights) => backend.run(Product { weights, cols, x, out }),
        DenseValues::F16(weights) => backend.run(Product { weights, cols, x, out }),
        DenseValues::BF16(weights) => backend.run(Product { weights, cols, x, out }),
    }
}

struct Product<'a, 'out, T> {
    weights: &'a [T],
    cols: usize,
    x: DenseActivations<'a>,
    out: &'a mut RowsMut<'out>,
}

impl<T: Element> Operation for Product<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let tokens = self.out.tokens();
        for first in (0..tokens).step_by(TOKEN_BLOCK) {
            let block = first..tokens.min(first + TOKEN_BLOCK);
            let whole = block.start..block.end - block.len() % 3;
            self.tiles::<I, 2, 3>(isa, whole.clone());
            self.tiles::<I, 4, 1>(isa, whole.end..block.end);
        }
    }
}

impl<T: Element> Product<'_, '_, T> {
    /// All rows for `tokens`, a multiple of `TOKENS`, in tiles of `ROWS` rows and then of one.
    #[inline(always)]
    fn tiles<I: Isa, const ROWS: usize, const TOKENS: usize>(&mut self, isa: I, tokens: Range<usize>) {
        if tokens.is_empty() {
            return;
        }
        let rows = self.out.range();
        let whole = rows.end - rows.len() % ROWS;
        for row in (rows.start..whole).step_by(ROWS) {
            self.row_tiles::<I, ROWS, TOKENS>(isa, row, tokens.clone());
        }
        for row in whole..rows.end {
            self.row_tiles::<I, 1, TOKENS>(isa, row, tokens.clone());
        }
    }

    #[inline(always)]
    fn row_tiles<I: Isa, const ROWS: usize, const TOKENS: usize>(&mut self, isa: I, row: usize, tokens: Range<usize>) {
        let (cols, first) = (self.cols, self.out.range().start);
        let mut weights: [&[T]; ROWS] = [&[]; ROWS];
        for (i, row_weights) in weights.iter_mut().enumerate() {
            *row_weights = &self.weights[(row + i) * cols..][..cols];
        }
        for token in tokens.step_by(TOKENS) {
            let mut x: [&[f32]; TOKENS] = [&[]; TOKENS];
            for (i, token_x) in x.iter_mut().enumerate() {
                *token_x = &self.x.values[(token + i) * self.x.stride..][..cols];
            }
            let sums = tile(isa, weights, x);
            for (r, sums) in sums.into_iter().enumerate() {
                for (t, sum) in sums.into_iter().enumerate() {
                    self.out.token(token + t)[row + r - first] = isa.sum(sum);
                }
            }
        }
    }
}

/// The partial sums of every (row, token) of a tile; all slices are equally long.
#[inline(always)]
fn tile<I: Isa, T: Element, const ROWS: usize, const TOKENS: usize>(
    isa: I,
    weights: [&[T]; ROWS],
    x: [&[f32]; TOKENS],
) -> [[I::F32; TOKENS]; ROWS] {
    let steps = weights[0].len() / LANES;
    let mut weight_vectors: [&[[T; LANES]]; ROWS] = [&[]; ROWS];
    let mut x_vectors: [&[[f32; LANES]]; TOKENS] = [&[]; TOKENS];
    for r in 0..ROWS {
        weight_vectors[r] = &weights[r].as_chunks().0[..steps];
    }
    for t in 0..TOKENS {
        x_vectors[t] = &x[t].as_chunks().0[..steps];
    }
    let mut sums = [[isa.splat(0.0); TOKENS]; ROWS];
    for step in 0..steps {
        for r in 0..ROWS {
            let weights = T::load(isa, &weight_vectors[r][step]);
            for t in 0..TOKENS {
                sums[r][t] = isa.fma(weights, isa.load(&x_vectors[t][step]), sums[r][t]);
            }
        }
    }
    let done = steps * LANES;
    if done < weights[0].len() {
        for r in 0..ROWS {
            let weights = load_part(isa, &weights[r][done..]);
            for t in 0..TOKENS {
                sums[r][t] = isa.fma(weights, load_part(isa, &x[t][done..]), sums[r][t]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{element::dot, isa::Portable, team::DisjointRows};
    use half::{bf16, f16};
    use std::vec::Vec;

    fn numbers(count: usize, seed: usize) -> impl Iterator<Item = f32> {
        (0..count).map(move |i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1000.0 - 1.0)
    }

    /// Every output is the dot product of its row and its token, whatever tile it was in.
    fn compare<T: Element>(rows: usize, cols: usize, tokens: usize, weights: &[T], values: DenseValues<'_>) {
        let stride = cols + 5;
        let x: Vec<f32> = numbers(tokens * stride, 1).collect();
        let matrix = DenseMatrix::new(rows, cols, values).unwrap();
        for backend in Backend::available() {
            let mut out = std::vec![f32::NAN; tokens * rows];
            for mut rows in DisjointRows::new(&mut out, rows, rows, 7) {
                matmul(backend, &matrix, DenseActivations { values: &x, stride }, &mut rows);
            }
            for (token, out) in out.chunks(rows).enumerate() {
                for (row, y) in out.iter().enumerate() {
                    let expected = dot(Portable, &x[token * stride..][..cols], &weights[row * cols..][..cols]);
                    assert_eq!(y.to_bits(), expected.to_bits(), "{rows}×{cols}, row {row}, token {token} of {tokens}");
                }
            }
        }
    }

    #[test]
    fn outputs_do_not_depend_on_the_tile() {
        for cols in [1, 12, 16, 20, 33, 172] {
            for (rows, tokens) in [(1, 1), (2, 3), (9, 1), (9, 2), (9, 7), (9, 8), (13, 13)] {
                let weights: Vec<f32> = numbers(rows * cols, 2).collect();
                compare(rows, cols, tokens, &weights, DenseValues::F32(&weights));
                let halves: Vec<f16> = weights.iter().map(|&x| f16::from_f32(x)).collect();
                compare(rows, cols, tokens, &halves, DenseValues::F16(&halves));
                let halves: Vec<bf16> = weights.iter().map(|&x| bf16::from_f32(x)).collect();
                compare(rows, cols, tokens, &halves, DenseValues::BF16(&halves));
            }
        }
    }

    #[test]
    fn dot_products_agree_with_f64() {
        for cols in [1, 15, 16, 17, 576] {
            let (x, y): (Vec<f32>, Vec<f32>) = (numbers(cols, 3).collect(), numbers(cols, 4).collect());
            let exact: f64 = x.iter().zip(&y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            assert!((f64::from(dot(Portable, &x, &y)) - exact).abs() < 1e-5, "{cols}");
        }
    }
}
