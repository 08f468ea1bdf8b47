//! Vectors of stored keys and values, and what they are multiplied with.
//!
//! f32 and f16 are multiplied with f32 numbers by fma. i8 numbers are multiplied with 16-bit integers, exactly: a row of
//! queries, or of weights times the values' scales, becomes integers with one scale, a = absmax/32767. That costs 1/256 of the
//! error that i8 keys and values have themselves, takes half of the instructions where they are 512 bits wide, and suits
//! microcontrollers, which multiply 16-bit integers but often lack fma.
use crate::{
    element::{LANES, largest_magnitude, load_part},
    isa::{Isa, Lanes},
    llama::kv_order::CHUNK,
};
use half::f16;

/// Absmax below this counts as 0, so that scales are normal numbers.
const SMALLEST: f32 = 1.0 / (1u128 << 100) as f32;
/// The largest factor. 32767 · 127 · 512 is below 2³¹: sums over a head are exact.
const LARGEST: f32 = 32767.0;

/// A vector of sixteen lanes of [`DEPTH`](Stored::DEPTH) numbers.
pub(super) trait Stored: Copy + Send + Sync {
    /// Numbers in a lane.
    const DEPTH: usize;
    /// What one row multiplies a lane with.
    type Factor: Copy;
    /// Sixteen factors, widened lanes or sums.
    type Sum<I: Isa>: Copy;
    const NOTHING: Self::Factor;

    /// Fills the factors of a query; returns their scale.
    fn query<I: Isa>(isa: I, query: &[f32], factors: &mut [Self::Factor]) -> f32;
    /// Fills the factors of a chunk's weights, times the values' scales if there are any; returns their scale.
    fn weights<I: Isa>(isa: I, weights: &[Lanes], scales: Option<&[Lanes]>, factors: &mut [Self::Factor; CHUNK])
    -> f32;

    fn zero<I: Isa>(isa: I) -> Self::Sum<I>;
    fn load<I: Isa>(isa: I, vector: &Self) -> Self::Sum<I>;
    fn splat<I: Isa>(isa: I, factor: Self::Factor) -> Self::Sum<I>;
    fn multiply_add<I: Isa>(isa: I, sum: Self::Sum<I>, factor: Self::Sum<I>, vector: Self::Sum<I>) -> Self::Sum<I>;
    /// The sum of products; times `scale` if factors have one.
    fn to_f32<I: Isa>(isa: I, sum: Self::Sum<I>, scale: I::F32) -> I::F32;
}

/// For every row q and column c: `finish(q, c, sums)` with the sums Σ factors[q][i] · matrix[i][c], in ascending i from 0, of
/// columns c, c + 1 … `matrix` has `stride` vectors a line and `count` lines, at most `N`. `V` columns are worked on at a time:
/// `Q · V` sums stay in registers.
#[inline(always)]
pub(super) fn multiply<I: Isa, S: Stored, const Q: usize, const V: usize, const N: usize>(
    isa: I,
    factors: &[[S::Factor; N]; Q],
    (matrix, stride): (&[S], usize),
    columns: usize,
    mut finish: impl FnMut(usize, usize, &[S::Sum<I>]),
) {
    let mut column = 0;
    while column + V <= columns {
        let sums = products::<I, S, Q, V, N>(isa, factors, (matrix, stride), column);
        for (q, sums) in sums.iter().enumerate() {
            finish(q, column, sums);
        }
        column += V;
    }
    while column < columns {
        let sums = products::<I, S, Q, 1, N>(isa, factors, (matrix, stride), column);
        for (q, sums) in sums.iter().enumerate() {
            finish(q, column, sums);
        }
        column += 1;
    }
}

#[inline(always)]
fn products<I: Isa, S: Stored, const Q: usize, const V: usize, const N: usize>(
    isa: I,
    factors: &[[S::Factor; N]; Q],
    (matrix, stride): (&[S], usize),
    column: usize,
) -> [[S::Sum<I>; V]; Q] {
    let mut sums = [[S::zero(isa); V]; Q];
    for (i, line) in matrix.chunks_exact(stride).take(N).enumerate() {
        let line = &line[column..column + V];
        let mut vectors = [S::zero(isa); V];
        for v in 0..V {
            vectors[v] = S::load(isa, &line[v]);
            if (v * size_of::<S>()).is_multiple_of(64) {
                // The next chunk lies behind this one.
                isa.prefetch_far(&line[v], size_of_val(matrix));
            }
        }
        for q in 0..Q {
            let factor = S::splat(isa, factors[q][i]);
            for v in 0..V {
                sums[q][v] = S::multiply_add(isa, sums[q][v], factor, vectors[v]);
            }
        }
    }
    sums
}

/// What f32 and f16 share.
macro_rules! multiplied_by_fma {
    ($number:ty, $load:ident) => {
        impl Stored for [$number; LANES] {
            const DEPTH: usize = 1;
            type Factor = f32;
            type Sum<I: Isa> = I::F32;
            const NOTHING: f32 = 0.0;

            #[inline(always)]
            fn query<I: Isa>(_: I, query: &[f32], factors: &mut [Self::Factor]) -> f32 {
                factors[..query.len()].copy_from_slice(query);
                1.0
            }
            #[inline(always)]
            fn weights<I: Isa>(
                _: I,
                weights: &[Lanes],
                _: Option<&[Lanes]>,
                factors: &mut [Self::Factor; CHUNK],
            ) -> f32 {
                for (factors, weights) in factors.as_chunks_mut().0.iter_mut().zip(weights) {
                    *factors = *weights;
                }
                1.0
            }
            #[inline(always)]
            fn zero<I: Isa>(isa: I) -> I::F32 {
                isa.splat(0.0)
            }
            #[inline(always)]
            fn load<I: Isa>(isa: I, vector: &Self) -> I::F32 {
                isa.$load(vector)
            }
            #[inline(always)]
            fn splat<I: Isa>(isa: I, factor: f32) -> I::F32 {
                isa.splat(factor)
            }
            #[inline(always)]
            fn multiply_add<I: Isa>(isa: I, sum: I::F32, factor: I::F32, vector: I::F32) -> I::F32 {
                isa.fma(factor, vector, sum)
            }
            #[inline(always)]
            fn to_f32<I: Isa>(_: I, sum: I::F32, _: I::F32) -> I::F32 {
                sum
            }
        }
    };
}
multiplied_by_fma!(f32, load);
multiplied_by_fma!(f16, load_f16);

impl Stored for [i8; 2 * LANES] {
    const DEPTH: usize = 2;
    type Factor = [i16; 2];
    type Sum<I: Isa> = I::I32;
    const NOTHING: [i16; 2] = [0; 2];

    #[inline(always)]
    fn query<I: Isa>(isa: I, query: &[f32], factors: &mut [Self::Factor]) -> f32 {
        let Rounding { scale, inverse } = Rounding::new(largest_magnitude(isa, query));
        for (factors, part) in factors.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(query.chunks(LANES)) {
            let part = isa.mul(load_part(isa, part), isa.splat(inverse));
            isa.store_i16(isa.round_to_i32(part), factors);
        }
        scale
    }
    #[inline(always)]
    fn weights<I: Isa>(
        isa: I,
        weights: &[Lanes],
        scales: Option<&[Lanes]>,
        factors: &mut [Self::Factor; CHUNK],
    ) -> f32 {
        let mut scaled = [[0.0; LANES]; CHUNK / LANES];
        let scaled = &mut scaled[..weights.len()];
        let mut largest = isa.splat(0.0);
        for (scaled, (weights, scale)) in scaled.iter_mut().zip(weights.iter().zip(scales.unwrap_or_default())) {
            let products = isa.mul(isa.load(weights), isa.load(scale));
            isa.store(products, scaled);
            // None is negative. A NaN is passed over: the sum of weights has it too.
            largest = isa.max(products, largest);
        }
        let Rounding { scale, inverse } = Rounding::new(isa.largest(largest));
        for (factors, scaled) in factors.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(scaled) {
            isa.store_i16(isa.round_to_i32(isa.mul(isa.load(scaled), isa.splat(inverse))), factors);
        }
        scale
    }
    #[inline(always)]
    fn zero<I: Isa>(isa: I) -> I::I32 {
        isa.zero()
    }
    #[inline(always)]
    fn load<I: Isa>(isa: I, vector: &Self) -> I::I32 {
        isa.load_pairs(vector)
    }
    #[inline(always)]
    fn splat<I: Isa>(isa: I, factor: [i16; 2]) -> I::I32 {
        isa.splat_pair(factor)
    }
    #[inline(always)]
    fn multiply_add<I: Isa>(isa: I, sum: I::I32, factor: I::I32, vector: I::I32) -> I::I32 {
        isa.dot2(sum, factor, vector)
    }
    #[inline(always)]
    fn to_f32<I: Isa>(isa: I, sum: I::I32, scale: I::F32) -> I::F32 {
        isa.mul(isa.to_f32(sum), scale)
    }
}

/// How numbers become 16-bit integers: round-half-even(x · inverse).
struct Rounding {
    scale: f32,
    inverse: f32,
}

impl Rounding {
    /// Not finite numbers give NaN as scale and integers without meaning.
    #[inline(always)]
    fn new(absmax: f32) -> Rounding {
        if absmax < SMALLEST {
            return Rounding { scale: 0.0, inverse: 0.0 };
        }
        let scale = if absmax < f32::INFINITY { absmax / LARGEST } else { f32::NAN };
        Rounding { scale, inverse: LARGEST / absmax }
    }
}
