//! Durations of connects, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::tally::LiveTally;

/// The upper bounds of the buckets, in microseconds. One more bucket holds longer durations.
const BOUNDS: [u64; 13] = [
    1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// Times from the client's SYN, or its accepted connection, until the server had answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectDurations {
    counts: [u64; BUCKETS],
    /// Sum of the durations.
    pub sum: Duration,
}

impl ConnectDurations {
    /// Each bound, and the number of durations up to it.
    pub fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = BOUNDS.into_iter().map(Duration::from_micros);
        bounds.zip(self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// Number of durations, also of those beyond the last bound.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// One worker's part. Only that worker's thread writes.
#[derive(Debug, Default)]
pub(crate) struct LiveDurations {
    tally: LiveTally<BUCKETS>,
    nanoseconds: AtomicU64,
}

impl LiveDurations {
    pub(crate) fn add(&self, duration: Duration) {
        self.tally.add_at(BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < duration));
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.store(self.nanoseconds.load(Relaxed).saturating_add(nanoseconds), Relaxed);
    }

    pub(crate) fn add_to(&self, durations: &mut ConnectDurations) {
        self.tally.add_all_to(&mut durations.counts);
        durations.sum += Duration::from_nanos(self.nanoseconds.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(durations: &[Duration]) -> ConnectDurations {
        let live = LiveDurations::default();
        for duration in durations {
            live.add(*duration);
        }
        let mut counted = ConnectDurations::default();
        live.add_to(&mut counted);
        counted
    }

    #[test]
    fn a_duration_counts_in_each_bucket_from_its_own_on() {
        let bounds: Vec<_> = ConnectDurations::default().up_to().map(|(bound, _)| bound).collect();
        assert_eq!((bounds[0], bounds[12]), (Duration::from_millis(1), Duration::from_secs(10)));
        assert!(bounds.is_sorted());
        for bound in &bounds {
            let nanosecond = Duration::from_nanos(1);
            for (duration, within) in [(*bound, true), (*bound + nanosecond, false)] {
                let counted = counted(&[duration]);
                assert_eq!((counted.count(), counted.sum), (1, duration));
                for (up_to, count) in counted.up_to() {
                    let expected = up_to > *bound || (up_to == *bound && within);
                    assert_eq!(count, u64::from(expected), "{duration:?} up to {up_to:?}");
                }
            }
        }
    }

    #[test]
    fn durations_of_several_workers_add_up() {
        let mut sum = ConnectDurations::default();
        let live = LiveDurations::default();
        live.add(Duration::from_millis(2));
        live.add(Duration::from_mins(1));
        live.add_to(&mut sum);
        live.add_to(&mut sum);
        assert_eq!((sum.count(), sum.sum), (4, Duration::from_millis(120_004)));
        assert_eq!(sum.up_to().last(), Some((Duration::from_secs(10), 2)));
    }
}
