//! The state that the threads of an interface share.

use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;
use faith_sys::backlog::Backlogs;
use faith_sys::icmp::IcmpSender;
use parking_lot::Mutex;

use crate::counters::Counters;
use crate::datagrams::Place;
use crate::error::StackError;
use crate::handover::Handover;
use crate::held::HeldTable;
use crate::listener::Listeners;
use crate::mixing::Mixing;
use crate::shortcut::Shortcut;
use crate::warning::{self, Warnings};

/// Called once, from a thread of the interface, when the interface is lost: its device was deleted, or a worker died.
pub type LostCallback = Box<dyn FnOnce(StackError) + Send>;

/// The state that the threads of an interface share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) mtu: u16,
    pub(crate) classifier: Arc<ArcSwap<Classifier>>,
    pub(crate) listeners: ArcSwap<Listeners>,
    pub(crate) counters: Vec<Counters>,
    pub(crate) held: HeldTable,
    /// Pending SYNs per worker; `None` if the kernel spreads packets without the program.
    pub(crate) backlogs: Option<Backlogs>,
    pub(crate) shortcut: Option<Arc<Shortcut>>,
    /// True if the host's device takes superframes of UDP.
    pub(crate) superframes: bool,
    /// Chooses the worker of a client's datagrams.
    pub(crate) mixing: Mixing,
    /// The frames for each worker that came to another one.
    pub(crate) handovers: Vec<Handover>,
    /// The ports of the relays of datagrams.
    pub(crate) places: Mutex<Vec<Arc<Place>>>,
    /// The way of errors about datagrams to servers, opened for the first relay of datagrams; `None` without `CAP_NET_RAW`.
    pub(crate) icmp: OnceLock<Option<IcmpSender>>,
    pub(crate) warnings: Warnings,
    /// Limits the warning that clients get no reset to one: every worker finds that out.
    pub(crate) untold: Once,
    pub(crate) lost: Mutex<Option<LostCallback>>,
    /// The time until which clients may object to their resets.
    pub(crate) objections: Mutex<Option<Instant>>,
}

impl Shared {
    /// Records that a worker has accepted all pending connections.
    pub(crate) fn accepted(&self, worker: usize) {
        if let Some(shortcut) = &self.shortcut {
            shortcut.accepted(worker);
        }
    }

    /// Records that a worker has emptied its queue of the host's device.
    pub(crate) fn seen(&self, worker: usize) {
        if let Some(backlogs) = &self.backlogs {
            backlogs.seen(worker);
        }
    }

    /// Reports that a queue cannot be read any more, because another program deleted its device.
    pub(crate) fn lost(&self) {
        self.lost_by(StackError::Deleted(self.name.clone()));
    }

    /// Reports that the interface is lost, at most once.
    pub(crate) fn lost_by(&self, error: StackError) {
        if let Some(callback) = self.take_lost() {
            callback(error);
        }
    }

    /// Records that connections are about to be reset, and that their clients may object for this long.
    pub(crate) fn expect_objections(&self, patience: Duration) {
        if !patience.is_zero() {
            let until = Instant::now().checked_add(patience);
            let mut objections = self.objections.lock();
            *objections = (*objections).max(until);
        }
    }

    /// The time for which clients may still object.
    pub(crate) fn objections(&self) -> Duration {
        let until = *self.objections.lock();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Opens the socket for errors about datagrams, once. Without it servers do not learn what clients say about theirs.
    pub(crate) fn open_icmp(&self) {
        self.icmp.get_or_init(|| {
            let warn = |error| self.warnings.send(warning::Kind::ServersUntold(Arc::new(error)));
            IcmpSender::open().map_err(warn).ok()
        });
    }

    /// Changes the listeners, and then lets SYNs take the shortcut or not, as the new listeners need.
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
