//! Many positions become the figures that are reported: means with standard errors, median, 99th percentile.
use super::score::PairedPosition;
use serde::{Deserialize, Serialize};

/// Perplexity of one model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    /// e to the mean surprise.
    pub ppl: f64,
    /// Its standard error (positions taken as independent).
    pub ppl_stderr: f64,
    /// Positions scored.
    pub tokens: usize,
}

/// A model against a reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Mean KL(reference ‖ model), nats a token.
    pub kld_mean: f64,
    /// Standard error of the mean (positions taken as independent).
    pub kld_stderr: f64,
    /// Median.
    pub kld_median: f64,
    /// 99th percentile.
    pub kld_p99: f64,
    /// Share of positions whose first choice is the reference's, 0..=1.
    pub top1: f64,
    /// The model's perplexity.
    pub ppl: f64,
    /// The reference's perplexity.
    pub ppl_reference: f64,
    /// Positions scored.
    pub tokens: usize,
}

impl Perplexity {
    /// From the surprise of every position; NaN if there are none.
    pub fn new(surprises: &[f64]) -> Perplexity {
        let (mean, stderr) = mean_and_error(surprises);
        Perplexity { ppl: mean.exp(), ppl_stderr: mean.exp() * stderr, tokens: surprises.len() }
    }
}

impl Divergence {
    /// From every position; NaN if there are none.
    pub fn new(positions: &[PairedPosition]) -> Divergence {
        let column = |f: fn(&PairedPosition) -> f64| positions.iter().map(f).collect::<Vec<_>>();
        let mut divergences = column(|p| p.divergence);
        let (kld_mean, kld_stderr) = mean_and_error(&divergences);
        divergences.sort_by(f64::total_cmp);
        let same = positions.iter().filter(|p| p.same_top).count();
        Divergence {
            kld_mean,
            kld_stderr,
            kld_median: quantile(&divergences, 0.5),
            kld_p99: quantile(&divergences, 0.99),
            top1: same as f64 / positions.len() as f64,
            ppl: Perplexity::new(&column(|p| p.surprise)).ppl,
            ppl_reference: Perplexity::new(&column(|p| p.surprise_reference)).ppl,
            tokens: positions.len(),
        }
    }
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// The value below which a share `q` of the sorted values lies, between neighbours by linear interpolation.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_sample() {
        let position =
            |d: f64, same_top| PairedPosition { surprise: d, surprise_reference: 1.0, divergence: d, same_top };
        let summary = Divergence::new(&[position(1.0, true), position(2.0, false), position(6.0, true)]);
        assert_eq!(summary.kld_mean, 3.0);
        assert_eq!(summary.kld_median, 2.0);
        assert!((summary.kld_p99 - 5.92).abs() < 1e-12);
        assert!((summary.kld_stderr - (7.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(summary.top1, 2.0 / 3.0);
        assert!((summary.ppl - 3.0f64.exp()).abs() < 1e-9);
        assert!((summary.ppl_reference - 1.0f64.exp()).abs() < 1e-9);
    }
}
