//! The stream and the tables of table codecs for SMLAD: 2·b neighbouring bits of a word are two codes (the same column of
//! two neighbouring quads) and are looked up as a pair of levels.
//!
//! ```text
//! for each group: [0, 0, 0, 0] [steps]
//!     for each vector of codes: for each pair, from the lowest bits: for each token: [pair of activations]
//! [0, 0, 0, 0] [0]
//! ```
use super::{Columns, Words, columns::groups, nested::header};
use qint_core::{
    activation::SUM_COLS,
    codec::{Codec, Group},
};

/// The levels of the lower code in the low half, of the upper code in the high half.
pub(super) static Q4: [u32; 256] = table(Codec::Q4);
pub(super) static Q2: [u32; 16] = table(Codec::Q2);

const fn table<const N: usize>(codec: Codec) -> [u32; N] {
    let mut pairs = [0; N];
    let mut codes = 0;
    while codes < N {
        let (low, high) = (codec.level(codes as u8) as u16, codec.level((codes >> codec.bits()) as u8) as u16);
        pairs[codes] = low as u32 | (high as u32) << 16;
        codes += 1;
    }
    pairs
}

#[inline(never)]
pub(super) fn write(codec: Codec, group: Group, x: Columns<'_>, to: &mut Words<'_>) {
    for (first, steps) in groups(x.steps, group.cols() / SUM_COLS) {
        header(&x, first, steps, 0, to);
        let quads = x.quads(first, steps);
        match (codec, x.lanes) {
            (Codec::Q4, 1) => vectors::<2, 1, 2, 4>(quads, to),
            (Codec::Q4, _) => vectors::<2, 4, 8, 16>(quads, to),
            (_, 1) => vectors::<4, 1, 4, 8>(quads, to),
            (_, _) => vectors::<4, 4, 16, 32>(quads, to),
        }
    }
    to.put([0; 5]);
}

/// Vectors of F fields of L tokens: Q = F · L quads, W = 2 · Q words.
#[inline(never)]
fn vectors<const F: usize, const L: usize, const Q: usize, const W: usize>(quads: &[[i8; 4]], to: &mut Words<'_>) {
    const { assert!(Q == F * L && W == 2 * Q) };
    for vector in quads.as_chunks::<Q>().0 {
        let Some(words) = to.next::<W>() else { return };
        for lane in 0..L {
            for field in (0..F).step_by(2) {
                let (low, high) = (vector[field * L + lane], vector[(field + 1) * L + lane]);
                for byte in 0..4 {
                    let pair = i32::from(low[byte]) & 0xffff | i32::from(high[byte]) << 16;
                    words[(byte * F / 2 + field / 2) * L + lane] = pair.cast_unsigned();
                }
            }
        }
    }
}
