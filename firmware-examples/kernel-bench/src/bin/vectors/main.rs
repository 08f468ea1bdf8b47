//! The JSON test vectors of this repository, packed into flash: every product must have the listed bits, and (`calls`) every
//! other public function of qint-arm must agree with them.
//!
//! This is what firmware looks like: no allocator, no formatting, and no panic in the linked image (`cargo xtask
//! firmware-bench` looks for their symbols). It ends the emulator with 0, or with 1 if a bit differs.
#![no_std]
#![no_main]

mod calls;

use core::{
    ptr::addr_of_mut,
    sync::atomic::{AtomicBool, Ordering},
};
use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use qint_arm::{inputs::Inputs, matmul::matmul};
use qint_core::{
    Error,
    activation::{ActivationBlock, Activations},
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
};

/// One product. f32 are bits.
struct Case {
    codec: Codec,
    group: usize,
    block: usize,
    rows: usize,
    cols: usize,
    tokens: usize,
    panels: &'static [u8],
    row_scales: &'static [u32],
    codes: &'static [i8],
    scales: &'static [u32],
    sums: &'static [i32],
    /// `[tokens][rows]`.
    outputs: &'static [u32],
}

static CASES: &[Case] = include!(concat!(env!("OUT_DIR"), "/cases.rs"));

const STREAM_WORDS: usize = 1500;
const MAX_OUTPUTS: usize = 32;

struct Memory {
    stream: [u32; STREAM_WORDS],
    scales: [f32; 8],
    out: [f32; MAX_OUTPUTS],
    buffers: calls::Buffers,
}

static TAKEN: AtomicBool = AtomicBool::new(false);
static mut MEMORY: Memory =
    Memory { stream: [0; STREAM_WORDS], scales: [0.0; 8], out: [0.0; MAX_OUTPUTS], buffers: calls::Buffers::EMPTY };

#[entry]
fn main() -> ! {
    if let Some(memory) = memory()
        && CASES.iter().all(|case| product(case, memory) == Ok(true))
    {
        debug::exit(EXIT_SUCCESS);
    }
    failed()
}

/// Whether the outputs have the listed bits.
fn product(case: &Case, memory: &mut Memory) -> Result<bool, Error> {
    let (Some(group), Some(block)) = (Group::from_cols(case.group), ActivationBlock::from_cols(case.block)) else {
        return Ok(false);
    };
    let layout = Layout::new(case.rows, case.cols, case.codec, group)?;
    let mut row_scales = [0.0; 32];
    let Some(row_scales) = floats(&mut row_scales, case.row_scales) else { return Ok(false) };
    let Some(scales) = floats(&mut memory.scales, case.scales) else { return Ok(false) };
    let matrix = QMatrix::new(layout, case.panels, row_scales)?;
    let x = Activations::new(case.tokens, layout.padded_cols(), block, case.codes, scales, case.sums)?;
    let x = Inputs::expand(&layout, &x, &mut memory.stream)?;
    let Some(out) = memory.out.get_mut(..case.outputs.len()) else { return Ok(false) };
    matmul(&matrix, &x, 0..layout.panels(), out)?;
    let right = out.iter().zip(case.outputs).all(|(y, expected)| y.to_bits() == *expected);
    Ok(right && calls::all(&matrix, block, memory)?)
}

fn floats<'a>(to: &'a mut [f32], bits: &[u32]) -> Option<&'a [f32]> {
    let to = to.get_mut(..bits.len())?;
    to.iter_mut().zip(bits).for_each(|(to, bits)| *to = f32::from_bits(*bits));
    Some(to)
}

/// The one there is, once.
#[allow(unsafe_code)]
fn memory() -> Option<&'static mut Memory> {
    if TAKEN.load(Ordering::SeqCst) {
        return None;
    }
    TAKEN.store(true, Ordering::SeqCst);
    // SAFETY: this is reached once, by the one thread there is.
    Some(unsafe { &mut *addr_of_mut!(MEMORY) })
}

fn failed() -> ! {
    loop {
        debug::exit(EXIT_FAILURE);
    }
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    failed()
}
