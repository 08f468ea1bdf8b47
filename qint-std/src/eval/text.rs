//! A text becomes windows of tokens: non-overlapping, the second half of each scored.
use crate::{Error, Result, tokenizer::Tokenizer};

/// Which part of the text is evaluated, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Characters from the start of the text; `None` for all.
    pub chars: Option<usize>,
    /// Tokens in a window.
    pub window: usize,
    /// Windows at most; `None` for all that fit.
    pub windows: Option<usize>,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions { chars: Some(60_000), window: 512, windows: None }
    }
}

/// Windows of equal length. Position i of a window predicts token i + 1; the positions from the middle on are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalText {
    ids: Vec<u32>,
    window: usize,
}

impl EvalText {
    /// Cuts `text`. If the tokenizer starts texts with a special token, every window starts with it too, in the place of
    /// one token of text.
    ///
    /// # Errors
    /// [`Error::Argument`] if the window is shorter than 4 tokens or the text does not fill one; errors of the tokenizer.
    pub fn new(tokenizer: &Tokenizer, text: &str, options: &EvalOptions) -> Result<EvalText> {
        let window = options.window;
        if window < 4 {
            return Err(argument("window", window.to_string(), "a window has at least 4 tokens".into()));
        }
        let text = first_chars(text, options.chars);
        let start = tokenizer.encode("", true)?.first().copied();
        let text_ids = tokenizer.encode(text, false)?;
        let step = window - usize::from(start.is_some());
        let count = (text_ids.len() / step).min(options.windows.unwrap_or(usize::MAX));
        if count == 0 {
            let allowed = format!("one window of {window} tokens must fit; give more text or a smaller window");
            return Err(argument("text", format!("{} tokens", text_ids.len()), allowed));
        }
        let ids =
            text_ids.chunks_exact(step).take(count).flat_map(|chunk| start.iter().chain(chunk)).copied().collect();
        Ok(EvalText { ids, window })
    }

    /// The windows' token ids.
    pub fn windows(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.ids.chunks_exact(self.window)
    }

    /// Tokens in a window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The first position of a window that is scored; the last is `window − 2`.
    pub fn first_scored(&self) -> usize {
        self.window / 2
    }
}

fn first_chars(text: &str, chars: Option<usize>) -> &str {
    let end = chars.and_then(|n| text.char_indices().nth(n)).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn argument(what: &'static str, given: String, allowed: String) -> Error {
    Error::Argument { what, given, allowed }
}

#[cfg(test)]
mod tests {
    use super::first_chars;

    #[test]
    fn characters_are_not_bytes() {
        assert_eq!(first_chars("aäöb", Some(3)), "aäö");
        assert_eq!(first_chars("aäöb", Some(9)), "aäöb");
        assert_eq!(first_chars("aäöb", None), "aäöb");
    }
}
