//! Which attempts the observer is told of, so that packets that cost their sender nothing cost little here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::record::EndReason;

/// How many attempts of one reason are told per second.
pub(crate) const REPORTS_PER_SECOND: u64 = 50;

/// How many were told, in the low bits, of the second in the high bits.
const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// The attempts that were told in this second. Each reason has a share of its own, so that a flood of one hides no other.
#[derive(Debug)]
pub(crate) struct Reports {
    epoch: Instant,
    told: [AtomicU64; EndReason::COUNT],
}

impl Reports {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, told: Default::default() }
    }

    /// Whether one more attempt may be told in the second that `now` falls into; it counts as told then.
    pub(crate) fn admit(&self, reason: EndReason, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.epoch).as_secs() << COUNT_BITS;
        // A worker may have read its clock before another one moved on to the next second, whose share it then takes of.
        let next = |told: u64| {
            let told = told.max(second);
            (told & COUNT_MASK < REPORTS_PER_SECOND).then_some(told + 1)
        };
        let told = &self.told[reason.index()];
        // Under a flood nearly all are past the bound, which a look tells.
        next(told.load(Relaxed)).is_some() && told.fetch_update(Relaxed, Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(reports: &Reports, reason: EndReason, now: Instant) -> u64 {
        (0..1000).filter(|_| reports.admit(reason, now)).count() as u64
    }

    #[test]
    fn each_second_tells_a_bounded_number() {
        let epoch = Instant::now();
        let reports = Reports::new(epoch);
        for second in [0, 1, 2, 100_000] {
            let now = epoch + Duration::from_secs(second);
            assert_eq!(told(&reports, EndReason::Refused, now), REPORTS_PER_SECOND);
            assert_eq!(told(&reports, EndReason::Refused, now), 0);
        }
    }

    #[test]
    fn a_flood_of_one_reason_hides_no_other() {
        let epoch = Instant::now();
        let reports = Reports::new(epoch);
        assert_eq!(told(&reports, EndReason::Refused, epoch), REPORTS_PER_SECOND);
        assert!(reports.admit(EndReason::Denied, epoch));
    }

    #[test]
    fn a_clock_that_a_worker_read_earlier_gives_no_second_share() {
        let epoch = Instant::now();
        let reports = Reports::new(epoch);
        let later = epoch + Duration::from_secs(1);
        assert_eq!(told(&reports, EndReason::Limit, later), REPORTS_PER_SECOND);
        assert_eq!(told(&reports, EndReason::Limit, epoch), 0);
    }
}
