//! Everything that a measurement needs, in one static.
use core::{
    ptr::addr_of_mut,
    sync::atomic::{AtomicBool, Ordering},
};
use qint_core::{
    Error,
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
};

/// Rows and columns of the matrices, tokens and sizes of a batch.
pub(crate) struct Sizes {
    pub(crate) side: usize,
    pub(crate) batch_side: usize,
    pub(crate) batch: usize,
    /// Rows (no multiple of 16) and columns (of two activation blocks, if there is room) where the stack is measured.
    pub(crate) stack: (usize, usize),
    /// How many odd shapes have room.
    pub(crate) odd_shapes: usize,
}

pub(crate) const SIZES: Sizes = if cfg!(memory = "16k") {
    Sizes { side: 64, batch_side: 32, batch: 3, stack: (29, 32), odd_shapes: 108 }
} else if cfg!(memory = "64k") {
    Sizes { side: 128, batch_side: 64, batch: 4, stack: (61, 64), odd_shapes: 378 }
} else {
    Sizes { side: 512, batch_side: 256, batch: 16, stack: (253, 300), odd_shapes: 720 }
};

/// What [`Memory::parts`] says where a board is too small.
pub(crate) const NO_ROOM: Error = Error::Length { what: "memory of this board", given: 0, needed: 1 };

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const PANELS: usize = match Layout::new(SIZES.side, SIZES.side, Codec::Q8, Group::G32) {
    Ok(layout) => layout.panels_bytes(),
    Err(_) => panic!("a legal size"),
};
/// Activations, or outputs, of one token or a batch.
const NUMBERS: usize = larger(SIZES.side, SIZES.batch * SIZES.batch_side);
/// Quantized activations: of one wide token, or of four where the stack is measured.
const CODES: usize = larger(SIZES.side, 4 * SIZES.stack.1.next_multiple_of(32));
const WORKSPACE: usize = if cfg!(memory = "large") { 4 * NUMBERS } else { 2 * NUMBERS + 320 };

pub(crate) struct Memory {
    panels: Panels,
    row_scales: [f32; SIZES.side],
    pub(crate) x: [f32; NUMBERS],
    pub(crate) workspace: [u32; WORKSPACE],
    pub(crate) out: [f32; NUMBERS],
    pub(crate) expected: [f32; NUMBERS],
    /// Codes, scales and sums for the portable kernel.
    pub(crate) codes: [i8; CODES],
    pub(crate) scales: [f32; 8],
    pub(crate) sums: [i32; CODES / 32],
    /// What a matrix is prepared with.
    corrections: [i32; SIZES.side],
}

#[repr(C, align(64))]
struct Panels([u8; PANELS]);

static TAKEN: AtomicBool = AtomicBool::new(false);
static mut MEMORY: Memory = Memory {
    panels: Panels([0; PANELS]),
    row_scales: [0.0; SIZES.side],
    x: [0.0; NUMBERS],
    workspace: [0; WORKSPACE],
    out: [0.0; NUMBERS],
    expected: [0.0; NUMBERS],
    codes: [0; CODES],
    scales: [0.0; 8],
    sums: [0; CODES / 32],
    corrections: [0; SIZES.side],
};

/// The parts that a product reads and writes, borrowed apart.
pub(crate) struct Parts<'a> {
    pub(crate) matrix: QMatrix<'a>,
    pub(crate) x: &'a mut [f32],
    pub(crate) workspace: &'a mut [u32],
    pub(crate) out: &'a mut [f32],
    pub(crate) expected: &'a mut [f32],
    pub(crate) corrections: &'a mut [i32],
    pub(crate) portable: Portable<'a>,
}

/// Buffers of quantized activations, for the portable kernel: as long as they are.
pub(crate) struct Portable<'a> {
    pub(crate) codes: &'a mut [i8],
    pub(crate) scales: &'a mut [f32],
    pub(crate) sums: &'a mut [i32],
}

impl Memory {
    /// The one there is, once.
    #[allow(unsafe_code)]
    pub(crate) fn take() -> Option<&'static mut Memory> {
        if TAKEN.load(Ordering::SeqCst) {
            return None;
        }
        TAKEN.store(true, Ordering::SeqCst);
        // SAFETY: this is reached once, by the one thread there is, and no exception handler touches it.
        Some(unsafe { &mut *addr_of_mut!(MEMORY) })
    }

    /// A matrix of random bytes (all of which are legal), and activations, of the length that `tokens` tokens need.
    ///
    /// # Errors
    /// [`NO_ROOM`] if this board is too small; others are mistakes.
    pub(crate) fn parts(&mut self, layout: Layout, tokens: usize) -> Result<Parts<'_>, Error> {
        let mut random = Random(layout.codec().bits() as u32 + 77);
        let panels = self.panels.0.get_mut(..layout.panels_bytes()).ok_or(NO_ROOM)?;
        for byte in panels.iter_mut() {
            *byte = random.bits() as u8;
        }
        let row_scales = self.row_scales.get_mut(..layout.padded_rows()).ok_or(NO_ROOM)?;
        for scale in row_scales.iter_mut() {
            *scale = random.number() * 0.01 + 0.02;
        }
        let x = self.x.get_mut(..tokens * layout.padded_cols()).ok_or(NO_ROOM)?;
        for x in x.iter_mut() {
            *x = random.number();
        }
        for x in x.chunks_exact_mut(layout.padded_cols()) {
            x[layout.cols()..].fill(0.0);
        }
        Ok(Parts {
            matrix: QMatrix::new(layout, panels, row_scales)?,
            x,
            workspace: &mut self.workspace,
            out: self.out.get_mut(..tokens * layout.rows()).ok_or(NO_ROOM)?,
            expected: self.expected.get_mut(..tokens * layout.rows()).ok_or(NO_ROOM)?,
            corrections: &mut self.corrections,
            portable: Portable { codes: &mut self.codes, scales: &mut self.scales, sums: &mut self.sums },
        })
    }
}

impl Portable<'_> {
    /// Buffers for `tokens` tokens (with those that pad them) of `cols` columns in blocks of `block` columns.
    pub(crate) fn of(&mut self, tokens: usize, cols: usize, block: usize) -> Result<Portable<'_>, Error> {
        Ok(Portable {
            codes: self.codes.get_mut(..tokens * cols).ok_or(NO_ROOM)?,
            scales: self.scales.get_mut(..tokens * cols.div_ceil(block)).ok_or(NO_ROOM)?,
            sums: self.sums.get_mut(..tokens * cols / 32).ok_or(NO_ROOM)?,
        })
    }
}

/// xorshift32.
pub(crate) struct Random(pub(crate) u32);

impl Random {
    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// In −1..1.
    pub(crate) fn number(&mut self) -> f32 {
        (self.bits().cast_signed() >> 8) as f32 / (1 << 23) as f32
    }
}
