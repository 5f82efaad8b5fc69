//! The counters of a program's ports.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a program's ports at one moment. Each datagram of a superframe counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BoundUdpStats {
    /// Datagrams of clients that the hearer took.
    pub received: u64,
    /// Datagrams of clients for which it had no room.
    pub dropped: u64,
    /// Datagrams given to the host.
    pub sent: u64,
    /// Datagrams that the interface could not carry to the host.
    pub lost: u64,
}

/// The same numbers, which any worker increases.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) received: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl Counters {
    pub(super) fn stats(&self) -> BoundUdpStats {
        let Counters { received, dropped, sent, lost } = self;
        let [received, dropped, sent, lost] =
            [received, dropped, sent, lost].map(|counter| counter.load(Relaxed));
        BoundUdpStats { received, dropped, sent, lost }
    }
}
