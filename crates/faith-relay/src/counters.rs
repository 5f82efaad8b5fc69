//! What a relay counts, without locks and without cache lines shared between workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::record::EndReason;

/// How many cheap attempts a worker reports to the observer per second.
const REPORTS_PER_SECOND: u64 = 100;

/// A relay's counters at one moment. Bytes include those of sessions that still run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Sessions and attempts at this moment.
    pub active: u64,
    /// Connections accepted for the relay.
    pub accepted: u64,
    /// Connections given to whoever routes, which are neither sessions nor among those that ended.
    pub handed_over: u64,
    /// Sessions and attempts that ended, by [`EndReason::index`].
    pub ended: [u64; EndReason::COUNT],
    /// Bytes passed from clients to servers.
    pub bytes_up: u64,
    /// Bytes passed from servers to clients.
    pub bytes_down: u64,
    /// Ended attempts that the observer was not told of, to bound its work.
    pub unreported: u64,
    /// Connections that came from another of [`sources`](crate::RelayOptions::sources) than their client's own, which was
    /// out of ports towards the server or not the host's.
    pub source_fallbacks: u64,
}

/// One worker's part. Only that worker's thread writes, so an addition is a load and a store; others read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    accepted: AtomicU64,
    handed_over: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    ended: [AtomicU64; EndReason::COUNT],
    unreported: AtomicU64,
    reports: AtomicU64,
    reports_second: AtomicU64,
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

    pub(crate) fn ended(&self, reason: EndReason) {
        add(&self.ended[reason.index()], 1);
    }

    /// Whether one more cheap attempt may be reported in the second that `now` falls into, counted from
    /// `epoch`.
    pub(crate) fn may_report(&self, epoch: Instant, now: Instant) -> bool {
        let second = now.saturating_duration_since(epoch).as_secs();
        if self.reports_second.load(Relaxed) != second {
            self.reports_second.store(second, Relaxed);
            self.reports.store(0, Relaxed);
        }
        if self.reports.load(Relaxed) >= REPORTS_PER_SECOND {
            add(&self.unreported, 1);
            return false;
        }
        add(&self.reports, 1);
        true
    }

    pub(crate) fn add_to(&self, stats: &mut RelayStats) {
        stats.accepted += self.accepted.load(Relaxed);
        stats.handed_over += self.handed_over.load(Relaxed);
        stats.bytes_up += self.bytes_up.load(Relaxed);
        stats.bytes_down += self.bytes_down.load(Relaxed);
        stats.unreported += self.unreported.load(Relaxed);
        for (sum, part) in stats.ended.iter_mut().zip(&self.ended) {
            *sum += part.load(Relaxed);
        }
    }
}

#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn cheap_attempts_are_reported_a_bounded_number_of_times_a_second() {
        let counters = Counters::default();
        let epoch = Instant::now();
        let told = (0..1000).filter(|_| counters.may_report(epoch, epoch)).count() as u64;
        assert_eq!(told, REPORTS_PER_SECOND);
        assert!(counters.may_report(epoch, epoch + Duration::from_secs(1)));

        let mut stats = RelayStats::default();
        counters.add_to(&mut stats);
        assert_eq!(stats.unreported, 1000 - REPORTS_PER_SECOND);
    }
}
