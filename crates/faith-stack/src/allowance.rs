//! Rates: how much there may be per second, in all and of each client.
//!
//! Clients choose by how many addresses they come, so the table of clients has a fixed size. Two places are a client's, by
//! a hash that no client knows. It takes one that is its own, or that stands for a client whose allowance is whole
//! again; otherwise it shares with a client that has its allowance in use. No client can have a whole allowance anew by
//! pushing its own place out, and a flood from many networks uses up no more of another client's allowance than the
//! part of the flood that has the same two places.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// How many clients are told apart at a time.
const CLIENTS: usize = 1024;

/// An allowance is what a second brings, and may be used at once.
const SECOND: Duration = Duration::from_secs(1);

/// One allowance, as the generic cell rate algorithm keeps it: by the moment when it is whole again.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    whole_at: Instant,
}

impl Allowance {
    /// A whole one.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { whole_at: now }
    }

    /// Takes one of `per_second`, if there is one.
    pub fn take(&mut self, per_second: u32, now: Instant) -> bool {
        let next = self.next(per_second, now);
        if let Some(next) = next {
            *self = next;
        }
        next.is_some()
    }

    /// Tells whether [`take`](Self::take) would take one.
    #[must_use]
    pub fn has(&self, per_second: u32, now: Instant) -> bool {
        self.next(per_second, now).is_some()
    }

    /// Tells whether it is as if none had been taken.
    #[must_use]
    pub fn is_whole(&self, now: Instant) -> bool {
        self.whole_at <= now
    }

    /// What is left after one of `per_second` is taken, if there is one.
    fn next(&self, per_second: u32, now: Instant) -> Option<Self> {
        let whole_at = self.whole_at.max(now) + SECOND / per_second.max(1);
        (whole_at.saturating_duration_since(now) <= SECOND).then_some(Self { whole_at })
    }
}

/// An allowance for each client.
#[derive(Debug)]
pub(crate) struct ClientAllowances {
    per_second: u32,
    /// None before the first is taken.
    places: Vec<(u128, Allowance)>,
    hasher: RandomState,
}

impl ClientAllowances {
    /// `per_second` for each of them.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, places: Vec::new(), hasher: RandomState::new() }
    }

    /// Takes one of the allowance of a client, if there is one.
    pub(crate) fn take(&mut self, client: u128, now: Instant) -> bool {
        if self.places.is_empty() {
            self.places = vec![(0, Allowance::new(now)); CLIENTS];
        }
        let hash = self.hasher.hash_one(client);
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is one")]
        let both = [hash, hash >> 32].map(|bits| bits as usize % CLIENTS);
        let is_own = |place: &usize| self.places[*place].0 == client;
        let is_free = |place: &usize| self.places[*place].1.is_whole(now);
        let place = both.into_iter().find(is_own).or_else(|| both.into_iter().find(is_free));
        let (holder, allowance) = &mut self.places[place.unwrap_or(both[0])];
        if place.is_some() {
            *holder = client;
        }
        allowance.take(self.per_second, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_brings_so_many_which_may_be_taken_at_once() {
        let now = Instant::now();
        for per_second in [1, 3, 1000] {
            let mut allowance = Allowance::new(now);
            let mut taken = |now| {
                (0..5000)
                    .filter(|_| {
                        let has = allowance.has(per_second, now);
                        assert_eq!(allowance.take(per_second, now), has);
                        has
                    })
                    .count()
            };
            assert_eq!(taken(now), per_second as usize);
            assert_eq!(taken(now), 0);
            assert_eq!(taken(now + SECOND), per_second as usize);
            // A long silence saves nothing up.
            assert_eq!(taken(now + 10 * SECOND), per_second as usize);
        }
    }

    #[test]
    fn half_a_second_brings_half() {
        let now = Instant::now();
        let mut allowance = Allowance::new(now);
        let mut taken = |now| (0..100).filter(|_| allowance.take(10, now)).count();
        assert_eq!(taken(now), 10);
        assert_eq!(taken(now + SECOND / 2), 5);
    }

    #[test]
    fn one_client_leaves_the_others_theirs() {
        let mut clients = ClientAllowances::new(10);
        let now = Instant::now();
        assert_eq!((0..5000).filter(|_| clients.take(1, now)).count(), 10);
        // One may have to share both of its places, seldom.
        assert!((2..100).filter(|client| clients.take(*client, now)).count() > 90);
        assert!(!clients.take(1, now));
    }

    #[test]
    fn a_client_is_not_pushed_out_while_its_allowance_is_in_use() {
        let mut clients = ClientAllowances::new(2);
        let now = Instant::now();
        assert!(clients.take(1, now) && clients.take(1, now));
        for other in 2..100 * CLIENTS as u128 {
            clients.take(other, now);
        }
        assert!(!clients.take(1, now));
        assert!(clients.take(1, now + SECOND));
    }

    #[test]
    fn clients_that_share_a_place_have_theirs_when_it_is_whole_again() {
        let mut clients = ClientAllowances::new(1);
        let now = Instant::now();
        let taken = (0..100 * CLIENTS as u128).filter(|client| clients.take(*client, now)).count();
        assert!(taken <= CLIENTS);
        assert!(clients.take(u128::MAX, now + SECOND));
    }
}
