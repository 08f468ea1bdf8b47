//! Logits into the next token, the same on every platform for the same seed.
//!
//! 1. Tokens among the last ones written get worse (repeat penalty).
//! 2. Temperature 0: the largest logit wins, the lowest id of equal ones. Nothing of the following happens.
//! 3. Only the `top_k` largest stay; of these, the fewest whose probabilities add up to `top_p`; of these, those with at
//!    least `min_p` times the largest probability. Probabilities are those of temperature 1 (llama.cpp's order).
//! 4. One of them is drawn, with probabilities sharpened or flattened by the temperature.
//!
//! All arithmetic is IEEE f64 with libm's `exp` and `log`, in a fixed order, and the random numbers are ChaCha8's, so
//! nothing depends on the platform. No step sorts the vocabulary: the best are selected first.
mod settings;

pub use settings::SamplerSettings;

use crate::{Error, Result};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::cmp::Ordering;

/// How many candidates [`Sampler`] sorts first when it looks for `top_p`.
const FIRST_SORTED: usize = 256;

/// Draws tokens; see the [module](self).
///
/// ```
/// use qint_std::sample::{Sampler, SamplerSettings, greedy};
/// # fn main() -> qint_std::Result<()> {
/// let logits = [0.5, 3.0, -1.0];
/// let mut sampler = Sampler::new(SamplerSettings { top_k: 2, seed: 7, ..SamplerSettings::default() })?;
/// assert!(sampler.sample(&logits, &[])? < 2);
/// assert_eq!(greedy(&logits)?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    settings: SamplerSettings,
    random: ChaCha8Rng,
    candidates: Vec<Candidate>,
    weights: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    logit: f32,
    id: u32,
}

impl Sampler {
    /// A sampler at the beginning of its random numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] as [`SamplerSettings::check`].
    pub fn new(settings: SamplerSettings) -> Result<Sampler> {
        settings.check()?;
        let random = ChaCha8Rng::seed_from_u64(settings.seed);
        Ok(Sampler { settings, random, candidates: Vec::new(), weights: Vec::new() })
    }

    /// What it was made with.
    pub fn settings(&self) -> &SamplerSettings {
        &self.settings
    }

    /// The next token after `history`, which is all tokens so far, the prompt included.
    ///
    /// # Errors
    /// [`Error::Core`] if a logit is NaN or infinite; [`Error::Argument`] if there are none.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        self.gather(logits)?;
        self.penalize(history);
        let best = best(&self.candidates)?;
        if self.settings.temperature == 0.0 {
            return Ok(best.id);
        }
        self.keep_top_k();
        self.keep_top_p(best.logit);
        self.keep_min_p(best.logit);
        Ok(self.draw(best))
    }

    fn gather(&mut self, logits: &[f32]) -> Result<()> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(Error::core("sampling")(qint_core::Error::NotFinite { at: "logits" }));
        }
        self.candidates.clear();
        self.candidates.extend((0..).zip(logits).map(|(id, &logit)| Candidate { logit, id }));
        Ok(())
    }

    /// Positive logits are divided by the penalty, negative ones multiplied, once for each token.
    fn penalize(&mut self, history: &[u32]) {
        let penalty = self.settings.repeat_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent = &history[history.len().saturating_sub(self.settings.repeat_last_n)..];
        let mut ids = recent.to_vec();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            if let Some(candidate) = self.candidates.get_mut(id as usize) {
                let logit = candidate.logit;
                let changed = if logit > 0.0 { logit / penalty } else { logit * penalty };
                candidate.logit = changed.clamp(f32::MIN, f32::MAX);
            }
        }
    }

    fn keep_top_k(&mut self) {
        let k = self.settings.top_k;
        if k > 0 && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, better);
            self.candidates.truncate(k);
            self.candidates.sort_unstable_by(better);
        }
    }

    fn keep_top_p(&mut self, best: f32) {
        let top_p = f64::from(self.settings.top_p);
        if top_p >= 1.0 {
            return;
        }
        let weight = |candidate: &Candidate| libm::exp(f64::from(candidate.logit) - f64::from(best));
        let enough = top_p * self.candidates.iter().map(weight).sum::<f64>();
        let (mut sorted, mut sum) = (0, 0.0);
        while sorted < self.candidates.len() {
            let end = self.candidates.len().min(FIRST_SORTED.max(4 * sorted));
            let rest = &mut self.candidates[sorted..];
            if end - sorted < rest.len() {
                rest.select_nth_unstable_by(end - sorted, better);
            }
            rest[..end - sorted].sort_unstable_by(better);
            for index in sorted..end {
                sum += weight(&self.candidates[index]);
                if sum >= enough {
                    return self.candidates.truncate(index + 1);
                }
            }
            sorted = end;
        }
    }

    fn keep_min_p(&mut self, best: f32) {
        let min_p = f64::from(self.settings.min_p);
        if min_p > 0.0 {
            let lowest = f64::from(best) + libm::log(min_p);
            self.candidates.retain(|candidate| candidate.logit == best || f64::from(candidate.logit) >= lowest);
        }
    }

    fn draw(&mut self, best: Candidate) -> u32 {
        let temperature = f64::from(self.settings.temperature);
        let weight =
            |candidate: &Candidate| libm::exp((f64::from(candidate.logit) - f64::from(best.logit)) / temperature);
        self.weights.clear();
        self.weights.extend(self.candidates.iter().map(weight));
        let mut left = self.uniform() * self.weights.iter().sum::<f64>();
        for (candidate, weight) in self.candidates.iter().zip(&self.weights) {
            left -= weight;
            if left < 0.0 {
                return candidate.id;
            }
        }
        best.id // rounding has left something of the last one
    }

    /// In 0.0..1.0, from the upper 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The id of the largest logit, the lowest of equal ones.
///
/// # Errors
/// As [`Sampler::sample`].
pub fn greedy(logits: &[f32]) -> Result<u32> {
    Sampler::new(SamplerSettings::greedy())?.sample(logits, &[])
}

/// Larger logits first, then lower ids: a total order, since there are no NaNs.
fn better(left: &Candidate, right: &Candidate) -> Ordering {
    right.logit.total_cmp(&left.logit).then(left.id.cmp(&right.id))
}

fn best(candidates: &[Candidate]) -> Result<Candidate> {
    let larger = |best: Candidate, next: &Candidate| if next.logit > best.logit { *next } else { best };
    let none = || Error::Argument { what: "logits", given: "empty".into(), allowed: "one is needed".into() };
    candidates.iter().copied().reduce(|best, next| larger(best, &next)).ok_or_else(none)
}

#[cfg(test)]
mod tests;
