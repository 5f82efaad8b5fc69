//! Bounds the refused attempts that the observer is told: a flood of packets, cheap to send, must stay cheap here.

use std::time::Instant;

use faith_stack::{Allowance, Rate};

use crate::record::RefusalReason;

/// Refused attempts of one reason that are told per second.
const REPORTS_PER_SECOND: u32 = 50;
const REPORTS: Rate = Rate::per_second(REPORTS_PER_SECOND);

/// The allowances. Each reason has its own, so a flood of one reason hides no other.
#[derive(Debug, Default)]
pub(crate) struct Reports([Allowance; RefusalReason::COUNT]);

impl Reports {
    /// Tells whether one more attempt may be told, and counts it as told then.
    pub(crate) fn admit(&self, reason: RefusalReason, now: Instant) -> bool {
        self.0[reason.index()].take(REPORTS, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(reports: &Reports, reason: RefusalReason, now: Instant) -> u32 {
        (0..1000).map(|_| u32::from(reports.admit(reason, now))).sum()
    }

    #[test]
    fn each_second_allows_a_bounded_number_of_reports() {
        let epoch = Instant::now();
        let reports = Reports::default();
        for second in [0, 1, 2, 100_000] {
            let now = epoch + Duration::from_secs(second);
            assert_eq!(told(&reports, RefusalReason::Refused, now), REPORTS_PER_SECOND);
            assert_eq!(told(&reports, RefusalReason::Refused, now), 0);
        }
    }

    #[test]
    fn a_flood_of_one_reason_hides_no_other() {
        let epoch = Instant::now();
        let reports = Reports::default();
        assert_eq!(told(&reports, RefusalReason::Refused, epoch), REPORTS_PER_SECOND);
        assert!(reports.admit(RefusalReason::Denied, epoch));
    }

    #[test]
    fn an_earlier_time_read_by_another_worker_gives_no_second_share() {
        let epoch = Instant::now();
        let reports = Reports::default();
        let later = epoch + Duration::from_secs(1);
        assert_eq!(told(&reports, RefusalReason::Limit, later), REPORTS_PER_SECOND);
        assert_eq!(told(&reports, RefusalReason::Limit, epoch), 0);
    }
}
