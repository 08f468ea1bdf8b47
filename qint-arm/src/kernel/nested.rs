//! The stream of linear codecs for SMLAD, which multiplies two pairs of 16-bit numbers and adds both products.
//!
//! A byte of codes with F fields of b bits is n₀ + n₁·2ᵇ + … . Cutting it off above field f leaves B_f = n₀ + … + n_f·2^(f·b), so
//! n_f·2^(f·b) = B_f − B_(f−1), and
//!
//! ```text
//! 2^(8−b) · Σ n_f·x_f = Σ B_f·C_f      with  C_f = x_f·2^(8−b−f·b) − x_(f+1)·2^(8−b−(f+1)·b),   x_F = 0
//! ```
//!
//! |C_f| stays below 2¹⁵. The kernel takes two bytes (columns c and c + 2) of a row at once, whole, and cuts them off
//! field by field: one AND, one SMLAD. With level = step·code − bias a group starts at −bias·Σx·2^(8−b)/step; the factor
//! 2^(8−b)/step (1, 16, 16, 64) is a power of two and leaves with a shift at the end of the block, up to which everything fits:
//! 128·8·16·127·1024 < 2³¹.
//!
//! ```text
//! for each group: [offset of 4 tokens, or of the one, four times] [steps]
//!     for each vector of codes: for bytes 0 and 2, then 1 and 3: for f = F−1 … 0: for each token: [C_f pair]
//! [0, 0, 0, 0] [0]
//! ```
use super::{Columns, Words, columns::groups, linear};
use qint_core::{
    activation::SUM_COLS,
    codec::{Codec, Group},
};

#[inline(never)]
pub(super) fn write(codec: Codec, group: Group, x: Columns<'_>, to: &mut Words<'_>) {
    let Some((step, bias)) = linear(codec) else { return };
    let offset = -(bias << (8 - codec.bits())) / step;
    for (first, steps) in groups(x.steps, group.cols() / SUM_COLS) {
        header(&x, first, steps, offset, to);
        let quads = x.quads(first, steps);
        match (codec, x.lanes) {
            (Codec::Q8, 1) => vectors::<1, 1, 1, 2>(quads, to),
            (Codec::Q8, _) => vectors::<1, 4, 4, 8>(quads, to),
            (Codec::Q4Linear, 1) => vectors::<2, 1, 2, 4>(quads, to),
            (Codec::Q4Linear, _) => vectors::<2, 4, 8, 16>(quads, to),
            (Codec::Q2Linear, 1) => vectors::<4, 1, 4, 8>(quads, to),
            (Codec::Q2Linear, _) => vectors::<4, 4, 16, 32>(quads, to),
            (_, 1) => vectors::<8, 1, 8, 16>(quads, to),
            (_, _) => vectors::<8, 4, 32, 64>(quads, to),
        }
    }
    to.put([0; 5]);
}

/// What four sums start from, and how many steps follow.
pub(super) fn header(x: &Columns<'_>, first: usize, steps: usize, offset: i32, to: &mut Words<'_>) {
    let mut header = [steps as u32; 5];
    for lane in 0..4 {
        header[lane] = if lane < x.lanes { (offset * x.sum(first, steps, lane)).cast_unsigned() } else { header[0] };
    }
    to.put(header);
}

/// Vectors of F fields of L tokens: Q = F · L quads, W = 2 · Q words.
///
/// Two coefficients are first one number, low + high·2¹⁶, which is what shifts and subtractions keep; a negative low half
/// has then borrowed from the high one, and gets it back.
#[inline(never)]
fn vectors<const F: usize, const L: usize, const Q: usize, const W: usize>(quads: &[[i8; 4]], to: &mut Words<'_>) {
    const { assert!(Q == F * L && W == 2 * Q) };
    for vector in quads.as_chunks::<Q>().0 {
        let Some(words) = to.next::<W>() else { return };
        for lane in 0..L {
            let mut above = [0; 2];
            for field in (0..F).rev() {
                let [a, b, c, d] = vector[field * L + lane].map(i32::from);
                let own = [a + (c << 16), b + (d << 16)];
                let shift = (F - 1 - field) * 8 / F;
                for half in 0..2 {
                    let below = if field + 1 < F { above[half] << (shift - 8 / F) } else { 0 };
                    let pair = (own[half] << shift).wrapping_sub(below);
                    words[(half * F + F - 1 - field) * L + lane] =
                        pair.wrapping_add((pair & 0x8000) << 1).cast_unsigned();
                }
                above = own;
            }
        }
    }
}
