//! The pulse of a worker: jobs that it does at once while its event loop turns.
//!
//! An observer looks at intervals of its own. It counts its looks, and not the time, so the time in which the whole
//! process was stopped (SIGSTOP, a suspended machine) does not count against a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The jobs of one worker, given and done.
#[derive(Default)]
pub(crate) struct Pulse {
    given: u64,
    done: Arc<AtomicU64>,
    missed: u32,
}

impl Pulse {
    /// Returns the number of looks, this one included, at which the last job was not done yet. If it is 0, the observer
    /// may give the next job.
    pub(crate) fn look(&mut self) -> u32 {
        self.missed = if self.done.load(Ordering::Relaxed) == self.given { 0 } else { self.missed + 1 };
        self.missed
    }

    /// The result of the last look.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }

    /// Makes the next job.
    pub(crate) fn give(&mut self) -> impl FnOnce() + Send + 'static {
        self.given += 1;
        let (done, given) = (Arc::clone(&self.done), self.given);
        move || done.store(given, Ordering::Relaxed)
    }
}
