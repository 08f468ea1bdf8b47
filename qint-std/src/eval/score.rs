//! Two rows of logits become numbers: negative log-likelihood of the next token, Kullback-Leibler divergence, agreement.
//!
//! Everything is f64 over the f32 logits; sums run over the vocabulary in order.

/// What one position says about a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// −ln p(next token), natural logarithm.
    pub surprise: f64,
}

/// What one position says about a model against a reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedPosition {
    /// −ln p(next token) of the model.
    pub surprise: f64,
    /// −ln p(next token) of the reference.
    pub surprise_reference: f64,
    /// KL(reference ‖ model) in nats, never negative.
    pub divergence: f64,
    /// Both put the same token first (the lowest id, on ties).
    pub same_top: bool,
}

/// Scores one row of logits, `[vocabulary]`, against the token that came next.
pub fn score(logits: &[f32], next: u32) -> Position {
    Position { surprise: log_sum_exp(logits) - f64::from(logits[next as usize]) }
}

/// Scores a model's row and compares it with the reference's row of the same length.
pub fn compare(reference: &[f32], model: &[f32], next: u32) -> PairedPosition {
    let (total_reference, total) = (log_sum_exp(reference), log_sum_exp(model));
    let shift = total - total_reference;
    let mut divergence = 0.0;
    for (&r, &m) in reference.iter().zip(model) {
        let (r, m) = (f64::from(r), f64::from(m));
        let log_probability = r - total_reference;
        // exp(-40) is 4e-18: such a token moves nothing.
        if log_probability > -40.0 {
            divergence += log_probability.exp() * (r - m + shift);
        }
    }
    PairedPosition {
        surprise: total - f64::from(model[next as usize]),
        surprise_reference: total_reference - f64::from(reference[next as usize]),
        divergence: divergence.max(0.0),
        same_top: top(reference) == top(model),
    }
}

/// The index of the largest logit, the lowest on ties.
pub fn top(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = i;
        }
    }
    best
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + logits.iter().map(|&x| (f64::from(x) - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_do_not_diverge() {
        let row = [0.5, -1.0, 3.0, 2.0];
        let pair = compare(&row, &row, 2);
        assert_eq!(pair.divergence, 0.0);
        assert!(pair.same_top);
        assert_eq!(pair.surprise, pair.surprise_reference);
    }

    #[test]
    fn a_known_divergence() {
        // p = (1/2, 1/2), q = (3/4, 1/4): KL = ln 2 − ½ ln 3.
        let pair = compare(&[0.0, 0.0], &[3.0f32.ln(), 0.0], 0);
        assert!((pair.divergence - (2.0f64.ln() - 0.5 * 3.0f64.ln())).abs() < 1e-7);
        assert!((pair.surprise - (4.0f64 / 3.0).ln()).abs() < 1e-7);
    }

    #[test]
    fn a_constant_added_to_all_logits_changes_nothing() {
        let (a, b) = ([0.1, 0.7, -2.0], [0.3, 0.2, -1.0]);
        let moved = b.map(|x| x + 16.0);
        assert!((compare(&a, &b, 1).divergence - compare(&a, &moved, 1).divergence).abs() < 1e-5);
    }
}
