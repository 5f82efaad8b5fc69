//! Rates: how many there may be in a time, in all and of each client.
//!
//! Clients choose by how many addresses they come, so the table of clients has a fixed size. Two places are a client's, by
//! a hash that no client knows. It takes one that is its own, or that stands for a client whose allowance is whole
//! again; otherwise it shares with a client that has its allowance in use. No client can have a whole allowance anew by
//! pushing its own place out, and a flood from many networks uses up no more of another client's allowance than the
//! part of the flood that has the same two places.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How many clients are told apart at a time.
const CLIENTS: usize = 1024;

/// The moment that allowances count from.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How many there may be in a time. All may come at once; after them one comes back per equal part of the time.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    most: u32,
    per: Duration,
}

impl Rate {
    /// At most `most` at once, and as many again in each `per`. `most` is 1 at least.
    #[must_use]
    pub const fn new(most: u32, per: Duration) -> Self {
        Self { most, per }
    }

    /// So many per second.
    #[must_use]
    pub const fn per_second(most: u32) -> Self {
        Self::new(most, Duration::from_secs(1))
    }

    fn interval(self) -> Duration {
        self.per / self.most.max(1)
    }
}

/// The part of a [`Rate`] that is left, which any thread may take from. It is kept as in the generic cell rate algorithm,
/// by the moment when it is whole again. A new one is whole.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Nanoseconds after the epoch.
    whole_at: AtomicU64,
}

impl Allowance {
    /// Takes one, if there is one.
    pub fn take(&self, rate: Rate, now: Instant) -> bool {
        let now = since_epoch(now);
        let next = |whole_at: u64| after_one(whole_at, rate, now);
        // Under a flood there is nearly always none, which a look tells.
        next(self.whole_at.load(Relaxed)).is_some()
            && self.whole_at.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    /// Whether there is one to take.
    #[must_use]
    pub fn is_left(&self, rate: Rate, now: Instant) -> bool {
        after_one(self.whole_at.load(Relaxed), rate, since_epoch(now)).is_some()
    }

    /// How long it takes to be whole again; zero where it is.
    #[must_use]
    pub fn whole_in(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.whole_at.load(Relaxed).saturating_sub(since_epoch(now)))
    }
}

/// When the allowance is whole again after one more is taken; `None` if there is none.
fn after_one(whole_at: u64, rate: Rate, now: u64) -> Option<u64> {
    let whole_at = whole_at.max(now).saturating_add(nanoseconds(rate.interval()));
    (whole_at - now <= nanoseconds(rate.per)).then_some(whole_at)
}

fn since_epoch(now: Instant) -> u64 {
    nanoseconds(now.saturating_duration_since(*EPOCH))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An allowance for each client.
#[derive(Debug)]
pub(crate) struct ClientAllowances {
    rate: Rate,
    /// None before the first is taken.
    places: Vec<(u128, Allowance)>,
    hasher: RandomState,
}

impl ClientAllowances {
    /// `rate` for each of them.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, places: Vec::new(), hasher: RandomState::new() }
    }

    /// Takes one of the allowance of a client, if there is one.
    pub(crate) fn take(&mut self, client: u128, now: Instant) -> bool {
        if self.places.is_empty() {
            self.places = (0..CLIENTS).map(|_| (0, Allowance::default())).collect();
        }
        let hash = self.hasher.hash_one(client);
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is one")]
        let both = [hash, hash >> 32].map(|bits| bits as usize % CLIENTS);
        let is_own = |place: &usize| self.places[*place].0 == client;
        let is_free = |place: &usize| self.places[*place].1.whole_in(now).is_zero();
        let place = both.into_iter().find(is_own).or_else(|| both.into_iter().find(is_free));
        let (holder, allowance) = &mut self.places[place.unwrap_or(both[0])];
        if place.is_some() {
            *holder = client;
        }
        allowance.take(self.rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_time_brings_so_many_which_may_be_taken_at_once() {
        let now = Instant::now();
        for (most, per) in [(1, SECOND), (3, SECOND), (1000, SECOND), (5, 60 * SECOND)] {
            let (allowance, rate) = (Allowance::default(), Rate::new(most, per));
            let taken = |now| (0..5000).filter(|_| allowance.take(rate, now)).count();
            assert_eq!(taken(now), most as usize);
            assert_eq!(taken(now), 0);
            assert_eq!(taken(now + per), most as usize);
            // A long silence saves nothing up.
            assert_eq!(taken(now + 10 * per), most as usize);
        }
    }

    #[test]
    fn half_a_second_brings_half() {
        let now = Instant::now();
        let (allowance, rate) = (Allowance::default(), Rate::per_second(10));
        let taken = |now| (0..100).filter(|_| allowance.take(rate, now)).count();
        assert_eq!(taken(now), 10);
        assert_eq!(taken(now + SECOND / 2), 5);
    }

    #[test]
    fn looking_takes_nothing_and_says_when_it_is_whole() {
        let now = Instant::now();
        let (allowance, rate) = (Allowance::default(), Rate::per_second(2));
        for left in [2, 1] {
            assert!((0..10).all(|_| allowance.is_left(rate, now)));
            assert_eq!(allowance.whole_in(now), (2 - left) * SECOND / 2);
            assert!(allowance.take(rate, now));
        }
        assert!(!allowance.is_left(rate, now));
        assert_eq!(allowance.whole_in(now), SECOND);
        assert_eq!(allowance.whole_in(now + SECOND), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_was_read_earlier_brings_nothing() {
        let now = Instant::now() + SECOND;
        let (allowance, rate) = (Allowance::default(), Rate::per_second(50));
        assert_eq!((0..100).filter(|_| allowance.take(rate, now)).count(), 50);
        assert!((0..100).all(|_| !allowance.take(rate, now.checked_sub(SECOND).unwrap())));
    }

    #[test]
    fn threads_that_take_at_once_get_no_more_than_there_is() {
        let (now, allowance, rate) = (Instant::now(), Allowance::default(), Rate::per_second(1000));
        let take = || (0..1000).filter(|_| allowance.take(rate, now)).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    fn one_client_leaves_the_others_theirs() {
        let mut clients = ClientAllowances::new(Rate::per_second(10));
        let now = Instant::now();
        assert_eq!((0..5000).filter(|_| clients.take(1, now)).count(), 10);
        // One may have to share both of its places, seldom.
        assert!((2..100).filter(|client| clients.take(*client, now)).count() > 90);
        assert!(!clients.take(1, now));
    }

    #[test]
    fn a_client_is_not_pushed_out_while_its_allowance_is_in_use() {
        let mut clients = ClientAllowances::new(Rate::per_second(2));
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
        let mut clients = ClientAllowances::new(Rate::per_second(1));
        let now = Instant::now();
        let taken = (0..100 * CLIENTS as u128).filter(|client| clients.take(*client, now)).count();
        assert!(taken <= CLIENTS);
        assert!(clients.take(u128::MAX, now + SECOND));
    }
}
