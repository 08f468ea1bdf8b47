//! The level nearest to a number, without branches: two forms cover all codecs.
//!
//! A codec with equidistant levels rounds; one with a table counts the midpoints below the number. Both give the same
//! bits on every machine: additions, multiplications and comparisons only.
use qint_core::codec::Codec;

/// 1.5 · 2²³: adding it rounds |t| < 2²² to the nearest integer (even in ties), which then lies in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// Numbers that are looked at together, so that loops become vector instructions.
pub(super) const LANES: usize = 16;

/// Finds levels.
pub(super) trait Nearest: Copy {
    /// The levels nearest to `t`.
    fn levels(&self, t: [f32; LANES]) -> [f32; LANES];
    /// Its code.
    fn code(&self, t: f32) -> u8;
}

/// Levels `first + step · code`, code in `low..=high`.
#[derive(Clone, Copy)]
pub(super) struct Linear {
    inverse_step: f32,
    offset: f32,
    low: f32,
    high: f32,
    step: f32,
    first: f32,
}

/// N ascending levels.
#[derive(Clone, Copy)]
pub(super) struct Table<const N: usize> {
    lowest: f32,
    /// Midpoint below level i and the step up to it; entry 0 is never counted.
    steps: [(f32, f32); N],
}

impl Linear {
    /// The levels of `codec`, which are equidistant. q8 leaves out its code 0.
    pub(super) fn new(codec: Codec) -> Linear {
        let levels = codec.levels();
        let (first, step) = (f32::from(levels[0]), f32::from(levels[1]) - f32::from(levels[0]));
        let low = if codec == Codec::Q8 { 1.0 } else { 0.0 };
        Linear { inverse_step: 1.0 / step, offset: -first / step, low, high: (levels.len() - 1) as f32, step, first }
    }

    #[inline(always)]
    fn rounded(&self, t: f32) -> f32 {
        let t = t * self.inverse_step + self.offset;
        let t = if t > self.low { t } else { self.low };
        (if t < self.high { t } else { self.high }) + ROUNDER
    }
}

impl Nearest for Linear {
    #[inline(always)]
    fn levels(&self, t: [f32; LANES]) -> [f32; LANES] {
        let mut levels = t;
        for level in &mut levels {
            *level = (self.rounded(*level) - ROUNDER) * self.step + self.first;
        }
        levels
    }

    #[inline(always)]
    fn code(&self, t: f32) -> u8 {
        self.rounded(t).to_bits() as u8
    }
}

impl<const N: usize> Table<N> {
    /// The levels of `codec`, which has N of them.
    pub(super) fn new(codec: Codec) -> Table<N> {
        let levels = codec.levels();
        let mut steps = [(f32::INFINITY, 0.0); N];
        for (step, pair) in steps[1..].iter_mut().zip(levels.windows(2)) {
            let (below, level) = (f32::from(pair[0]), f32::from(pair[1]));
            *step = (0.5 * (below + level), level - below);
        }
        Table { lowest: f32::from(levels[0]), steps }
    }
}

impl<const N: usize> Nearest for Table<N> {
    #[inline(always)]
    fn levels(&self, t: [f32; LANES]) -> [f32; LANES] {
        let mut levels = t;
        for level in &mut levels {
            let t = *level;
            *level = self.lowest;
            for (midpoint, step) in &self.steps[1..] {
                *level += if t > *midpoint { *step } else { 0.0 };
            }
        }
        levels
    }

    #[inline(always)]
    fn code(&self, t: f32) -> u8 {
        self.steps[1..].iter().map(|(midpoint, _)| u8::from(t > *midpoint)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(nearest: impl Nearest, t: f32) -> (f32, u8) {
        (nearest.levels([t; LANES])[3], nearest.code(t))
    }

    #[test]
    fn every_codec_finds_the_nearest_level() {
        for codec in Codec::ALL {
            for step in -1400..1400 {
                let t = step as f32 * 0.1 + 0.03;
                let (level, code) = match codec {
                    Codec::Q4 => find(Table::<16>::new(codec), t),
                    Codec::Q2 => find(Table::<4>::new(codec), t),
                    _ => find(Linear::new(codec), t),
                };
                assert_eq!(level, f32::from(codec.level(code)));
                let allowed = if codec == Codec::Q8 { &codec.levels()[1..] } else { codec.levels() };
                let best = allowed.iter().map(|&l| (f32::from(l) - t).abs()).fold(f32::INFINITY, f32::min);
                assert!((level - t).abs() <= best + 1e-4, "{} {t}: {level}", codec.name());
            }
        }
    }
}
