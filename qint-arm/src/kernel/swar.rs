//! The stream of linear codecs for a 32-bit multiplier that does two products at once, and the kernel in plain Rust.
//!
//! ```text
//! (w0 + w2·2¹⁶) · (a2 + a0·2¹⁶)  =  w0·a2 + (w0·a0 + w2·a2)·2¹⁶      modulo 2³²
//! ```
//!
//! 1. Activations are multiplied with the codec's step when the stream is written, and the offset −bias·Σx of 32 columns
//!    starts the sum: what ends up above bit 16 is Σ level·x of 32 columns, in −32512..=32512. What it passes through on the
//!    way doesn't matter modulo 2¹⁶.
//! 2. What is left over below, Σ code·step·x of the lower columns, is within ±30480: adding 2¹⁵ rounds it away.
//! 3. q8 has room for two products only. Each multiplication gets its own offset −128·(a0 + a2) + ½, and its result is
//!    shifted and added alone.
//!
//! ```text
//! for each 32 columns: [offset, four times]
//!     for each vector of codes: for the fields of bytes 0 and 2, then 1 and 3: [activation pair]   (q8: [pair] [offset])
//!     [bytes from the block's first sub-scales to this step's] [whether another step follows]
//! ```
use super::{Columns, Words, columns::STEP_QUADS, linear};
#[cfg(qint_kernels = "portable")]
use super::{Kernel, Stream, Sums};
use qint_core::{
    activation::SUM_COLS,
    codec::{Codec, Group},
    layout::PANEL_ROWS,
};

const HALF: i32 = 1 << 15;

#[inline(never)]
pub(super) fn write(codec: Codec, group: Group, x: Columns<'_>, to: &mut Words<'_>) {
    let Some((_, bias)) = linear(codec) else { return };
    for step in 0..x.steps {
        let offset = if codec == Codec::Q8 { 0 } else { ((-bias * x.sum(step, 1, 0)) << 16) + HALF };
        to.put([offset.cast_unsigned(); 4]);
        match codec {
            Codec::Q8 => wide_vectors(x.step(step), bias, to),
            Codec::Q4Linear => vectors::<2, 1>(x.step(step), to),
            Codec::Q2Linear => vectors::<4, 4>(x.step(step), to),
            _ => vectors::<8, 2>(x.step(step), to),
        }
        let sub_scales = step / (group.cols() / SUM_COLS) * PANEL_ROWS;
        to.put([sub_scales as u32, u32::from(step + 1 < x.steps)]);
    }
}

/// Vectors of F fields, the levels of whose codes are a factor apart.
fn vectors<const F: usize, const FACTOR: i32>(quads: [[i8; 4]; STEP_QUADS], to: &mut Words<'_>) {
    let Some(words) = to.next::<{ 2 * STEP_QUADS }>() else { return };
    for (vector, words) in quads.as_chunks::<F>().0.iter().zip(words.chunks_exact_mut(2 * F)) {
        let (even, odd) = words.split_at_mut_checked(F).unwrap_or_default();
        for ((quad, even), odd) in vector.iter().zip(even).zip(odd) {
            let [a0, a1, a2, a3] = quad.map(|a| i32::from(a) * FACTOR);
            *even = (a2 + (a0 << 16)).cast_unsigned();
            *odd = (a3 + (a1 << 16)).cast_unsigned();
        }
    }
}

fn wide_vectors(quads: [[i8; 4]; STEP_QUADS], bias: i32, to: &mut Words<'_>) {
    let pair = |upper: i32, lower: i32| (lower + (upper << 16)).cast_unsigned();
    let offset = |upper: i32, lower: i32| (((-bias * (upper + lower)) << 16) + HALF).cast_unsigned();
    for quad in quads {
        let [a0, a1, a2, a3] = quad.map(i32::from);
        to.put([pair(a0, a2), offset(a0, a2), pair(a1, a3), offset(a1, a3)]);
    }
}

#[cfg(qint_kernels = "portable")]
pub(crate) const fn choose(codec: Codec, _: usize) -> Kernel {
    match codec {
        Codec::Q8 => linear_kernel(portable::<1>),
        Codec::Q4Linear => linear_kernel(portable::<2>),
        Codec::Q2Linear => linear_kernel(portable::<4>),
        Codec::Q1 => linear_kernel(portable::<8>),
        Codec::Q4 | Codec::Q2 => super::plain::kernel(codec),
    }
}

#[cfg(qint_kernels = "portable")]
const fn linear_kernel(panel: super::Panel) -> Kernel {
    Kernel { lanes: 1, stream: Stream::Swar, panel, table: &[] }
}

/// Sixteen rows, four at a time, for codecs of F fields.
///
/// # Safety
/// As [`super::Panel`].
#[cfg(qint_kernels = "portable")]
#[allow(unsafe_code)]
unsafe extern "C" fn portable<const F: usize>(
    codes: *const u8,
    sub_scales: *const u8,
    stream: *const u32,
    sums: *mut Sums,
    _: *const u32,
) {
    for first_row in [0, 4, 8, 12] {
        // SAFETY: a vector of the panel has words of sixteen rows, from `codes` on, at a multiple of 4.
        let mut rows = unsafe { codes.cast::<u32>().add(first_row) };
        let mut x = Reader(stream);
        let mut totals = [0i32; 4];
        loop {
            let mut acc: [u32; 4] = core::array::from_fn(|_| x.next());
            for _ in 0..8 / F {
                // SAFETY: the stream has as many vectors as the block's codes, each of sixteen words.
                let words = unsafe { rows.cast::<[u32; 4]>().read() };
                rows = rows.wrapping_add(16);
                vector::<F>(words, &mut x, &mut acc);
            }
            let offset = x.next() as usize;
            for (row, (total, acc)) in totals.iter_mut().zip(acc).enumerate() {
                // SAFETY: the stream holds offsets of sub-scales of this block; each is one of sixteen rows.
                let sub_scale = unsafe { sub_scales.wrapping_add(offset + first_row + row).read() }.cast_signed();
                let sum = if F == 1 { acc.cast_signed() } else { acc.cast_signed() >> 16 };
                *total = total.wrapping_add(sum.wrapping_mul(i32::from(sub_scale)));
            }
            if x.next() == 0 {
                break;
            }
        }
        // SAFETY: `sums` has sixteen places, and the caller lent it exclusively.
        unsafe { sums.cast::<i32>().wrapping_add(first_row).cast::<[i32; 4]>().write(totals) };
    }
}

/// Four rows' words.
#[cfg(qint_kernels = "portable")]
#[inline(always)]
fn vector<const F: usize>(words: [u32; 4], x: &mut Reader, acc: &mut [u32; 4]) {
    let mask = 0x0001_0001 * (0xff >> (8 - 8 / F));
    for half in [0, 8] {
        for field in 0..F {
            let pair = x.next();
            let offset = if F == 1 { x.next() } else { 0 };
            for (acc, word) in acc.iter_mut().zip(words) {
                let codes = word >> (half + field * 8 / F) & mask;
                if F == 1 {
                    let products = codes.wrapping_mul(pair).wrapping_add(offset).cast_signed() >> 16;
                    *acc = acc.wrapping_add(products.cast_unsigned());
                } else {
                    *acc = acc.wrapping_add(codes.wrapping_mul(pair));
                }
            }
        }
    }
}

/// A stream that is being read.
#[cfg(qint_kernels = "portable")]
struct Reader(*const u32);

#[cfg(qint_kernels = "portable")]
impl Reader {
    #[allow(unsafe_code)]
    #[inline(always)]
    fn next(&mut self) -> u32 {
        // SAFETY: the kernel reads as many words as `write` wrote for its codec and block.
        let word = unsafe { self.0.read() };
        self.0 = self.0.wrapping_add(1);
        word
    }
}
