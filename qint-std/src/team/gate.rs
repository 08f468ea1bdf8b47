//! A counter that threads wait for: by spinning, then by yielding, then asleep.
use std::{
    hint,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Rounds of spinning, each some tens of cycles: about as long as the pause between two tokens.
const SPINS: usize = 2000;
/// Yields after that. Each costs about a third of a microsecond where nobody else wants the core.
const YIELDS: usize = 64;

/// A counter that only advances. On a cache line of its own.
#[repr(align(128))]
pub(super) struct Gate {
    position: AtomicUsize,
    sleepers: AtomicUsize,
    spins: usize,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Gate {
    /// `spin` is for those who have a core of their own.
    pub(super) fn new(spin: bool) -> Gate {
        Gate {
            position: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            spins: if spin { SPINS } else { 0 },
            lock: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    /// How often it has advanced.
    pub(super) fn position(&self) -> usize {
        self.position.load(Ordering::Acquire)
    }

    /// Advances by one. What was written before is seen by those who have waited for it.
    pub(super) fn advance(&self) {
        self.position.fetch_add(1, Ordering::SeqCst);
        // Both orders are SeqCst here and in `sleep`: either this sees the sleeper, or the sleeper sees the new position.
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // Whoever holds the lock has not looked at the position yet, or is waiting already.
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
    }

    /// Returns once `reached` is true of the position.
    pub(super) fn wait_until(&self, reached: impl Fn(usize) -> bool) {
        for _ in 0..self.spins {
            if reached(self.position()) {
                return;
            }
            hint::spin_loop();
        }
        for _ in 0..YIELDS {
            if reached(self.position()) {
                return;
            }
            thread::yield_now();
        }
        self.sleep(reached);
    }

    fn sleep(&self, reached: impl Fn(usize) -> bool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !reached(self.position.load(Ordering::SeqCst)) {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}
