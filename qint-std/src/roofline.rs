//! What this machine can do at best, measured now: bytes read from memory and integer multiply-adds, per second.
//!
//! Decoding one token reads every weight once, so bytes per token over the first figure is the shortest time a token can
//! take; a prompt multiplies every weight with every token, so multiply-adds over the second is the shortest time for it.
//!
//! Both are measured with the threads of the run, started together, each on a part of its own. The best of several passes
//! counts: other load can only slow one down.
use crate::{mapping::values, pages::Pages};
use qint_core::{
    backend::{Backend, Operation},
    isa::Isa,
    peak,
};
use serde::Serialize;
use std::{hint::black_box, sync::Barrier, time::Instant};

/// Bytes that are read: far more than any cache holds.
const BUFFER_BYTES: usize = 512 << 20;
const READ_PASSES: usize = 6;
const MULTIPLY_PASSES: usize = 4;
/// Seconds that one pass of multiplying should take at least.
const MULTIPLY_SECONDS: f64 = 0.02;

/// What this machine can do at best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// 10⁹ bytes read per second with the threads of the run.
    pub read_gb_per_s: Option<f64>,
    /// 10⁹ multiply-adds per second of 8-bit integers with the threads and the backend of the run.
    pub dot_gmac_per_s: Option<f64>,
}

impl Limits {
    /// Nothing was measured.
    pub const UNKNOWN: Limits = Limits { read_gb_per_s: None, dot_gmac_per_s: None };

    /// Measures both; takes about half a second.
    pub fn measure(backend: Backend, threads: usize) -> Limits {
        Limits { read_gb_per_s: read_gb_per_s(threads), dot_gmac_per_s: Some(dot_gmac_per_s(backend, threads)) }
    }

    /// The larger figures of two measurements.
    pub fn best(self, other: Limits) -> Limits {
        let best = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        Limits {
            read_gb_per_s: best(self.read_gb_per_s, other.read_gb_per_s),
            dot_gmac_per_s: best(self.dot_gmac_per_s, other.dot_gmac_per_s),
        }
    }
}

/// Read bandwidth with `threads` threads, in 10⁹ bytes per second; `None` if 512 MiB can't be had.
pub fn read_gb_per_s(threads: usize) -> Option<f64> {
    let mut buffer = Pages::new(BUFFER_BYTES, "measuring the read bandwidth").ok()?;
    // Not zeros: untouched zero pages would all be one page. Four bytes of 1 are a normal f32.
    buffer.fill(1);
    let numbers = values::<f32>(&buffer)?;
    let threads = threads.max(1);
    let part = numbers.len().div_ceil(threads);
    let pass = || {
        slowest(threads, |thread| {
            let part = numbers.chunks(part).nth(thread).unwrap_or_default();
            black_box(Backend::detect().run(Sum(part)));
        })
    };
    let seconds = (0..READ_PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min);
    Some(BUFFER_BYTES as f64 / seconds / 1e9)
}

/// Multiply-adds of 8-bit integers on `backend` with `threads` threads at once, in 10⁹ per second.
pub fn dot_gmac_per_s(backend: Backend, threads: usize) -> f64 {
    let rates = peak::CHAINS.into_iter().map(|chains| {
        let rounds = rounds(backend, chains);
        let pass = || {
            let seconds = slowest(threads.max(1), |_| {
                peak::multiply_adds(backend, chains, rounds);
            });
            (threads.max(1) as u64 * peak::multiply_adds(backend, chains, 1) * rounds) as f64 / seconds / 1e9
        };
        (0..MULTIPLY_PASSES).map(|_| pass()).fold(0.0, f64::max)
    });
    rates.fold(0.0, f64::max)
}

/// Rounds that take [`MULTIPLY_SECONDS`] or longer.
fn rounds(backend: Backend, chains: usize) -> u64 {
    let mut rounds = 1000;
    loop {
        let start = Instant::now();
        peak::multiply_adds(backend, chains, rounds);
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= MULTIPLY_SECONDS {
            return rounds;
        }
        rounds *= 2;
    }
}

/// Runs `work` on `threads` threads that start together; seconds until the last is done.
fn slowest(threads: usize, work: impl Fn(usize) + Sync) -> f64 {
    let start = Barrier::new(threads);
    let run = |thread| {
        start.wait();
        let begin = Instant::now();
        work(thread);
        (begin, Instant::now())
    };
    let mut times = Vec::with_capacity(threads);
    std::thread::scope(|scope| {
        let run = &run;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        times.push(run(0));
        times.extend(others.into_iter().filter_map(|thread| thread.join().ok()));
    });
    let begin = times.iter().map(|times| times.0).min();
    let end = times.iter().map(|times| times.1).max();
    begin.zip(end).map_or(f64::INFINITY, |(begin, end)| end.duration_since(begin).as_secs_f64())
}

/// Adds up numbers, in the vectors of the backend's CPU.
struct Sum<'a>(&'a [f32]);

/// Sums that don't wait for each other, so that loads and not additions are the limit.
const SUMS: usize = 8;

impl Operation for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let mut sums = [isa.splat(0.0); SUMS];
        for parts in self.0.as_chunks::<16>().0.as_chunks::<SUMS>().0 {
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum = isa.add(*sum, isa.load(part));
            }
        }
        sums.into_iter().map(|sum| isa.sum(sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_are_read() {
        let numbers: Vec<f32> = (0..256u16).map(f32::from).collect();
        for backend in Backend::available() {
            assert_eq!(backend.run(Sum(&numbers)), (255 * 128) as f32);
        }
    }

    #[test]
    fn more_threads_than_parts_are_no_trouble() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let seconds = slowest(3, |_| {
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(done.into_inner() == 3 && seconds.is_finite());
    }

    #[test]
    fn the_larger_measurement_counts() {
        let a = Limits { read_gb_per_s: Some(1.0), dot_gmac_per_s: None };
        let b = Limits { read_gb_per_s: Some(2.0), dot_gmac_per_s: Some(3.0) };
        assert_eq!(a.best(b), b);
        assert_eq!(b.best(a), b);
    }
}
