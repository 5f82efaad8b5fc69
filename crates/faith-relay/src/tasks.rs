//! The tasks of one worker, so that another thread can end them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::task::AbortHandle;

struct Task {
    handle: AbortHandle,
    relaying: bool,
}

/// Handles by session id. Locked when a session begins and ends, never while it runs.
#[derive(Default)]
pub(crate) struct Tasks {
    by_id: Mutex<FxHashMap<u64, Task>>,
}

impl Tasks {
    /// Enters a session's task, in place of the one that session had before.
    pub(crate) fn insert(&self, id: u64, handle: AbortHandle, relaying: bool) {
        self.lock().insert(id, Task { handle, relaying });
    }

    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Ends every task that does not relay yet.
    pub(crate) fn abort_attempts(&self) {
        self.lock().values().filter(|task| !task.relaying).for_each(|task| task.handle.abort());
    }

    /// Ends every task. Its thread drops it, which resets both sides.
    pub(crate) fn abort_all(&self) {
        self.lock().values().for_each(|task| task.handle.abort());
    }

    #[cfg(test)]
    pub(crate) fn relaying(&self) -> usize {
        self.lock().values().filter(|task| task.relaying).count()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<u64, Task>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
