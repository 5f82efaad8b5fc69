//! Counters of the pump. Each worker has its own and is their only writer, so counting needs no lock and no atomic
//! read-modify-write. A reader sums up the workers.

use std::sync::atomic::{AtomicU64, Ordering};

use faith_packet::classify::DropReason;

/// A number that one thread increases and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) captured_packets: Counter,
    pub(crate) captured_bytes: Counter,
    pub(crate) returned_packets: Counter,
    pub(crate) returned_bytes: Counter,
    pub(crate) unreachable_sent: Counter,
    pub(crate) unreachable_limited: Counter,
    pub(crate) host_multicast: Counter,
    pub(crate) syns_held: Counter,
    pub(crate) syns_beyond_hold: Counter,
    pub(crate) syns_beyond_client_hold: Counter,
    drops: [Counter; DropReason::COUNT],
}

impl Counters {
    pub(crate) fn drop(&self, reason: DropReason) {
        if let Some(counter) = self.drops.get(reason.index()) {
            counter.add(1);
        }
    }
}

/// Packets and bytes, as `struct count` of `bpf/shortcut.bpf.c`.
pub(crate) type Count = [u64; 2];

/// The packets that took the shortcut.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    pub(crate) captured: Count,
    pub(crate) returned: Count,
    pub(crate) outbound: Count,
    /// Answers of the kernel to SYNs without a listener.
    pub(crate) no_listener: Count,
}

/// The counts of an interface since it was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceStats {
    /// Packets passed to the stack: captured TCP and ICMPv6 errors about it.
    pub captured_packets: u64,
    /// Their bytes, IPv6 headers included.
    pub captured_bytes: u64,
    /// Packets that the stack sent to the host.
    pub returned_packets: u64,
    /// Their bytes, IPv6 headers included.
    pub returned_bytes: u64,
    /// ICMPv6 Destination Unreachable messages sent, and Time Exceeded about SYNs.
    pub unreachable_sent: u64,
    /// Such messages not sent, because of the limit per client or the limit per worker.
    pub unreachable_limited: u64,
    /// Link-local multicast packets that the host sent to the interface, as it does on each link.
    pub host_multicast: u64,
    /// SYNs offered to a service before the kernel saw them.
    pub syns_held: u64,
    /// SYNs that went to the kernel without an offer, because of [`HoldLimits::total`](crate::HoldLimits::total).
    pub syns_beyond_hold: u64,
    /// SYNs beyond the limits of their client, [`HoldLimits::per_client`](crate::HoldLimits::per_client) or
    /// [`HoldLimits::per_second`](crate::HoldLimits::per_second). They went to the kernel without an offer, or were dropped
    /// ([`Service::waits`](crate::Service::waits)).
    pub syns_beyond_client_hold: u64,
    /// Packets dropped, by [`DropReason::index`].
    pub drops: [u64; DropReason::COUNT],
}

impl InterfaceStats {
    /// Sums up the workers' counters and the shortcut's.
    pub(crate) fn sum<'a>(workers: impl Iterator<Item = &'a Counters>, passed: Passed) -> Self {
        let mut drops = [0; DropReason::COUNT];
        drops[DropReason::Outbound.index()] = passed.outbound[0];
        drops[DropReason::NoListener.index()] = passed.no_listener[0];
        let mut sum = Self {
            captured_packets: passed.captured[0],
            captured_bytes: passed.captured[1],
            returned_packets: passed.returned[0],
            returned_bytes: passed.returned[1],
            unreachable_sent: 0,
            unreachable_limited: 0,
            host_multicast: 0,
            syns_held: 0,
            syns_beyond_hold: 0,
            syns_beyond_client_hold: 0,
            drops,
        };
        for worker in workers {
            sum.captured_packets += worker.captured_packets.get();
            sum.captured_bytes += worker.captured_bytes.get();
            sum.returned_packets += worker.returned_packets.get();
            sum.returned_bytes += worker.returned_bytes.get();
            sum.unreachable_sent += worker.unreachable_sent.get();
            sum.unreachable_limited += worker.unreachable_limited.get();
            sum.host_multicast += worker.host_multicast.get();
            sum.syns_held += worker.syns_held.get();
            sum.syns_beyond_hold += worker.syns_beyond_hold.get();
            sum.syns_beyond_client_hold += worker.syns_beyond_client_hold.get();
            for (total, counter) in sum.drops.iter_mut().zip(&worker.drops) {
                *total += counter.get();
            }
        }
        sum
    }
}
