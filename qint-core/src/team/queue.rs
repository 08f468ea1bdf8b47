//! One iterator, shared by the members of a team: every item goes to exactly one of them.
//!
//! A spin lock of one flag guards the iterator. It is held for one `next`, a few nanoseconds.
use core::{
    cell::UnsafeCell,
    hint,
    sync::atomic::{AtomicBool, Ordering},
};

/// An iterator that several threads draw from. Its `next` must be quick and must not panic.
#[derive(Debug)]
pub struct Queue<I> {
    locked: AtomicBool,
    items: UnsafeCell<I>,
}

#[allow(unsafe_code)]
// SAFETY: `deal` gives access to the iterator to one thread at a time (the lock), and `I: Send` allows it to be used from
// any thread.
unsafe impl<I: Send> Sync for Queue<I> {}

impl<I: Iterator> Queue<I> {
    /// A queue of all `items`.
    pub const fn new(items: I) -> Queue<I> {
        Queue { locked: AtomicBool::new(false), items: UnsafeCell::new(items) }
    }

    /// The next item that nobody has, or `None` when the iterator says so.
    #[allow(unsafe_code)]
    pub fn deal(&self) -> Option<I::Item> {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            hint::spin_loop();
        }
        // SAFETY: the flag was taken above and is given back below, so this is the only reference to the iterator.
        let items = unsafe { &mut *self.items.get() };
        let item = items.next();
        self.locked.store(false, Ordering::Release);
        item
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::thread;

    #[test]
    fn every_item_goes_to_exactly_one_thread() {
        let mut counts = [0u8; 10_000];
        let queue = Queue::new(counts.iter_mut());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(count) = queue.deal() {
                        *count += 1;
                    }
                });
            }
        });
        assert!(counts.iter().all(|&count| count == 1));
    }
}
