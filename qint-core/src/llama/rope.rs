//! Rotary position embedding: positions become angles, pairs of components are turned by them.
//!
//! Pair c of a head is (c, c + head_dim/2). Its frequency is f = theta^(−2c/head_dim), stretched as [`RopeScaling`] says;
//! its angle position · f. All in f64 by libm; only cosine and sine are rounded to f32.
use super::{Config, RopeScaling};
use crate::{
    element::{LANES, load_part, store_part},
    isa::Isa,
};
use core::f64::consts::TAU;

/// Fills `rotary`, `[head_dim]`, for one position: cosines of all pairs, then their sines.
pub(super) fn fill(config: &Config, position: usize, rotary: &mut [f32]) {
    let (cosines, sines) = rotary.split_at_mut(config.head_dim / 2);
    for (pair, (cosine, sine)) in cosines.iter_mut().zip(sines).enumerate() {
        let angle = position as f64 * frequency(config, pair);
        let (sin, cos) = libm::sincos(angle);
        (*cosine, *sine) = (cos as f32, sin as f32);
    }
}

/// Turns one head, `[head_dim]`, by a position's `rotary`: (a, b) becomes (a·cos − b·sin, b·cos + a·sin), every operation
/// rounded.
#[inline(always)]
pub(super) fn rotate<I: Isa>(isa: I, head: &mut [f32], rotary: &[f32]) {
    let half = head.len() / 2;
    let (first, second) = head.split_at_mut(half);
    let (cosines, sines) = rotary.split_at(half);
    let vectors = first.chunks_mut(LANES).zip(second.chunks_mut(LANES));
    for ((first, second), (cos, sin)) in vectors.zip(cosines.chunks(LANES).zip(sines.chunks(LANES))) {
        let (a, b) = (load_part(isa, first), load_part(isa, second));
        let (cos, sin) = (load_part(isa, cos), load_part(isa, sin));
        store_part(isa, isa.sub(isa.mul(a, cos), isa.mul(b, sin)), first);
        store_part(isa, isa.add(isa.mul(b, cos), isa.mul(a, sin)), second);
    }
}

fn frequency(config: &Config, pair: usize) -> f64 {
    let plain = libm::pow(config.rope_theta, -2.0 * pair as f64 / config.head_dim as f64);
    match config.rope_scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain / factor,
        RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => {
            let turns = original_context * plain / TAU;
            if turns > high_frequency {
                plain
            } else if turns < low_frequency {
                plain / factor
            } else {
                let kept = (turns - low_frequency) / (high_frequency - low_frequency);
                plain * (kept + (1.0 - kept) / factor)
            }
        }
    }
}
