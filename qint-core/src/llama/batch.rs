//! What one forward pass is asked for: new tokens of one or several sequences. Its rows are the tokens of the first sequence,
//! then of the second, and so on.
use super::{Config, KvCache};
use crate::{Error, matrix::expect_length};

/// New tokens of one sequence.
#[derive(Debug)]
pub struct Sequence<'a, 'memory> {
    /// Token ids, following those that `cache` holds.
    pub tokens: &'a [u32],
    /// What came before; grows by `tokens` when the pass succeeds.
    pub cache: &'a mut KvCache<'memory>,
    /// Whose logits are wanted.
    pub logits: Logits,
}

/// The tokens whose logits are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: all chunks of a prompt but the last.
    None,
    /// The last token's: to go on writing.
    Last,
    /// Every token's: to score a text.
    All,
}

impl Sequence<'_, '_> {
    /// Rows of logits that this sequence adds to the output.
    pub const fn rows(&self) -> usize {
        match self.logits {
            Logits::All => self.tokens.len(),
            Logits::Last if !self.tokens.is_empty() => 1,
            Logits::Last | Logits::None => 0,
        }
    }

    /// Whether each of the tokens has a row of logits.
    fn wanted(&self) -> impl Iterator<Item = bool> + Send {
        let (count, rows) = (self.tokens.len(), self.rows());
        (0..count).map(move |index| index + rows >= count)
    }

    /// What can be wrong with it.
    fn check(&self, config: &Config) -> Result<(), Error> {
        self.cache.check(config)?;
        let (needed, capacity) = (self.cache.len().saturating_add(self.tokens.len()), self.cache.capacity());
        if needed > capacity {
            return Err(Error::ContextFull { needed, capacity });
        }
        match self.tokens.iter().find(|&&id| id as usize >= config.vocabulary) {
            Some(&id) => Err(Error::Token { id, vocabulary: config.vocabulary }),
            None => Ok(()),
        }
    }
}

/// All rows: tokens together.
pub(super) fn tokens(sequences: &[Sequence<'_, '_>]) -> usize {
    sequences.iter().map(|sequence| sequence.tokens.len()).sum()
}

/// Rows of logits together.
pub(super) fn logits_rows(sequences: &[Sequence<'_, '_>]) -> usize {
    sequences.iter().map(Sequence::rows).sum()
}

/// Token id of every row.
pub(super) fn ids(sequences: &[Sequence<'_, '_>]) -> impl Iterator<Item = u32> + Send {
    sequences.iter().flat_map(|sequence| sequence.tokens.iter().copied())
}

/// Cache and position of every row.
pub(super) fn positions<'a>(
    sequences: &'a [Sequence<'_, '_>],
) -> impl Iterator<Item = (&'a KvCache<'a>, usize)> + Send {
    sequences.iter().flat_map(|sequence| {
        let cache: &KvCache<'_> = sequence.cache;
        (0..sequence.tokens.len()).map(move |index| (cache, cache.len() + index))
    })
}

/// Whether every row has logits.
pub(super) fn wanted(sequences: &[Sequence<'_, '_>]) -> impl Iterator<Item = bool> + Send {
    sequences.iter().flat_map(Sequence::wanted)
}

/// Everything that can be refused before any work; `logits` is the output's length.
pub(super) fn check(sequences: &[Sequence<'_, '_>], config: &Config, logits: usize) -> Result<(), Error> {
    sequences.iter().try_for_each(|sequence| sequence.check(config))?;
    expect_length("logits", logits, logits_rows(sequences).saturating_mul(config.vocabulary))
}
