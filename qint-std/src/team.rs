//! A persistent group of threads that start a job within a fraction of a microsecond.
//!
//! A token of a small model consists of a hundred short jobs, so members wait for the next one by spinning. They spin for
//! some microseconds only, then yield, then sleep (`gate`): a team larger than its cores, or one whose cores are taken
//! by somebody else, is slower but never stuck.
//!
//! 1. `run` publishes the job and moves the `start` gate; every member runs it and moves the `done` gate.
//! 2. The caller is member 0, and returns only when all have finished: that is why a job may borrow from its stack.
//! 3. A member that panics breaks the barrier, so that the others don't wait for it; the caller then panics likewise.
//! 4. Calls from several threads take turns. A call from inside a job runs its job on the calling member alone.
#![allow(unsafe_code)]
mod cores;
mod gate;

pub use cores::physical_cores;

use gate::Gate;
use qint_core::team::{Barrier, Member, Serial, Team};
use std::{
    any::Any,
    cell::{Cell, UnsafeCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Members that a team has at most.
pub const MAX_MEMBERS: usize = 1024;

type Job<'a> = &'a (dyn Fn(&Member<'_>) + Sync + 'a);

thread_local! {
    /// Whether this thread is running a job.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Threads that wait for jobs. They end when the team is dropped.
///
/// ```
/// use qint_core::team::{Team, for_each};
/// use qint_std::team::ThreadTeam;
///
/// let team = ThreadTeam::new(2);
/// let mut values = [1, 2, 3, 4];
/// for_each(&team, values.iter_mut(), |value| *value *= 10);
/// assert_eq!(values, [10, 20, 30, 40]);
/// ```
pub struct ThreadTeam {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a job runs.
    turn: Mutex<()>,
}

impl ThreadTeam {
    /// A team of `members`, the calling thread included. Where threads can't be created it becomes smaller; see
    /// [`size`](Team::size).
    pub fn new(members: usize) -> ThreadTeam {
        let members = members.clamp(1, MAX_MEMBERS);
        let shared = Arc::new(Shared::new(members <= thread::available_parallelism().map_or(1, usize::from)));
        let spawn = |index| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("qint member {index}"));
            builder.spawn(move || shared.serve(index)).ok()
        };
        let workers = (1..members).map_while(spawn).collect();
        ThreadTeam { shared, workers, turn: Mutex::new(()) }
    }

    /// One member for every physical core that this process may use.
    pub fn for_this_machine() -> ThreadTeam {
        ThreadTeam::new(physical_cores())
    }
}

impl Team for ThreadTeam {
    fn size(&self) -> usize {
        self.workers.len() + 1
    }

    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync)) {
        if self.workers.is_empty() || INSIDE.get() {
            return Serial.run(job);
        }
        // A job that panicked has left nothing behind: what is shared is reset by the next one.
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let panicked = self.shared.run(job, self.size());
        drop(turn);
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}

impl Drop for ThreadTeam {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.start.advance();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for ThreadTeam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadTeam").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// What the members of a team have in common.
struct Shared {
    /// The current job and the number of its members. Written only while all workers wait at `start`.
    job: UnsafeCell<Option<(Job<'static>, usize)>>,
    /// Counts jobs.
    start: Gate,
    /// Counts workers that have finished, over all jobs.
    done: Gate,
    meeting: Meeting,
    panicked: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: `job` is the only field that is not Sync. It is written by `run`, which has the turn, while no worker reads it:
// workers read it after `start` has advanced and before they advance `done`, and `run` waits for all of them at `done`.
unsafe impl Sync for Shared {}

impl Shared {
    fn new(spin: bool) -> Shared {
        Shared {
            job: UnsafeCell::new(None),
            start: Gate::new(spin),
            done: Gate::new(spin),
            meeting: Meeting::new(spin),
            panicked: Mutex::new(None),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs `job` on `count` members, the caller included, and returns what one of them panicked with.
    fn run(&self, job: Job<'_>, count: usize) -> Option<Box<dyn Any + Send>> {
        // SAFETY: only the lifetime changes. Workers use the reference before they advance `done`, and this function does
        // not return, nor unwind, before all of them have.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        let finished = self.done.position().wrapping_add(count - 1);
        self.meeting.reset(count);
        // SAFETY: all workers wait at `start`, see `Sync`.
        unsafe { *self.job.get() = Some((job, count)) };
        self.start.advance();
        self.take_part(job, 0, count);
        self.done.wait_until(|position| position == finished);
        self.panicked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The life of member `index`.
    fn serve(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.start.wait_until(|position| position != seen);
            seen = seen.wrapping_add(1);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            // SAFETY: `start` has advanced and this worker has not advanced `done`, see `Sync`.
            let job = unsafe { *self.job.get() };
            if let Some((job, count)) = job {
                self.take_part(job, index, count);
            }
            self.done.advance();
        }
    }

    fn take_part(&self, job: Job<'_>, index: usize, count: usize) {
        INSIDE.set(true);
        let member = Member { index, count, barrier: &self.meeting };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| job(&member))) {
            if !payload.is::<Broken>() {
                self.panicked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
            self.meeting.break_up();
        }
        INSIDE.set(false);
    }
}

/// The barrier of one job after the other.
struct Meeting {
    count: AtomicUsize,
    arrived: AtomicUsize,
    broken: AtomicBool,
    /// Counts meetings.
    held: Gate,
}

/// What members unwind with that would wait for a member that has panicked.
struct Broken;

impl Meeting {
    fn new(spin: bool) -> Meeting {
        Meeting {
            count: AtomicUsize::new(1),
            arrived: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            held: Gate::new(spin),
        }
    }

    /// Before a job starts; `start` publishes it.
    fn reset(&self, count: usize) {
        self.count.store(count, Ordering::Relaxed);
        self.arrived.store(0, Ordering::Relaxed);
        self.broken.store(false, Ordering::Relaxed);
    }

    fn break_up(&self) {
        self.broken.store(true, Ordering::SeqCst);
        self.held.advance();
    }

    fn expect_whole(&self) {
        if self.broken.load(Ordering::SeqCst) {
            resume_unwind(Box::new(Broken)); // without the message of a panic: another member has printed one
        }
    }
}

impl Barrier for Meeting {
    fn wait(&self) {
        // In this order: either the position is read before `break_up` advances it, or what `break_up` did before is seen.
        let held = self.held.position();
        self.expect_whole();
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.count.load(Ordering::Relaxed) {
            self.arrived.store(0, Ordering::Relaxed);
            self.held.advance();
        } else {
            self.held.wait_until(|position| position != held);
        }
        self.expect_whole();
    }
}

#[cfg(test)]
mod tests;
