//! The grid of scales, tried in small integers: 16 bits for weights, 8 for levels, several times the speed of f32.
//!
//! A group's weights become i16 relative to its largest magnitude. At a candidate scale, one multiplication gives twice
//! the wanted level, rounded down; midpoints between integer levels are multiples of 1/2, so comparing with them finds
//! the nearest level exactly. The sums Σ x·l and Σ l² are exact i32. Only the scale that they lead to is used further;
//! everything after it is done with the weights themselves.
use super::{grid::Grid, search::FirstScale};
use qint_core::codec::Codec;

/// The longest group.
const LONGEST: usize = 128;
/// Weights that are looked at together.
const CHUNK: usize = 32;
/// The largest magnitude of a weight, as i16.
const ONE: f32 = 16384.0;

/// N ascending levels in −64..=63.
#[derive(Clone, Copy)]
pub(super) struct Coarse<const N: usize> {
    lowest: i8,
    /// Twice the midpoint below level i, minus one, and the step up to this level. Entry 0 is not used.
    above: [i8; N],
    steps: [i8; N],
    /// The square of the level nearest to 0.
    zero: i32,
}

impl<const N: usize> Coarse<N> {
    /// The levels of `codec`, which has N of them.
    pub(super) fn new(codec: Codec) -> Coarse<N> {
        let levels = codec.levels();
        let mut coarse = Coarse { lowest: levels[0], above: [0; N], steps: [0; N], zero: 0 };
        for (i, pair) in levels.windows(2).enumerate() {
            coarse.above[i + 1] = pair[0] + pair[1] - 1;
            coarse.steps[i + 1] = pair[1] - pair[0];
        }
        let zero = i32::from(coarse.levels(&[0; CHUNK], 0)[0]);
        Coarse { zero: zero * zero, ..coarse }
    }

    #[inline(always)]
    fn levels(&self, weights: &[i16; CHUNK], multiplier: i16) -> [i8; CHUNK] {
        let mut doubled = [0i8; CHUNK];
        for i in 0..CHUNK {
            let product = (i32::from(weights[i]) * i32::from(multiplier)) >> 16;
            doubled[i] = (product as i16).clamp(-128, 127) as i8;
        }
        let mut levels = [self.lowest; CHUNK];
        for i in 0..CHUNK {
            for (above, step) in self.above[1..].iter().zip(&self.steps[1..]) {
                levels[i] += if doubled[i] > *above { *step } else { 0 };
            }
        }
        levels
    }
}

impl<const N: usize> FirstScale for Coarse<N> {
    #[inline(always)]
    fn scale(&self, grid: Grid, x: &[f32], largest: f32, size: f32) -> f32 {
        let mut weights = [0i16; LONGEST];
        let factor = ONE / largest;
        for (weight, x) in weights.iter_mut().zip(x) {
            *weight = (x * factor) as i16;
        }
        let chunks = &weights.as_chunks::<CHUNK>().0[..x.len().div_ceil(CHUNK)];
        let padding = (chunks.len() * CHUNK - x.len()) as i32;
        let unit = 8.0 * grid.top * (largest / size);
        let (mut best, mut best_gain) = (0.0, 0.0);
        for factor in grid.factors {
            let multiplier = (unit / factor).min(f32::from(i16::MAX)) as i16;
            for multiplier in [multiplier, -multiplier] {
                let (mut xl, mut ll) = (0, -padding * self.zero);
                for chunk in chunks {
                    let levels = self.levels(chunk, multiplier);
                    for i in 0..CHUNK {
                        xl += i32::from(chunk[i]) * i32::from(levels[i]);
                        ll += i32::from(levels[i]) * i32::from(levels[i]);
                    }
                }
                let (xl, ll) = (xl as f32, ll.max(1) as f32);
                if xl * xl / ll > best_gain {
                    (best, best_gain) = (xl / ll, xl * xl / ll);
                }
            }
        }
        best / factor
    }
}
