//! The rate that a backend's multiplier has when nothing holds it up: the limit that products are compared with.
//!
//! ```text
//! for each round, for each of 8 quads, for each chain c:   sum[c] += levels[c] · quad        (Isa::dot4)
//! ```
//!
//! 1. Chains are independent, so the multiplier's latency is hidden; operands come out of registers or the first cache.
//! 2. How many chains are needed and how many fit the registers differs between CPUs: [`CHAINS`] lists what to try.
//! 3. It is the rate for any levels. AVX2 can do better for small ones, whose products are added before they are widened: there
//!    q4-linear, q2-linear and q1 may pass 100 % of it.
//! 4. The compiler must not compute a product once and reuse it: the operands' address is a secret to it in every round.
use crate::{
    backend::{Backend, Operation},
    isa::Isa,
};
use core::hint::black_box;

/// Numbers of chains worth trying; the quickest counts.
pub const CHAINS: [usize; 2] = [4, 12];
/// Quads in a round.
const QUADS: usize = 8;

type Operands = [[u8; 64]; 12];

/// Multiplies `rounds` rounds on `chains` chains (a number of [`CHAINS`]; another counts as the largest) and returns the
/// multiply-adds that were done. The caller takes the time.
///
/// ```
/// use qint_core::{backend::Backend, peak};
/// assert_eq!(peak::multiply_adds(Backend::detect(), 4, 10), 10 * 4 * 8 * 64);
/// ```
pub fn multiply_adds(backend: Backend, chains: usize, rounds: u64) -> u64 {
    let (levels, quads) = operands();
    let chains = if chains == CHAINS[0] {
        black_box(backend.run(Rounds::<4> { levels: &levels, quads: &quads, rounds }));
        CHAINS[0]
    } else {
        black_box(backend.run(Rounds::<12> { levels: &levels, quads: &quads, rounds }));
        CHAINS[1]
    };
    rounds * (chains * QUADS * 64) as u64
}

/// Levels of 0..=127 and activations of −127..=127, none alike.
fn operands() -> (Operands, Operands) {
    let bytes =
        |factor: usize| core::array::from_fn(|i| core::array::from_fn(|j| ((64 * i + j) * factor % 127) as u8 + 1));
    let (levels, mut quads): (Operands, Operands) = (bytes(37), bytes(53));
    quads.as_flattened_mut().iter_mut().step_by(3).for_each(|byte| *byte = byte.wrapping_neg());
    (levels, quads)
}

struct Rounds<'a, const CHAINS: usize> {
    levels: &'a Operands,
    quads: &'a Operands,
    rounds: u64,
}

impl<const CHAINS: usize> Operation for Rounds<'_, CHAINS> {
    /// The sum over all lanes of all chains.
    type Output = i32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> i32 {
        let mut sums = [isa.zero(); CHAINS];
        for _ in 0..self.rounds {
            let (levels, quads) = black_box((self.levels, self.quads));
            let levels: [_; CHAINS] = core::array::from_fn(
                #[inline(always)]
                |c| isa.load_bytes(&levels[c]),
            );
            for quad in quads.iter().take(QUADS) {
                let quad = isa.load_bytes(quad);
                for (sum, levels) in sums.iter_mut().zip(levels) {
                    *sum = isa.dot4(*sum, levels, quad);
                }
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
    extern crate std;
    use super::*;

    /// What [`Rounds`] adds up, by plain arithmetic.
    fn expected(chains: usize, rounds: i32) -> i32 {
        let (levels, quads) = operands();
        let mut sum = 0;
        for quad in &quads[..QUADS] {
            for levels in &levels[..chains] {
                let products = levels.iter().zip(quad).map(|(&a, &b)| i32::from(a) * i32::from(b.cast_signed()));
                sum += products.sum::<i32>();
            }
        }
        sum * rounds
    }

    #[test]
    fn every_backend_does_the_work() {
        let (levels, quads) = operands();
        let (levels, quads) = (&levels, &quads);
        for backend in Backend::available() {
            assert_eq!(backend.run(Rounds::<4> { levels, quads, rounds: 3 }), expected(4, 3), "{}", backend.name());
            assert_eq!(backend.run(Rounds::<12> { levels, quads, rounds: 5 }), expected(12, 5), "{}", backend.name());
        }
    }

    #[test]
    fn the_work_is_counted() {
        assert_eq!(multiply_adds(Backend::detect(), 12, 2), 2 * 12 * 8 * 64);
        assert_eq!(multiply_adds(Backend::detect(), 99, 1), 12 * 8 * 64);
    }
}
