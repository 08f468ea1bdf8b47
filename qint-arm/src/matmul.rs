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
use crate::{float, inputs::Inputs, kernel::Sums, quantize::expect_length};
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
/// [`Error::Dimension`] if there are no such panels.
pub fn matmul(matrix: &QMatrix<'_>, x: &Inputs<'_>, panels: Range<usize>, out: &mut [f32]) -> Result<(), Error> {
    check(matrix.layout(), x, &panels)?;
    expect_length("output", out.len(), x.tokens() * matrix.layout().rows())?;
    let product = Product::new(matrix, x);
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
pub fn block_sums(matrix: &QMatrix<'_>, x: &Inputs<'_>, panels: Range<usize>, out: &mut [i32]) -> Result<(), Error> {
    let (blocks, lanes) = (x.blocks(), x.lanes());
    check(matrix.layout(), x, &panels)?;
    expect_length("output", out.len(), x.tokens() * blocks * matrix.layout().rows())?;
    let product = Product::new(matrix, x);
    for panel in panels {
        for token in (0..x.tokens()).step_by(lanes) {
            for part in 0..lanes {
                let row = panel * PANEL_ROWS + part * PANEL_ROWS / lanes;
                let mut walk = product.walk(panel, part, token);
                for block in 0..blocks {
                    let sums = walk.sums(block);
                    for lane in 0..lanes.min(x.tokens() - token) {
                        let rows = rows_of(out, matrix.layout(), row, (token + lane) * blocks + block);
                        match rows.first_chunk_mut::<PANEL_ROWS>() {
                            Some(rows) if lanes == 1 => *rows = *sums,
                            _ => rows
                                .iter_mut()
                                .zip(sums.iter().skip(lane).step_by(lanes))
                                .for_each(|(y, sum)| *y = *sum),
                        }
                    }
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
    panels: *const u8,
    panel_bytes: usize,
    codes_offset: usize,
    block_codes: usize,
    block_sub_scales: usize,
    block_words: usize,
}

impl<'a> Product<'a> {
    /// After [`check`].
    fn new(matrix: &QMatrix<'_>, x: &'a Inputs<'a>) -> Product<'a> {
        let layout = matrix.layout();
        Product {
            x,
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
        let (panel, first_row) = (panel * self.panel_bytes, part * PANEL_ROWS / self.x.lanes());
        Walk {
            product: self,
            codes: self.panels.wrapping_add(panel + self.codes_offset + 4 * first_row),
            sub_scales: self.panels.wrapping_add(panel + first_row),
            stream: self.x.stream(token),
            sums: MaybeUninit::uninit(),
        }
    }

    /// The rows of some panels, of one token.
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
            float::outputs(out, walk.sums(0), a, row_scales);
            walk.next_panel();
        }
    }

    /// Any number of activation blocks and rows.
    #[inline(never)]
    fn some_blocks(&self, walk: &mut Walk<'_>, token: usize, out: &mut [f32], row_scales: &[[f32; 16]]) {
        for (out, row_scales) in out.chunks_mut(PANEL_ROWS).zip(row_scales) {
            let mut totals = MaybeUninit::uninit();
            let totals = float::scaled(&mut totals, walk.sums(0), self.x.scale(token, 0));
            for block in 1..self.x.blocks() {
                float::add_scaled(totals, walk.sums(block), self.x.scale(token, block));
            }
            out.iter_mut().zip(totals).zip(row_scales).for_each(|((y, total), scale)| *y = *total * scale);
            walk.next_panel();
        }
    }

    /// Four rows of four tokens, or of those that there are.
    #[inline(never)]
    fn four_tokens(&self, matrix: &QMatrix<'_>, panel: usize, quarter: usize, token: usize, out: &mut [f32]) {
        let mut walk = self.walk(panel, quarter, token);
        let mut totals = MaybeUninit::uninit();
        let totals = float::scaled_lanes(&mut totals, walk.sums(0), self.x.scales(token, 0));
        for block in 1..self.x.blocks() {
            float::add_scaled_lanes(totals, walk.sums(block), self.x.scales(token, block));
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
    sums: MaybeUninit<Sums>,
}

impl Walk<'_> {
    /// The sums of an activation block.
    #[inline(always)]
    fn sums(&mut self, block: usize) -> &Sums {
        let (product, kernel) = (self.product, self.product.x.kernel());
        #[allow(unsafe_code)]
        // SAFETY: the panel is one of the matrix's (`check`), whose bytes QMatrix checked, and the block is one of its
        // columns; `expand` wrote this block's stream for this kernel, codec and group (`expect_layout`).
        unsafe {
            (kernel.panel)(
                self.codes.wrapping_add(block * product.block_codes),
                self.sub_scales.wrapping_add(block * product.block_sub_scales),
                self.stream.wrapping_add(block * product.block_words),
                self.sums.as_mut_ptr(),
                kernel.table.as_ptr(),
            );
        }
        #[allow(unsafe_code)]
        // SAFETY: a kernel writes all sixteen.
        unsafe {
            self.sums.assume_init_ref()
        }
    }

    /// On to the same rows of the next panel, of which there may be none: then `sums` is not called any more.
    #[inline(always)]
    fn next_panel(&mut self) {
        self.codes = self.codes.wrapping_add(self.product.panel_bytes);
        self.sub_scales = self.sub_scales.wrapping_add(self.product.panel_bytes);
    }
}
