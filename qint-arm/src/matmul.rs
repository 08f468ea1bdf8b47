//! Products of a matrix in flash, over any range of its panels.
//!
//! ```text
//! for each panel (16 rows), for each token, or four tokens:
//!     total = 0.0
//!     for each activation block:  total = total + (f32(sum) · a)        (the sum by a kernel; two roundings, never one)
//!     y = total · row_scale
//! ```
//!
//! A range of panels is as short as the caller likes, so that other work can happen in between; the result is the same.
use crate::{
    float,
    inputs::Inputs,
    kernel::{Panel, Sums},
    prepared::Prepared,
    quantize::expect_length,
};
use core::{mem::MaybeUninit, ops::Range};
use qint_core::{
    Error,
    layout::{Layout, PANEL_ROWS},
    matrix::QMatrix,
};

/// `out[t][r] = Σ W[r] · x[t]` for the rows of `panels` (rows `16·start .. 16·end`) and all tokens of `x`; `out` is the whole
/// output `[tokens][rows]`, of which the other rows stay as they are.
///
/// # Errors
/// [`Error::Mismatch`] if `x` was expanded for another layout, [`Error::Length`] if `out` has another length,
/// [`Error::Dimension`] if there are no such panels, or their range ends before it starts.
pub fn matmul<'a>(
    matrix: impl Into<Prepared<'a>>,
    x: &Inputs<'_>,
    panels: Range<usize>,
    out: &mut [f32],
) -> Result<(), Error> {
    products(matrix.into(), x, panels, out)
}

fn products(matrix: Prepared<'_>, x: &Inputs<'_>, panels: Range<usize>, out: &mut [f32]) -> Result<(), Error> {
    check(matrix.matrix().layout(), x, &panels)?;
    let product = Product::new(matrix, x, matrix.corrections(x.block())?);
    let matrix = matrix.matrix();
    expect_length("output", out.len(), x.tokens() * matrix.layout().rows())?;
    for token in (0..x.tokens()).step_by(x.lanes()) {
        if x.lanes() == 1 {
            product.one_token(matrix, panels.clone(), token, out);
            continue;
        }
        for panel in panels.clone() {
            (0..4).for_each(|quarter| product.four_tokens(matrix, panel, quarter, token, out));
        }
    }
    Ok(())
}

/// The exact integer of every activation block, before any scale, for callers that go on in fixed point:
/// `out[t][b][r] = Σ sub_scale · Σ level · code`, as [`qint_core::reference::block_sum`].
///
/// # Errors
/// As [`matmul`]; `out` is `[tokens][activation blocks][rows]`.
pub fn block_sums<'a>(
    matrix: impl Into<Prepared<'a>>,
    x: &Inputs<'_>,
    panels: Range<usize>,
    out: &mut [i32],
) -> Result<(), Error> {
    integers(matrix.into(), x, panels, out)
}

fn integers(matrix: Prepared<'_>, x: &Inputs<'_>, panels: Range<usize>, out: &mut [i32]) -> Result<(), Error> {
    let (blocks, lanes) = (x.blocks(), x.lanes());
    check(matrix.matrix().layout(), x, &panels)?;
    let product = Product::new(matrix, x, matrix.corrections(x.block())?);
    let layout = matrix.matrix().layout();
    expect_length("output", out.len(), x.tokens() * blocks * layout.rows())?;
    for token in (0..x.tokens()).step_by(lanes) {
        for block in 0..blocks {
            if lanes == 1 {
                let rows = rows_of(out, layout, panels.start * PANEL_ROWS, token * blocks + block);
                product.block_of_one_token(panels.clone(), token, block, rows);
                continue;
            }
            for part in 0..panels.len() * lanes {
                let walk = product.walk(panels.start + part / lanes, part % lanes, token);
                let row = panels.start * PANEL_ROWS + part * PANEL_ROWS / lanes;
                let mut sums = MaybeUninit::uninit();
                let sums = walk.sums(block, &mut sums);
                for lane in 0..lanes.min(x.tokens() - token) {
                    let rows = rows_of(out, layout, row, (token + lane) * blocks + block);
                    let sums = sums.iter().skip(lane).step_by(lanes);
                    rows.iter_mut().zip(sums).for_each(|(y, sum)| *y = *sum);
                }
            }
        }
    }
    Ok(())
}

fn check(layout: &Layout, x: &Inputs<'_>, panels: &Range<usize>) -> Result<(), Error> {
    x.expect_layout(layout)?;
    if panels.end > layout.panels() {
        return Err(Error::Dimension { what: "last panel", given: panels.end, limit: layout.panels() });
    }
    if panels.start > panels.end {
        return Err(Error::Dimension { what: "first panel", given: panels.start, limit: panels.end });
    }
    Ok(())
}

/// The rows from `row` on, of vector `index` of an output `[…][rows]`.
#[inline(always)]
fn rows_of<'a, T>(out: &'a mut [T], layout: &Layout, row: usize, index: usize) -> &'a mut [T] {
    out.get_mut(index * layout.rows() + row..(index + 1) * layout.rows()).unwrap_or_default()
}

/// A product whose shapes agree, and the distances that its kernel calls are apart.
struct Product<'a> {
    x: &'a Inputs<'a>,
    kernel: Panel,
    /// A table of levels, or corrections, `[activation block][padded row]`.
    table: *const u32,
    panel_table: usize,
    block_table: usize,
    panels: *const u8,
    panel_bytes: usize,
    codes_offset: usize,
    block_codes: usize,
    block_sub_scales: usize,
    block_words: usize,
}

impl<'a> Product<'a> {
    fn new(prepared: Prepared<'_>, x: &'a Inputs<'a>, corrections: &[i32]) -> Product<'a> {
        let (matrix, layout) = (prepared.matrix(), prepared.matrix().layout());
        let corrected = !corrections.is_empty();
        Product {
            x,
            kernel: if corrected { x.kernel().corrected() } else { x.kernel().panel },
            table: if corrected { corrections.as_ptr().cast() } else { x.kernel().table.as_ptr() },
            panel_table: if corrected { PANEL_ROWS } else { 0 },
            block_table: if corrected { layout.padded_rows() } else { 0 },
            panels: matrix.panels().as_ptr(),
            panel_bytes: layout.panel_bytes(),
            codes_offset: layout.codes_offset(),
            block_codes: x.block().cols() * PANEL_ROWS / layout.codec().fields(),
            block_sub_scales: x.block().cols() / layout.group().cols() * PANEL_ROWS,
            block_words: x.block_words(),
        }
    }

    /// The kernel's calls for `1 / lanes` of a panel's rows.
    #[inline(always)]
    fn walk(&self, panel: usize, part: usize, token: usize) -> Walk<'_> {
        let (bytes, first_row) = (panel * self.panel_bytes, part * PANEL_ROWS / self.x.lanes());
        Walk {
            product: self,
            codes: self.panels.wrapping_add(bytes + self.codes_offset + 4 * first_row),
            sub_scales: self.panels.wrapping_add(bytes + first_row),
            stream: self.x.stream(token),
            table: self.table.wrapping_add(panel * self.panel_table),
        }
    }

    /// The rows of some panels, of one token.
    #[inline(never)]
    fn one_token(&self, matrix: &QMatrix<'_>, panels: Range<usize>, token: usize, out: &mut [f32]) {
        let first_row = panels.start * PANEL_ROWS;
        let (row_scales, _) = matrix.row_scales().get(first_row..).unwrap_or_default().as_chunks::<PANEL_ROWS>();
        let row_scales = row_scales.get(..panels.len()).unwrap_or_default();
        let out = rows_of(out, matrix.layout(), first_row, token);
        let (whole, rest) = out.as_chunks_mut::<PANEL_ROWS>();
        let mut walk = self.walk(panels.start, 0, token);
        if self.x.blocks() == 1 {
            self.one_block(&mut walk, self.x.scale(token, 0), whole, row_scales);
        } else {
            self.some_blocks(&mut walk, token, whole.as_flattened_mut(), row_scales);
        }
        if let Some((_, last)) = row_scales.split_at_checked(whole.len()) {
            self.some_blocks(&mut walk, token, rest, last);
        }
    }

    /// Whole panels and one activation block: most layers of a microcontroller.
    #[inline(never)]
    fn one_block(&self, walk: &mut Walk<'_>, a: f32, out: &mut [[f32; 16]], row_scales: &[[f32; 16]]) {
        for (out, row_scales) in out.iter_mut().zip(row_scales) {
            walk.write(0, integers_in(out));
            float::outputs(out, a, row_scales);
            walk.next_panel();
        }
    }

    /// The integers of an activation block, for the rows of some panels.
    #[inline(never)]
    fn block_of_one_token(&self, panels: Range<usize>, token: usize, block: usize, out: &mut [i32]) {
        let mut walk = self.walk(panels.start, 0, token);
        for out in out.chunks_mut(PANEL_ROWS).take(panels.len()) {
            match out.first_chunk_mut() {
                Some(out) => walk.write(block, out),
                None => {
                    let mut sums = MaybeUninit::uninit();
                    out.iter_mut().zip(walk.sums(block, &mut sums)).for_each(|(y, sum)| *y = *sum);
                }
            }
            walk.next_panel();
        }
    }

    /// Any number of activation blocks and rows.
    #[inline(never)]
    fn some_blocks(&self, walk: &mut Walk<'_>, token: usize, out: &mut [f32], row_scales: &[[f32; 16]]) {
        let (mut totals, mut sums) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        for (out, row_scales) in out.chunks_mut(PANEL_ROWS).zip(row_scales) {
            let totals = float::scaled(&mut totals, walk.sums(0, &mut sums), self.x.scale(token, 0));
            for block in 1..self.x.blocks() {
                float::add_scaled(totals, walk.sums(block, &mut sums), self.x.scale(token, block));
            }
            out.iter_mut().zip(totals).zip(row_scales).for_each(|((y, total), scale)| *y = *total * scale);
            walk.next_panel();
        }
    }

    /// Four rows of four tokens, or of those that there are.
    #[inline(never)]
    fn four_tokens(&self, matrix: &QMatrix<'_>, panel: usize, quarter: usize, token: usize, out: &mut [f32]) {
        let walk = self.walk(panel, quarter, token);
        let (mut totals, mut sums) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let totals = float::scaled_lanes(&mut totals, walk.sums(0, &mut sums), self.x.scales(token, 0));
        for block in 1..self.x.blocks() {
            float::add_scaled_lanes(totals, walk.sums(block, &mut sums), self.x.scales(token, block));
        }
        let row = panel * PANEL_ROWS + quarter * 4;
        let Some(row_scales) = matrix.row_scales().get(row..).and_then(|scales| scales.first_chunk::<4>()) else {
            return;
        };
        for lane in 0..4.min(self.x.tokens() - token) {
            let out = rows_of(out, matrix.layout(), row, token + lane);
            let ys: [f32; 4] = core::array::from_fn(|row| totals[4 * row + lane % 4] * row_scales[row]);
            match out.first_chunk_mut::<4>() {
                Some(out) => *out = ys,
                None => out.iter_mut().zip(ys).for_each(|(out, y)| *out = y),
            }
        }
    }
}

/// The kernel's calls for some rows of a panel.
struct Walk<'a> {
    product: &'a Product<'a>,
    codes: *const u8,
    sub_scales: *const u8,
    stream: *const u32,
    table: *const u32,
}

impl Walk<'_> {
    /// Writes the sums of an activation block.
    ///
    /// # Safety
    /// Sixteen integers can be written at `to`.
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn run(&self, block: usize, to: *mut Sums) {
        let product = self.product;
        // SAFETY: the panel is one of the matrix's (`check`), whose bytes QMatrix checked, and the block is one of its
        // columns; `expand` wrote this block's stream for this kernel, codec and group (`expect_layout`). `to` is the
        // caller's word.
        unsafe {
            (product.kernel)(
                self.codes.wrapping_add(block * product.block_codes),
                self.sub_scales.wrapping_add(block * product.block_sub_scales),
                self.stream.wrapping_add(block * product.block_words),
                to,
                self.table.wrapping_add(block * product.block_table),
            );
        }
    }

    /// The sums of an activation block, where there were others.
    #[inline(always)]
    fn write(&self, block: usize, to: &mut Sums) {
        #[allow(unsafe_code)]
        // SAFETY: `to` is a reference to sixteen.
        unsafe {
            self.run(block, to);
        }
    }

    /// The sums of an activation block, in `memory`.
    #[inline(always)]
    fn sums<'s>(&self, block: usize, memory: &'s mut MaybeUninit<Sums>) -> &'s Sums {
        #[allow(unsafe_code)]
        // SAFETY: `memory` is a reference to room for sixteen.
        unsafe {
            self.run(block, memory.as_mut_ptr());
        }
        #[allow(unsafe_code)]
        // SAFETY: a kernel writes all sixteen.
        unsafe {
            memory.assume_init_ref()
        }
    }

    /// On to the same rows of the next panel, of which there may be none: then `sums` is not called any more.
    #[inline(always)]
    fn next_panel(&mut self) {
        self.codes = self.codes.wrapping_add(self.product.panel_bytes);
        self.sub_scales = self.sub_scales.wrapping_add(self.product.panel_bytes);
        self.table = self.table.wrapping_add(self.product.panel_table);
    }
}

/// The places of sixteen outputs, for their sums.
#[inline(always)]
#[allow(unsafe_code)]
fn integers_in(out: &mut [f32; PANEL_ROWS]) -> &mut Sums {
    // SAFETY: i32 has the size and alignment of f32, and both have any bits.
    unsafe { &mut *out.as_mut_ptr().cast() }
}
