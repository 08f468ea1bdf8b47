//! The knobs of sampling, and what they may be.
use crate::{Error, Result};

/// How the next token is drawn. The defaults are llama.cpp's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerSettings {
    /// At least 0; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Tokens to choose from; 0 for all.
    pub top_k: usize,
    /// Probability that the tokens to choose from have together, 0 to 1; 1 for all.
    pub top_p: f32,
    /// Probability of a token to choose from, as part of the likeliest one's, 0 to 1; 0 for all.
    pub min_p: f32,
    /// Above 0; logits of recent tokens are divided by it. 1 changes nothing.
    pub repeat_penalty: f32,
    /// How many tokens are recent.
    pub repeat_last_n: usize,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Default for SamplerSettings {
    fn default() -> SamplerSettings {
        SamplerSettings {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            seed: 0,
        }
    }
}

impl SamplerSettings {
    /// Always the likeliest token.
    pub fn greedy() -> SamplerSettings {
        SamplerSettings { temperature: 0.0, ..SamplerSettings::default() }
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the setting and its range; NaN is never in it.
    pub fn check(&self) -> Result<()> {
        let finite = |value: f32| value.is_finite();
        let share = |value: f32| (0.0..=1.0).contains(&value);
        expect("temperature", self.temperature, finite(self.temperature) && self.temperature >= 0.0, "at least 0")?;
        expect("top-p", self.top_p, share(self.top_p), "from 0 to 1")?;
        expect("min-p", self.min_p, share(self.min_p), "from 0 to 1")?;
        let positive = finite(self.repeat_penalty) && self.repeat_penalty > 0.0;
        expect("repeat penalty", self.repeat_penalty, positive, "above 0")
    }
}

fn expect(what: &'static str, given: f32, fine: bool, range: &str) -> Result<()> {
    if fine {
        return Ok(());
    }
    Err(Error::Argument { what, given: given.to_string(), allowed: format!("a number {range} is needed") })
}
