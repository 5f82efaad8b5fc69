//! Counts of ended sessions by reason, and of refused attempts by reason and cause.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cause::Cause;
use crate::record::{RefusalReason, SessionEnd};

/// Places per reason: one for no cause, and one for each cause.
const CAUSES: usize = 1 + Cause::COUNT;

/// Places for each reason with each cause.
const REFUSALS: usize = RefusalReason::COUNT * CAUSES;

/// Numbers of ended sessions, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionTally([u64; SessionEnd::COUNT]);

impl SessionTally {
    /// Number of sessions that ended for this reason.
    #[must_use]
    pub const fn of(&self, reason: SessionEnd) -> u64 {
        self.0[reason.index()]
    }

    /// Number of sessions that ended.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Numbers of aborted sessions, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AbortTally([u64; CAUSES]);

impl AbortTally {
    /// Number of sessions that were aborted for this cause; `None` for those without a cause.
    #[must_use]
    pub fn of(&self, cause: Option<Cause>) -> u64 {
        self.0[place_of(cause)]
    }
}

/// Numbers of refused attempts, by reason and cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusalTally([u64; REFUSALS]);

impl Default for RefusalTally {
    fn default() -> Self {
        Self([0; REFUSALS])
    }
}

impl RefusalTally {
    /// Reasons and causes with their numbers of refused attempts, without those that are 0.
    pub fn iter(&self) -> impl Iterator<Item = (RefusalReason, Option<Cause>, u64)> {
        let causes = [None].into_iter().chain(Cause::ALL.map(Some));
        let kinds = RefusalReason::ALL
            .into_iter()
            .flat_map(move |reason| causes.clone().map(move |cause| (reason, cause)));
        // The kinds come in the order of their places.
        kinds
            .zip(self.0)
            .map(|((reason, cause), count)| (reason, cause, count))
            .filter(|(.., count)| *count > 0)
    }

    /// Number of attempts refused for this reason, with any cause.
    #[must_use]
    pub fn of(&self, reason: RefusalReason) -> u64 {
        self.0[reason.index() * CAUSES..][..CAUSES].iter().sum()
    }

    /// Number of refused attempts.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

fn place(reason: RefusalReason, cause: Option<Cause>) -> usize {
    reason.index() * CAUSES + place_of(cause)
}

fn place_of(cause: Option<Cause>) -> usize {
    cause.map_or(0, |cause| 1 + cause.index())
}

/// One worker's part of a tally. Only that worker's thread writes, so an addition is a load and a store.
#[derive(Debug)]
pub(crate) struct LiveTally<const PLACES: usize>([AtomicU64; PLACES]);

pub(crate) type LiveSessions = LiveTally<{ SessionEnd::COUNT }>;
pub(crate) type LiveAborts = LiveTally<CAUSES>;
pub(crate) type LiveRefusals = LiveTally<REFUSALS>;

impl<const PLACES: usize> Default for LiveTally<PLACES> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }
}

impl<const PLACES: usize> LiveTally<PLACES> {
    pub(crate) fn add_at(&self, place: usize) {
        let counter = &self.0[place];
        counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(crate) fn add_all_to(&self, sums: &mut [u64; PLACES]) {
        for (sum, part) in sums.iter_mut().zip(&self.0) {
            *sum += part.load(Relaxed);
        }
    }
}

impl LiveSessions {
    pub(crate) fn add(&self, reason: SessionEnd) {
        self.add_at(reason.index());
    }

    pub(crate) fn add_to(&self, tally: &mut SessionTally) {
        self.add_all_to(&mut tally.0);
    }
}

impl LiveAborts {
    pub(crate) fn add(&self, cause: Option<Cause>) {
        self.add_at(place_of(cause));
    }

    pub(crate) fn add_to(&self, tally: &mut AbortTally) {
        self.add_all_to(&mut tally.0);
    }
}

impl LiveRefusals {
    pub(crate) fn add(&self, reason: RefusalReason, cause: Option<Cause>) {
        self.add_at(place(reason, cause));
    }

    pub(crate) fn add_to(&self, tally: &mut RefusalTally) {
        self.add_all_to(&mut tally.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_gives_refusals_as_they_were_counted() {
        let refusals = [
            (RefusalReason::Refused, None),
            (RefusalReason::Aborted, None),
            (RefusalReason::Aborted, Some(Cause::NoHandshake)),
            (RefusalReason::Denied, Some(Cause::DeniedByRule)),
            (RefusalReason::Error, Some(Cause::ALL[Cause::COUNT - 1])),
        ];
        let live = LiveRefusals::default();
        for (times, (reason, cause)) in refusals.into_iter().enumerate() {
            (0..=times).for_each(|_| live.add(reason, cause));
        }
        let mut tally = RefusalTally::default();
        live.add_to(&mut tally);
        for (times, (reason, cause)) in (1..).zip(refusals) {
            assert!(tally.iter().any(|counted| counted == (reason, cause, times)), "{reason} {cause:?}");
        }
        assert_eq!(tally.iter().count(), refusals.len());
        assert_eq!((tally.sum(), tally.of(RefusalReason::Aborted)), (15, 5));
    }

    #[test]
    fn a_tally_gives_aborted_sessions_as_they_were_counted() {
        let causes = [None, Some(Cause::RelayClosed), Some(Cause::EndedOnRequest)];
        let live = LiveAborts::default();
        for (times, cause) in (1..).zip(causes) {
            (0..times).for_each(|_| live.add(cause));
        }
        let mut tally = AbortTally::default();
        live.add_to(&mut tally);
        assert_eq!(causes.map(|cause| tally.of(cause)), [1, 2, 3]);
        assert_eq!(tally.of(Some(Cause::EndDenied)), 0);
    }

    #[test]
    fn a_tally_gives_sessions_as_they_were_counted() {
        let live = LiveSessions::default();
        for (times, reason) in SessionEnd::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| live.add(reason));
        }
        let mut tally = SessionTally::default();
        live.add_to(&mut tally);
        for (times, reason) in (0..).zip(SessionEnd::ALL) {
            assert_eq!(tally.of(reason), times, "{reason}");
        }
        assert_eq!(tally.sum(), (0..).zip(SessionEnd::ALL).map(|(times, _)| times).sum::<u64>());
    }
}
