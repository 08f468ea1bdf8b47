//! How hard the search tries, codec by codec: the figures behind it are in the test of [`super`].
use qint_core::codec::Codec;

/// The scales that are tried for a group, with both signs where the levels are not symmetric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// The largest magnitude of a level.
    pub(super) top: f32,
    /// Multiples of the group's size that this level is put at.
    pub(super) factors: &'static [f32],
    /// The group's size is its root mean square instead of its largest magnitude: outliers are cut anyway.
    pub(super) from_rms: bool,
}

const FOUR_BITS: &[f32] = &[0.75, 0.8125, 0.875, 0.9375, 1.0, 1.0625, 1.125, 1.1875, 1.25];
const TWO_BITS: &[f32] = &[1.5, 1.9, 2.3, 2.7];

impl Grid {
    /// What pays for `codec`.
    pub(super) fn of(codec: Codec) -> Grid {
        let grid = |top, factors| Grid { top, factors, from_rms: false };
        match codec {
            // Cutting the largest weight a little makes all others finer.
            Codec::Q8 => grid(127.0, &[1.0, 0.985]),
            Codec::Q4 => grid(63.0, FOUR_BITS),
            Codec::Q4Linear => grid(8.0, FOUR_BITS),
            Codec::Q2 => Grid { from_rms: true, ..grid(63.0, TWO_BITS) },
            Codec::Q2Linear => Grid { from_rms: true, ..grid(7.0, TWO_BITS) },
            // The levels are the signs: any scale finds them, and the best scale for them is the mean magnitude.
            Codec::Q1 => grid(1.0, &[1.0]),
        }
    }
}
