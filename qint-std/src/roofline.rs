//! What this machine can do at best, measured now: bytes read from memory per second.
//!
//! Decoding one token reads every weight once, so bytes per token over this figure is the shortest time a token can take.
use std::{hint::black_box, time::Instant};

/// Bytes that are read: far more than any cache holds.
const BUFFER_BYTES: usize = 512 << 20;
/// The best of this many passes counts: other load can only slow one down.
const PASSES: usize = 4;

/// Read bandwidth with `threads` threads, in 10⁹ bytes per second; `None` if 512 MiB can't be had.
pub fn read_gb_per_s(threads: usize) -> Option<f64> {
    let words = BUFFER_BYTES / size_of::<u64>();
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(words).ok()?;
    // Not zeros: untouched zero pages would all be one page.
    buffer.resize(words, 0x0101_0101_0101_0101u64);
    let seconds = (0..PASSES).map(|_| read_once(&buffer, threads.max(1))).fold(f64::INFINITY, f64::min);
    Some(BUFFER_BYTES as f64 / seconds / 1e9)
}

fn read_once(buffer: &[u64], threads: usize) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for part in buffer.chunks(buffer.len().div_ceil(threads)) {
            scope.spawn(move || black_box(sum(part)));
        }
    });
    start.elapsed().as_secs_f64()
}

/// Sixteen independent sums, so that loads and not additions are the limit.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 16];
    for chunk in words.chunks_exact(16) {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}
