//! Threads, as this crate sees them: somebody runs one job on several members at once.
//!
//! No member may depend on the order of the others. Work is an iterator of independent items, usually disjoint parts of an
//! output ([`DisjointRows`], `chunks_mut`); [`for_each`] gives every item to whichever member asks next (`Queue`).
#[cfg(target_has_atomic = "8")]
mod queue;
mod rows;

#[cfg(target_has_atomic = "8")]
pub use queue::Queue;
pub use rows::{DisjointRows, RowsMut};

use core::sync::atomic::{AtomicBool, Ordering};

/// A persistent group of threads. Object-safe, no allocation.
pub trait Team: Sync {
    /// How many members run a job.
    fn size(&self) -> usize;
    /// Runs `job` once on every member and returns when all have finished.
    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync));
}

/// One of the threads that run a job.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// 0..count.
    pub index: usize,
    /// Size of the team.
    pub count: usize,
    /// Where members of this job can wait for each other.
    pub barrier: &'a dyn Barrier,
}

/// A meeting point of all members of a job.
pub trait Barrier: Sync {
    /// Returns once every member of the job has called it.
    fn wait(&self);
}

/// A team of one: the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Team for Serial {
    fn size(&self) -> usize {
        1
    }
    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync)) {
        job(&Member { index: 0, count: 1, barrier: self });
    }
}

impl Barrier for Serial {
    fn wait(&self) {}
}

/// Does `work` on every item, each on one member, and returns when all are done.
///
/// ```
/// use qint_core::team::{Serial, for_each};
/// let mut squares = [1, 2, 3];
/// for_each(&Serial, squares.iter_mut(), |x| *x *= *x);
/// assert_eq!(squares, [1, 4, 9]);
/// ```
#[cfg(target_has_atomic = "8")]
pub fn for_each<I: Iterator + Send>(team: &dyn Team, items: I, work: impl Fn(I::Item) + Sync) {
    let queue = Queue::new(items);
    team.run(&|_| {
        while let Some(item) = queue.deal() {
            work(item);
        }
    });
}

/// Does `work` on every item, on the calling thread: this CPU has no compare-and-swap to share them with.
#[cfg(not(target_has_atomic = "8"))]
pub fn for_each<I: Iterator + Send>(_: &dyn Team, items: I, work: impl Fn(I::Item) + Sync) {
    items.for_each(work);
}

/// As [`for_each`]; whether `work` was true for all items. All items are worked on in any case.
pub fn all<I: Iterator + Send>(team: &dyn Team, items: I, work: impl Fn(I::Item) -> bool + Sync) -> bool {
    let all = AtomicBool::new(true);
    for_each(team, items, |item| {
        if !work(item) {
            all.store(false, Ordering::Relaxed);
        }
    });
    all.into_inner()
}
