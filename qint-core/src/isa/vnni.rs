//! Products by `vpdpbusd`, whatever its width: per lane, four unsigned bytes times four signed ones, added to 32 bits. It wants
//! unsigned levels, which is what codecs decode to, q8 included; nothing saturates.
//!
//! ```text
//! dots = −BIAS · Σx                                       a broadcast from memory
//! for each quad (4 columns of 16 rows), for each token:
//!     dots += vpdpbusd(levels, x)
//! sums += dots · sub_scales                               once per group
//! ```
//!
//! 1. Several tokens have an accumulator for every pair of panel and token. Each vector of levels meets all tokens, each broadcast
//!    of activations all panels.
//! 2. A single token has four accumulators, one for each of four quads, so that `vpdpbusd` needn't wait for itself.
//! 3. A single token's levels may come shifted: a mask alone takes a field out of a byte, and the shift is undone once per
//!    group.
use super::{GroupInputs, GroupLevels, Isa, LevelRange};
use core::array;

/// A token with `vpdpbusd` as its [`Isa::dot4`].
pub(super) trait Vnni: Isa {
    /// The same number in all lanes.
    fn splat_lanes(self, value: i32) -> Self::I32;
    /// The same quad in all lanes.
    fn splat_quads(self, quad: [i8; 4]) -> Self::Bytes;
    /// Arithmetic shift to the right, to the left if negative.
    fn shift_right(self, sums: Self::I32, count: i32) -> Self::I32;
    /// Times sub-scales, modulo 2³².
    fn times(self, dots: Self::I32, sub_scales: Self::Bytes) -> Self::I32;
}

/// [`Isa::offset`].
#[inline(always)]
pub(super) const fn offset(bias: i32, sum: i32) -> i32 {
    -bias * sum
}

/// [`Isa::dot_group`].
#[inline(always)]
pub(super) fn dot_group<I: Vnni, R: LevelRange, const P: usize, const T: usize>(
    isa: I,
    sums: &mut [[I::I32; T]; P],
    levels: &impl GroupLevels<I::Bytes, P>,
    x: &impl GroupInputs<T>,
) {
    let dots = if P * T == 1 { chains::<I, R, P, T>(isa, levels, x) } else { tile(isa, levels, x) };
    for p in 0..P {
        let sub_scales = levels.sub_scales(p);
        for t in 0..T {
            sums[p][t] = isa.add_i32(sums[p][t], isa.times(dots[p][t], sub_scales));
        }
    }
}

/// One accumulator for every pair of panel and token.
#[inline(always)]
fn tile<I: Vnni, const P: usize, const T: usize>(
    isa: I,
    levels: &impl GroupLevels<I::Bytes, P>,
    x: &impl GroupInputs<T>,
) -> [[I::I32; T]; P] {
    let mut dots: [[I::I32; T]; P] = [array::from_fn(|t| isa.splat_lanes(x.offset(t))); P];
    for step in 0..levels.steps() {
        for quad in 0..8 {
            let levels: [I::Bytes; P] = array::from_fn(|p| levels.quad(p, step, quad));
            for t in 0..T {
                let x = isa.splat_quads(x.quad(t, step, quad));
                for (dots, &levels) in dots.iter_mut().zip(&levels) {
                    dots[t] = isa.dot4(dots[t], levels, x);
                }
            }
        }
    }
    dots
}

/// Four accumulators for a single token and panel, their sum in every entry.
#[inline(always)]
fn chains<I: Vnni, R: LevelRange, const P: usize, const T: usize>(
    isa: I,
    levels: &impl GroupLevels<I::Bytes, P>,
    x: &impl GroupInputs<T>,
) -> [[I::I32; T]; P] {
    let mut chains = [isa.zero(); 4];
    chains[R::UNSHIFTED] = isa.splat_lanes(x.offset(0));
    let [mut a, mut b, mut c, mut d] = chains;
    for step in 0..levels.steps() {
        let group = (levels, x, step);
        // Not a loop: if the compiler left it one, the accumulators would be in memory.
        (a, b, c, d) = (
            add_quad(isa, a, group, 0),
            add_quad(isa, b, group, 1),
            add_quad(isa, c, group, 2),
            add_quad(isa, d, group, 3),
        );
        (a, b, c, d) = (
            add_quad(isa, a, group, 4),
            add_quad(isa, b, group, 5),
            add_quad(isa, c, group, 6),
            add_quad(isa, d, group, 7),
        );
    }
    let mut chains = [a, b, c, d];
    for (chain, shift) in chains.iter_mut().zip(R::SHIFTS) {
        if shift != 0 {
            *chain = isa.shift_right(*chain, shift);
        }
    }
    let [a, b, c, d] = chains;
    [[isa.add_i32(isa.add_i32(a, b), isa.add_i32(c, d)); T]; P]
}

/// `sum` and one quad of a step of a group, for a single token and panel.
#[inline(always)]
fn add_quad<I: Vnni, const P: usize, const T: usize>(
    isa: I,
    sum: I::I32,
    (levels, x, step): (&impl GroupLevels<I::Bytes, P>, &impl GroupInputs<T>, usize),
    quad: usize,
) -> I::I32 {
    isa.dot4(sum, levels.quad(0, step, quad), isa.splat_quads(x.quad(0, step, quad)))
}
