//! How far a long job is, on stderr: one line that is rewritten on a terminal; elsewhere a line for every tenth, once the
//! job has taken two seconds; nothing with `--quiet`.
use crate::output::Output;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Milliseconds between two rewritten lines.
const PAUSE: u64 = 100;
/// Milliseconds that a job takes before it is worth a line.
const SHORT: u64 = 2000;

/// The progress of one job. May be told from any thread.
pub(crate) struct Progress<'a> {
    output: &'a Output,
    what: String,
    start: Instant,
    /// On a terminal, when the line may be rewritten next, in milliseconds; elsewhere the tenths that were told.
    last: AtomicU64,
}

impl<'a> Progress<'a> {
    /// The progress of `what`, for example "evaluating".
    pub(crate) fn new(output: &'a Output, what: impl Into<String>) -> Progress<'a> {
        Progress { output, what: what.into(), start: Instant::now(), last: AtomicU64::new(0) }
    }

    /// `done` of `total` is done; `part` says what is being worked on.
    pub(crate) fn tell(&self, done: u64, total: u64, part: &str) {
        let percent = 100 * done / total.max(1);
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.output.may_animate() {
            if self.advance(now, now.saturating_add(PAUSE)) {
                self.output.rewrite_line(&format!("{} {percent:3} % {part}", self.what));
            }
        } else if now >= SHORT && percent >= 10 && self.advance(percent / 10, percent / 10 + 1) {
            self.output.note(&format!("{} {percent} %", self.what));
        }
    }

    /// Whether `now` has reached what `last` waits for; then it waits for `next`.
    fn advance(&self, now: u64, next: u64) -> bool {
        let due = self.last.load(Ordering::Relaxed);
        now >= due && self.last.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.output.may_animate() {
            self.output.rewrite_line("");
        }
    }
}
