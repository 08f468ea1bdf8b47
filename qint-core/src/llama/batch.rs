//! What one forward pass is asked for: new tokens of one or several sequences.
use super::KvCache;

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
}
