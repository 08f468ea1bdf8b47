//! Quantized activations become streams, once for all matrices that share the codec and the group.
//!
//! A stream holds what the inner loop of a kernel reads, word after word: 16-bit pairs instead of bytes (`kernel` has the
//! orders). At group 128 it costs 5 to 8 instructions a column on DSP cores, 2.5 with Helium, 4 to 10 on an M3 and 9 to 19 on
//! an M0 (firmware-examples/instructions.jsonl, `expand`), and saves one for every weight.
use crate::kernel::{Columns, Kernel, Words, choose};
use qint_core::{
    Error,
    activation::{ActivationBlock, Activations, SUM_COLS, TOKEN_BLOCK},
    codec::{Codec, Group},
    layout::Layout,
};

/// Activations in the order of this core's kernels, for matrices of one codec, group and number of columns.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    x: Activations<'a>,
    codec: Codec,
    group: Group,
    kernel: Kernel,
    stream: &'a [u32],
    blocks: usize,
    /// From one stream to the next.
    token_words: usize,
}

impl<'a> Inputs<'a> {
    /// Words of memory that the streams of `tokens` tokens take, for matrices of that layout (its rows don't matter).
    ///
    /// ```
    /// # use qint_core::{activation::ActivationBlock, codec::*, layout::Layout};
    /// # use qint_arm::inputs::Inputs;
    /// const LAYOUT: Layout = match Layout::new(512, 512, Codec::Q4Linear, Group::G128) {
    ///     Ok(layout) => layout,
    ///     Err(_) => panic!("checked when compiled"),
    /// };
    /// static mut MEMORY: [u32; Inputs::words(&LAYOUT, ActivationBlock::B512, 1)] = [0; _];
    /// ```
    pub const fn words(layout: &Layout, block: ActivationBlock, tokens: usize) -> usize {
        let kernel = choose(layout.codec(), tokens);
        tokens.div_ceil(kernel.lanes)
            * stream_words(&kernel, layout.codec(), layout.group(), layout.padded_cols(), block)
    }

    /// Writes the streams of `x` for matrices of that layout into `memory`, of which the first [`words`](Inputs::words) are used.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if `x` has another number of columns, [`Error::Length`] if there is too little memory,
    /// [`Error::ActivationScale`] if a scale is neither 0 nor within 2⁻⁶⁷..=2⁶⁴. Outside of that some cores would flush a
    /// product to zero, or make NaNs of other bits, where others don't. [`quantize`](crate::quantize::quantize) makes no
    /// smaller ones, and no larger ones of activations below 2⁷⁰.
    pub fn expand(layout: &Layout, x: &Activations<'a>, memory: &'a mut [u32]) -> Result<Inputs<'a>, Error> {
        let (codec, group, tokens) = (layout.codec(), layout.group(), x.tokens());
        expect("padded columns of activations", x.padded_cols(), layout.padded_cols())?;
        let (given, needed) = (memory.len(), Inputs::words(layout, x.block(), tokens));
        let Some(memory) = memory.get_mut(..needed) else {
            return Err(Error::Length { what: "memory for streams", given, needed });
        };
        expect_scales(x.scales())?;
        let kernel = choose(codec, tokens);
        let (block_steps, all_steps) = (x.block().cols() / SUM_COLS, x.padded_cols() / SUM_COLS);
        let mut words = Words::new(memory);
        for token in (0..tokens).step_by(kernel.lanes) {
            for first in (0..all_steps).step_by(block_steps) {
                let columns = Columns::new(x, token, kernel.lanes, first, block_steps.min(all_steps - first));
                kernel.stream.write(codec, group, columns, &mut words);
            }
        }
        let (cols, block) = (x.padded_cols(), x.block());
        let token_words = stream_words(&kernel, codec, group, cols, block);
        Ok(Inputs { x: *x, codec, group, kernel, stream: memory, blocks: cols.div_ceil(block.cols()), token_words })
    }

    /// Number of tokens.
    pub const fn tokens(&self) -> usize {
        self.x.tokens()
    }

    /// Columns per scale.
    pub const fn block(&self) -> ActivationBlock {
        self.x.block()
    }

    /// Activation blocks of a token.
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    pub(crate) const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Tokens that are worked on together.
    pub(crate) const fn lanes(&self) -> usize {
        if !cfg!(qint_kernels = "dsp") || self.kernel.lanes == 1 { 1 } else { TOKEN_BLOCK }
    }

    /// The stream of the tokens from `token` on, at its first activation block.
    pub(crate) fn stream(&self, token: usize) -> *const u32 {
        self.stream.as_ptr().wrapping_add(token / self.lanes() * self.token_words)
    }

    /// From one activation block of a stream to the next.
    pub(crate) const fn block_words(&self) -> usize {
        self.kernel.stream.words(self.codec, self.group, self.x.block().cols(), self.kernel.lanes)
    }

    /// The scale of a token's activation block.
    #[inline(always)]
    pub(crate) fn scale(&self, token: usize, block: usize) -> f32 {
        let index = if self.tokens() == 1 {
            block
        } else {
            (token / TOKEN_BLOCK * self.blocks() + block) * TOKEN_BLOCK + token % TOKEN_BLOCK
        };
        self.x.scales().get(index).copied().unwrap_or_default()
    }

    /// The scales of an activation block of four tokens, `token` being the first.
    #[inline(always)]
    pub(crate) fn scales(&self, token: usize, block: usize) -> [f32; TOKEN_BLOCK] {
        let index = token / TOKEN_BLOCK * self.blocks() + block;
        self.x.scales().as_chunks().0.get(index).copied().unwrap_or_default()
    }

    /// Whether these are activations for matrices of that layout.
    pub(crate) fn expect_layout(&self, layout: &Layout) -> Result<(), Error> {
        expect("padded columns of the matrix", layout.padded_cols(), self.x.padded_cols())?;
        expect("group of the matrix", layout.group().cols(), self.group.cols())?;
        if layout.codec() != self.codec {
            let (found, expected) = (layout.codec().bits(), self.codec.bits());
            return Err(Error::Mismatch { what: "codec of the matrix (bits)", found, expected });
        }
        Ok(())
    }
}

/// Words of all activation blocks of the tokens that are worked on together.
const fn stream_words(kernel: &Kernel, codec: Codec, group: Group, cols: usize, block: ActivationBlock) -> usize {
    let (whole, rest) = (cols / block.cols(), cols % block.cols());
    let last = if rest == 0 { 0 } else { kernel.stream.words(codec, group, rest, kernel.lanes) };
    whole * kernel.stream.words(codec, group, block.cols(), kernel.lanes) + last
}

/// Whether all are 0 or within 2⁻⁶⁷..=2⁶⁴, by their bits: comparisons of f32 are calls where there is no FPU.
fn expect_scales(scales: &[f32]) -> Result<(), Error> {
    const MIN: u32 = (127 - 67) << 23;
    const MAX: u32 = (127 + 64) << 23;
    for (index, scale) in scales.iter().enumerate() {
        let bits = scale.to_bits();
        if bits << 1 != 0 && !(MIN..=MAX).contains(&bits) {
            return Err(Error::ActivationScale { index, scale: *scale });
        }
    }
    Ok(())
}

pub(crate) fn expect(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Mismatch { what, found, expected }) }
}
