//! Table codecs without a DSP extension: every code is looked up, every product done alone. Plain Rust on all of these cores.
//!
//! ```text
//! for each group: [steps]
//!     for each quad: [four activations, a byte each]
//! [0]
//! ```
use super::{Columns, Kernel, Panel, Stream, Sums, Words, columns::groups};
use qint_core::{
    activation::SUM_COLS,
    codec::{Codec, Group, Q2_LEVELS, Q4_LEVELS},
    layout::PANEL_ROWS,
};

#[inline(never)]
pub(super) fn write(group: Group, x: Columns<'_>, to: &mut Words<'_>) {
    for (first, steps) in groups(x.steps, group.cols() / SUM_COLS) {
        to.put([steps as u32]);
        for step in first..first + steps {
            to.put(x.step(step).map(|quad| u32::from_le_bytes(quad.map(i8::cast_unsigned))));
        }
    }
    to.put([0]);
}

pub(super) const fn kernel(codec: Codec) -> Kernel {
    let panel: Panel = if matches!(codec, Codec::Q4) { q4 } else { q2 };
    Kernel { lanes: 1, stream: Stream::Plain, panel, table: &[] }
}

/// # Safety
/// As [`super::Panel`].
#[allow(unsafe_code)]
unsafe extern "C" fn q4(codes: *const u8, subs: *const u8, stream: *const u32, sums: *mut Sums, _: *const u32) {
    // SAFETY: passed on.
    unsafe { rows::<2>(codes, subs, stream, sums, |code| Q4_LEVELS[code as usize & 15]) }
}

/// # Safety
/// As [`super::Panel`].
#[allow(unsafe_code)]
unsafe extern "C" fn q2(codes: *const u8, subs: *const u8, stream: *const u32, sums: *mut Sums, _: *const u32) {
    // SAFETY: passed on.
    unsafe { rows::<4>(codes, subs, stream, sums, |code| Q2_LEVELS[code as usize & 3]) }
}

/// # Safety
/// As [`super::Panel`].
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn rows<const F: usize>(
    codes: *const u8,
    sub_scales: *const u8,
    stream: *const u32,
    sums: *mut Sums,
    level: impl Fn(u32) -> i8,
) {
    for row in 0..PANEL_ROWS {
        // SAFETY: a vector of the panel has words of sixteen rows, from `codes` on, at a multiple of 4.
        let mut vectors = unsafe { codes.cast::<u32>().add(row) };
        let (mut x, mut sub_scale, mut total) = (stream, sub_scales.wrapping_add(row), 0i32);
        loop {
            // SAFETY: a group's header, or the last one.
            let steps = unsafe { x.read() };
            x = x.wrapping_add(1);
            if steps == 0 {
                break;
            }
            let mut sum = 0i32;
            for _ in 0..steps as usize * 8 / F {
                // SAFETY: the block has as many vectors as its steps hold quads / F.
                let word = unsafe { vectors.read() };
                vectors = vectors.wrapping_add(VECTOR_WORDS);
                for field in 0..F {
                    // SAFETY: the stream has a word for every quad.
                    let quad = unsafe { x.read() };
                    x = x.wrapping_add(1);
                    for (byte, a) in quad.to_le_bytes().into_iter().enumerate() {
                        let code = word >> (8 * byte + field * 8 / F);
                        sum += i32::from(level(code)) * i32::from(a.cast_signed());
                    }
                }
            }
            // SAFETY: the block has sixteen sub-scales for every group.
            let scale = unsafe { sub_scale.read() }.cast_signed();
            sub_scale = sub_scale.wrapping_add(PANEL_ROWS);
            total = total.wrapping_add(sum.wrapping_mul(i32::from(scale)));
        }
        // SAFETY: `sums` has sixteen places, and the caller lent it exclusively.
        unsafe { sums.cast::<i32>().wrapping_add(row).write(total) };
    }
}

/// From one word of a row to its next.
const VECTOR_WORDS: usize = 16;
