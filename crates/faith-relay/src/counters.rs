//! What a relay counts, without locks and without cache lines shared between workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::tally::{End, LiveTally, Tally};

/// A relay's counters at one moment. Bytes include those of sessions that still run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Sessions and attempts at this moment.
    pub active: u64,
    /// Connections accepted for the relay.
    pub accepted: u64,
    /// Connections given to whoever routes, which are neither sessions nor among those that ended.
    pub handed_over: u64,
    /// Sessions and attempts that ended.
    pub ended: Tally,
    /// Bytes passed from clients to servers.
    pub bytes_up: u64,
    /// Bytes passed from servers to clients.
    pub bytes_down: u64,
    /// Those of [`ended`](Self::ended) that the observer was not told of, or did not take.
    pub untold: Tally,
    /// Connections that came from another of [`sources`](crate::RelayOptions::sources) than their client's own, which was
    /// out of ports towards the server or not the host's.
    pub source_fallbacks: u64,
    /// How many SYNs may be held: as the options say, or as descriptors allow.
    pub max_held: u32,
    /// How many sessions there may be, likewise; `None` is no limit.
    pub max_sessions: Option<u32>,
}

/// One worker's part. Only that worker's thread writes, so an addition is a load and a store; others read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    accepted: AtomicU64,
    handed_over: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    ended: LiveTally,
    untold: LiveTally,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(crate) fn handed_over(&self) {
        add(&self.handed_over, 1);
    }

    #[inline]
    pub(crate) fn moved(&self, up: u64, down: u64) {
        add(&self.bytes_up, up);
        add(&self.bytes_down, down);
    }

    pub(crate) fn ended(&self, end: End) {
        self.ended.add(end);
    }

    pub(crate) fn untold(&self, end: End) {
        self.untold.add(end);
    }

    pub(crate) fn add_to(&self, stats: &mut RelayStats) {
        stats.accepted += self.accepted.load(Relaxed);
        stats.handed_over += self.handed_over.load(Relaxed);
        stats.bytes_up += self.bytes_up.load(Relaxed);
        stats.bytes_down += self.bytes_down.load(Relaxed);
        self.ended.add_to(&mut stats.ended);
        self.untold.add_to(&mut stats.untold);
    }
}

#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}
