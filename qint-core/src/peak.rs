//! The rate that a backend's multiplier has when nothing holds it up: the limit that products are compared with.
//!
//! ```text
//! for each round, for each chain c:   sum[c] += levels[c mod L] · quad[c div L]        (Isa::dot4)
//! ```
//!
//! 1. Chains are independent, so the multiplier's latency is hidden; operands come out of registers or the first cache.
//! 2. What fits the registers differs between CPUs; [`CHAINS`] lists what to try. Thirty-two registers of sixteen lanes hold
//!    twelve sums and L = 12 vectors of levels, which all meet one quad. Sixteen registers of eight lanes hold four sums and
//!    L = 2 vectors of levels, each of which meets two quads. Where the multiplier needs nothing beside (AVX-VNNI), they hold
//!    six sums and L = 1 vector of levels, for CPUs on which it takes five cycles.
//! 3. It is the rate for any levels. AVX2 can do better for small ones, whose products are added before they are widened: there
//!    q4-linear, q2-linear and q1 may pass 100 % of it.
//! 4. The compiler must neither reuse a product nor add products of several rounds before it adds them to a sum: the address of
//!    the quads is a secret to it in every round.
use crate::{
    backend::{Backend, Operation},
    isa::Isa,
};
use core::{array, hint::black_box};

/// Numbers of chains worth trying; the quickest counts.
pub const CHAINS: [usize; 3] = [4, 6, 12];

/// Multiplies `rounds` rounds on `chains` chains (a number of [`CHAINS`]; another counts as the largest) and returns the
/// multiply-adds that were done. The caller takes the time.
///
/// ```
/// use qint_core::{backend::Backend, peak};
/// assert_eq!(peak::multiply_adds(Backend::detect(), 4, 10), 10 * 4 * 64);
/// ```
pub fn multiply_adds(backend: Backend, chains: usize, rounds: u64) -> u64 {
    let (chains, sum) = match chains {
        4 => (4, backend.run(Rounds::<4, 2, 2>::new(rounds))),
        6 => (6, backend.run(Rounds::<6, 1, 6>::new(rounds))),
        _ => (12, backend.run(Rounds::<12, 12, 1>::new(rounds))),
    };
    black_box(sum);
    rounds * chains * 64
}

/// Levels of 1..=127, and activations of −127..=127 without 0. Aligned, so that no vector straddles two cache lines.
#[repr(align(64))]
struct Rounds<const CHAINS: usize, const LEVELS: usize, const QUADS: usize> {
    levels: [[u8; 64]; LEVELS],
    quads: [[u8; 64]; QUADS],
    rounds: u64,
}

impl<const CHAINS: usize, const LEVELS: usize, const QUADS: usize> Rounds<CHAINS, LEVELS, QUADS> {
    fn new(rounds: u64) -> Self {
        const { assert!(LEVELS * QUADS == CHAINS) };
        fn bytes<const N: usize>(factor: usize) -> [[u8; 64]; N] {
            array::from_fn(|i| array::from_fn(|j| ((64 * i + j) * factor % 127) as u8 + 1))
        }
        let (levels, mut quads) = (bytes(37), bytes(53));
        quads.as_flattened_mut().iter_mut().step_by(3).for_each(|byte| *byte = byte.wrapping_neg());
        Rounds { levels, quads, rounds }
    }
}

impl<const CHAINS: usize, const LEVELS: usize, const QUADS: usize> Operation for Rounds<CHAINS, LEVELS, QUADS> {
    /// The sum over all lanes of all chains.
    type Output = i32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> i32 {
        let levels: [_; LEVELS] = array::from_fn(
            #[inline(always)]
            |index| isa.load_bytes(black_box(&self.levels[index])),
        );
        let mut sums = [isa.zero(); CHAINS];
        for _ in 0..self.rounds {
            let quads = black_box(&self.quads);
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = isa.dot4(*sum, levels[chain % LEVELS], isa.load_bytes(&quads[chain / LEVELS]));
            }
        }
        let mut all = 0i32;
        for sum in sums {
            all = all.wrapping_add(isa.sum_i32(sum));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every backend, and plain arithmetic.
    fn check<const CHAINS: usize, const LEVELS: usize, const QUADS: usize>(rounds: u64) {
        let Rounds { levels, quads, .. } = Rounds::<CHAINS, LEVELS, QUADS>::new(rounds);
        let mut expected = 0;
        for (levels, quad) in levels.iter().flat_map(|levels| quads.iter().map(move |quad| (levels, quad))) {
            let products = levels.iter().zip(quad).map(|(&a, &b)| i32::from(a) * i32::from(b.cast_signed()));
            expected += rounds as i32 * products.sum::<i32>();
        }
        for backend in Backend::available() {
            let found = backend.run(Rounds::<CHAINS, LEVELS, QUADS>::new(rounds));
            assert_eq!(found, expected, "{}", backend.name());
        }
    }

    #[test]
    fn every_backend_does_the_work() {
        check::<4, 2, 2>(3);
        check::<6, 1, 6>(4);
        check::<12, 12, 1>(5);
    }

    #[test]
    fn the_work_is_counted() {
        assert_eq!(multiply_adds(Backend::detect(), 12, 2), 2 * 12 * 64);
        assert_eq!(multiply_adds(Backend::detect(), 99, 1), 12 * 64);
    }
}
