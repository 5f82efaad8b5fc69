//! Counts of ended sessions and attempts, by how they ended.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cause::Cause;
use crate::record::{EndReason, SessionRecord};

/// A session, an attempt without a cause, and an attempt of each cause.
const KINDS: usize = 2 + Cause::COUNT;

/// How something ended: what is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct End {
    /// Why it ended.
    pub reason: EndReason,
    /// The cause that turned an attempt away, where the reason does not say all.
    pub cause: Option<Cause>,
    /// Whether it was a session: client and server had been joined.
    pub joined: bool,
}

impl End {
    fn kind(self) -> usize {
        match (self.joined, self.cause) {
            (true, _) => 0,
            (false, None) => 1,
            (false, Some(cause)) => 2 + cause.index(),
        }
    }
}

impl From<&SessionRecord> for End {
    fn from(record: &SessionRecord) -> Self {
        Self { reason: record.reason, cause: record.cause, joined: record.joined }
    }
}

/// How many ended, by how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([[u64; KINDS]; EndReason::COUNT]);

impl Tally {
    /// How something ended that has, and how many times.
    pub fn iter(&self) -> impl Iterator<Item = (End, u64)> {
        EndReason::ALL.into_iter().zip(&self.0).flat_map(|(reason, kinds)| {
            let ends = [(true, None), (false, None)]
                .into_iter()
                .chain(Cause::ALL.map(|cause| (false, Some(cause))))
                .map(move |(joined, cause)| End { reason, cause, joined });
            ends.zip(kinds.iter().copied()).filter(|(_, count)| *count > 0)
        })
    }

    /// How many there are in all.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.as_flattened().iter().sum()
    }

    /// How many sessions and attempts ended for this reason.
    #[must_use]
    pub fn of(&self, reason: EndReason) -> u64 {
        self.0[reason.index()].iter().sum()
    }
}

/// One worker's part of a [`Tally`]. Only that worker's thread writes, so an addition is a load and a store.
#[derive(Debug, Default)]
pub(crate) struct LiveTally([[AtomicU64; KINDS]; EndReason::COUNT]);

impl LiveTally {
    pub(crate) fn add(&self, end: End) {
        let counter = &self.0[end.reason.index()][end.kind()];
        counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
    }

    pub(crate) fn add_to(&self, tally: &mut Tally) {
        for (sum, part) in tally.0.as_flattened_mut().iter_mut().zip(self.0.as_flattened()) {
            *sum += part.load(Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_as_it_was() {
        let ends = [
            End { reason: EndReason::Closed, cause: None, joined: true },
            End { reason: EndReason::Aborted, cause: None, joined: true },
            End { reason: EndReason::Aborted, cause: None, joined: false },
            End { reason: EndReason::Denied, cause: Some(Cause::DeniedByRule), joined: false },
            End { reason: EndReason::Denied, cause: Some(Cause::NoHandshake), joined: false },
        ];
        let live = LiveTally::default();
        for (times, end) in ends.into_iter().enumerate() {
            (0..=times).for_each(|_| live.add(end));
        }
        let mut tally = Tally::default();
        live.add_to(&mut tally);
        for (times, end) in (1..).zip(ends) {
            assert!(tally.iter().any(|counted| counted == (end, times)), "{end:?}");
        }
        assert_eq!(tally.iter().count(), ends.len());
        assert_eq!((tally.sum(), tally.of(EndReason::Aborted)), (15, 5));
    }
}
