//! Reading quantized activations and writing streams, without a panic on any path.
use qint_core::activation::{Activations, SUM_COLS, TOKEN_BLOCK};

/// The activations of one block of columns: of one token alone, of one among four, or of four.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    quads: &'a [[i8; 4]],
    sums: &'a [i32],
    /// From one quad, or sum, of a token to its next.
    stride: usize,
    /// Tokens.
    #[cfg(any(qint_kernels = "dsp", test))]
    pub(crate) lanes: usize,
    /// Steps of 32 columns.
    pub(crate) steps: usize,
}

impl<'a> Columns<'a> {
    /// The `steps` steps from `first` on, of the tokens `token` … `token + lanes`.
    #[cfg_attr(not(any(qint_kernels = "dsp", test)), allow(unused_variables, reason = "one lane only"))]
    pub(crate) fn new(x: &Activations<'a>, token: usize, lanes: usize, first: usize, steps: usize) -> Columns<'a> {
        let stride = if x.tokens() == 1 { 1 } else { TOKEN_BLOCK };
        let start = token / TOKEN_BLOCK * TOKEN_BLOCK * (x.padded_cols() / SUM_COLS) + first * stride;
        let lane = token % TOKEN_BLOCK;
        let quads = x.codes().as_chunks::<4>().0.get(start * STEP_QUADS + lane..).unwrap_or_default();
        let sums = x.sums().get(start + lane..).unwrap_or_default();
        Columns {
            quads,
            sums,
            stride,
            #[cfg(any(qint_kernels = "dsp", test))]
            lanes,
            steps,
        }
    }

    /// The sum of the columns of `steps` steps from `first` on.
    pub(crate) fn sum(&self, first: usize, steps: usize, lane: usize) -> i32 {
        self.sums.iter().skip(first * self.stride + lane).step_by(self.stride.max(1)).take(steps).sum()
    }

    /// The quads of some steps, `[quad][lane]`; only if the token is alone or all four are wanted.
    #[cfg(any(qint_kernels = "dsp", test))]
    #[inline(always)]
    pub(crate) fn quads(&self, first: usize, steps: usize) -> &'a [[i8; 4]] {
        let per_step = STEP_QUADS * self.stride;
        self.quads.get(first * per_step..(first + steps) * per_step).unwrap_or_default()
    }

    /// The quads of some steps of one token, up to where the next steps begin, and how far they are apart.
    #[cfg(qint_kernels = "helium")]
    pub(crate) fn strided(&self, first: usize, steps: usize) -> (&'a [[i8; 4]], usize) {
        let per_step = STEP_QUADS * self.stride;
        let quads = self.quads.get(first * per_step..).unwrap_or_default();
        (quads.get(..steps * per_step).unwrap_or(quads), self.stride)
    }

    /// The quads of one step of one token.
    #[cfg(not(any(qint_kernels = "dsp", qint_kernels = "helium")))]
    #[inline(always)]
    pub(crate) fn step(&self, step: usize) -> [[i8; 4]; STEP_QUADS] {
        let quads = self.quads.get(step * STEP_QUADS * self.stride..).unwrap_or_default();
        let mut copy = [[0; 4]; STEP_QUADS];
        for (copy, quad) in copy.iter_mut().zip(quads.iter().step_by(self.stride.max(1))) {
            *copy = *quad;
        }
        copy
    }
}

/// Quads in 32 columns.
pub(crate) const STEP_QUADS: usize = SUM_COLS / 4;

/// A stream that is being written.
pub(crate) struct Words<'a>(&'a mut [u32]);

impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a mut [u32]) -> Words<'a> {
        Words(words)
    }

    /// The next N words, if there are as many.
    #[inline(always)]
    pub(crate) fn next<const N: usize>(&mut self) -> Option<&'a mut [u32; N]> {
        let (words, rest) = core::mem::take(&mut self.0).split_first_chunk_mut()?;
        self.0 = rest;
        Some(words)
    }

    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, words: [u32; N]) {
        if let Some(place) = self.next::<N>() {
            *place = words;
        }
    }
}

/// For every group of `group_steps` steps: its first step and how many there are.
pub(crate) fn groups(steps: usize, group_steps: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..steps).step_by(group_steps.max(1)).map(move |first| (first, group_steps.min(steps - first)))
}
