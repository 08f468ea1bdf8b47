//! How much memory a forward pass needs: known from the architecture alone, so that firmware can reserve it in a `const`.
use super::Config;
use crate::{
    Error,
    activation::{ActivationBlock, SUM_COLS, TOKEN_BLOCK, padded_tokens},
    layout::padded_cols,
};

/// What a forward pass will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanRequest {
    /// The most tokens in one call, all sequences together.
    pub tokens: usize,
}

/// The lengths of a [`Workspace`]'s buffers, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// f32.
    pub floats: usize,
    /// i8.
    pub codes: usize,
    /// i32.
    pub sums: usize,
}

/// Memory that is thrown away between calls. Its content doesn't matter; longer buffers than planned are fine.
#[derive(Debug)]
pub struct Workspace<'a> {
    /// At least [`Plan::floats`].
    pub floats: &'a mut [f32],
    /// At least [`Plan::codes`].
    pub codes: &'a mut [i8],
    /// At least [`Plan::sums`].
    pub sums: &'a mut [i32],
}

impl Plan {
    /// The buffers that `request` needs for a model of `config`.
    ///
    /// # Errors
    /// As [`Config::check`]; [`Error::Dimension`] if there is no token, or so many that the buffers can't be addressed.
    pub const fn new(config: &Config, request: PlanRequest) -> Result<Plan, Error> {
        if let Err(error) = config.check() {
            return Err(error);
        }
        let sizes = Sizes::new(config);
        let limit = (isize::MAX as usize / size_of::<f32>() / sizes.floats(1)).saturating_sub(TOKEN_BLOCK);
        if request.tokens == 0 || request.tokens > limit {
            return Err(Error::Dimension { what: "tokens per call", given: request.tokens, limit });
        }
        Ok(Plan {
            floats: sizes.floats(request.tokens),
            codes: padded_tokens(request.tokens) * sizes.input,
            sums: padded_tokens(request.tokens) * (sizes.input / SUM_COLS),
        })
    }
}

/// Elements per token of the parts of a workspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The residual stream.
    pub(super) hidden: usize,
    /// The input of a matrix, padded to a multiple of 32.
    pub(super) input: usize,
    /// What matrices write: q, k and v; or gate and up; or a change of the residual stream.
    pub(super) output: usize,
    /// Activation scales.
    pub(super) scales: usize,
    /// Cosines and sines of the position.
    pub(super) rotary: usize,
}

impl Sizes {
    pub(super) const fn new(config: &Config) -> Sizes {
        let input = padded_cols(max(max(config.hidden, config.q_dim()), config.intermediate));
        let attention = config.q_dim() + 2 * config.kv_dim();
        Sizes {
            hidden: config.hidden,
            input,
            output: max(max(attention, 2 * config.intermediate), config.hidden),
            scales: input.div_ceil(ActivationBlock::B256.cols()),
            rotary: config.head_dim,
        }
    }

    const fn floats(&self, tokens: usize) -> usize {
        tokens * (self.hidden + self.input + self.output + self.rotary) + padded_tokens(tokens) * self.scales
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
