//! Everything that a measurement needs, in one static.
use core::{
    ptr::addr_of_mut,
    sync::atomic::{AtomicBool, Ordering},
};
use qint_core::{
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
};

/// Rows and columns of the matrices, tokens and sizes of a batch.
pub(crate) struct Sizes {
    pub(crate) side: usize,
    pub(crate) batch_side: usize,
    pub(crate) batch: usize,
}

pub(crate) const SIZES: Sizes = if cfg!(memory = "16k") {
    Sizes { side: 64, batch_side: 32, batch: 3 }
} else if cfg!(memory = "64k") {
    Sizes { side: 128, batch_side: 64, batch: 4 }
} else {
    Sizes { side: 512, batch_side: 256, batch: 16 }
};

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

const PANELS: usize = match Layout::new(SIZES.side, SIZES.side, Codec::Q8, Group::G32) {
    Ok(layout) => layout.panels_bytes(),
    Err(_) => panic!("a legal size"),
};
/// Activations, or outputs, of one token or a batch.
const NUMBERS: usize = larger(SIZES.side, SIZES.batch * SIZES.batch_side);
const WORKSPACE: usize = if cfg!(memory = "large") { 4 * NUMBERS } else { 2 * NUMBERS + 320 };

pub(crate) struct Memory {
    panels: Panels,
    row_scales: [f32; SIZES.side],
    pub(crate) x: [f32; NUMBERS],
    pub(crate) workspace: [u32; WORKSPACE],
    pub(crate) out: [f32; NUMBERS],
    pub(crate) expected: [f32; NUMBERS],
    /// Codes, scales and sums for the portable kernel.
    pub(crate) codes: [i8; SIZES.side],
    pub(crate) scales: [f32; 4],
    pub(crate) sums: [i32; SIZES.side / 32],
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
    codes: [0; SIZES.side],
    scales: [0.0; 4],
    sums: [0; SIZES.side / 32],
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

/// Buffers of the portable kernel.
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

    /// A matrix of random bytes (all of which are legal) and a buffer of each kind, of the length that `tokens` tokens need.
    pub(crate) fn parts(&mut self, layout: Layout, tokens: usize) -> Option<Parts<'_>> {
        let mut random = Random(layout.codec().bits() as u32 + 77);
        let panels = self.panels.0.get_mut(..layout.panels_bytes())?;
        for byte in panels.iter_mut() {
            *byte = random.bits() as u8;
        }
        let row_scales = self.row_scales.get_mut(..layout.padded_rows())?;
        for scale in row_scales.iter_mut() {
            *scale = random.number() * 0.01 + 0.02;
        }
        let x = self.x.get_mut(..tokens * layout.padded_cols())?;
        for x in x.iter_mut() {
            *x = random.number();
        }
        for x in x.chunks_exact_mut(layout.padded_cols()) {
            x.get_mut(layout.cols()..)?.fill(0.0);
        }
        let blocks = layout.padded_cols().div_ceil(256);
        Some(Parts {
            matrix: QMatrix::new(layout, panels, row_scales).ok()?,
            x,
            workspace: &mut self.workspace,
            out: self.out.get_mut(..tokens * layout.rows())?,
            expected: self.expected.get_mut(..tokens * layout.rows())?,
            corrections: &mut self.corrections,
            portable: Portable {
                codes: self.codes.get_mut(..layout.padded_cols())?,
                scales: self.scales.get_mut(..blocks)?,
                sums: self.sums.get_mut(..layout.padded_cols() / 32)?,
            },
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
