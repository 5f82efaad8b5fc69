//! What the threads of an interface share.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;
use faith_sys::backlog::Backlogs;
use parking_lot::Mutex;

use crate::counters::Counters;
use crate::error::StackError;
use crate::held::HeldTable;
use crate::listener::Listeners;
use crate::shortcut::Shortcut;
use crate::warning::Warnings;

/// Called once, from a thread of the interface, when the interface cannot go on: its device was deleted, or a worker died.
pub type LostCallback = Box<dyn FnOnce(StackError) + Send>;

/// What an interface's threads share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) classifier: Arc<ArcSwap<Classifier>>,
    pub(crate) listeners: ArcSwap<Listeners>,
    pub(crate) counters: Vec<Counters>,
    pub(crate) held: HeldTable,
    /// Where a program chooses the queues.
    pub(crate) backlogs: Option<Backlogs>,
    pub(crate) shortcut: Option<Arc<Shortcut>>,
    pub(crate) warnings: Warnings,
    /// The warning that clients cannot be told of the interface's end, which each worker finds out.
    pub(crate) untold: Once,
    pub(crate) lost: Mutex<Option<LostCallback>>,
    /// Until when clients may object to resets that they were sent.
    pub(crate) objections: Mutex<Option<Instant>>,
}

impl Shared {
    /// Says that a worker has accepted all that there is to accept.
    pub(crate) fn accepted(&self, worker: usize) {
        if let Some(shortcut) = &self.shortcut {
            shortcut.accepted(worker);
        }
    }

    /// Says that a worker has nothing left in its queue of the host's device.
    pub(crate) fn seen(&self, worker: usize) {
        if let Some(backlogs) = &self.backlogs {
            backlogs.seen(worker);
        }
    }

    /// Reports that a queue can be read no more: another program deleted its device.
    pub(crate) fn lost(&self) {
        self.lost_by(StackError::Deleted(self.name.clone()));
    }

    /// Reports why the interface cannot go on.
    pub(crate) fn lost_by(&self, error: StackError) {
        if let Some(callback) = self.take_lost() {
            callback(error);
        }
    }

    /// Says that connections are about to be reset whose clients may take so long to object.
    pub(crate) fn expect_objections(&self, patience: Duration) {
        if !patience.is_zero() {
            let until = Instant::now().checked_add(patience);
            let mut objections = self.objections.lock();
            *objections = (*objections).max(until);
        }
    }

    /// How long clients may go on objecting.
    pub(crate) fn objections(&self) -> Duration {
        let until = *self.objections.lock();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Changes who listens, and with it whether SYNs may pass by the shortcut.
    pub(crate) fn relist(&self, change: impl Fn(&Listeners) -> Listeners) {
        drop(self.listeners.rcu(|listeners| change(listeners)));
        if let Some(shortcut) = &self.shortcut {
            shortcut.pass_syns(|| !self.listeners.load().look_at_syns());
        }
    }

    pub(crate) fn take_lost(&self) -> Option<LostCallback> {
        self.lost.lock().take()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.lock().is_none()
    }
}
