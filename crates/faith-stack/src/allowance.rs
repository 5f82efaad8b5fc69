//! Rate limits, in total and per client.
//!
//! Clients choose how many addresses they use, so the table of clients has a fixed size. A keyed hash, unknown to clients,
//! gives each client two places. The client takes the place that is already its own, or one whose allowance is whole
//! again. If there is none, it shares a place with another client. So a client cannot renew its allowance by pushing out
//! its own place. A flood from many networks uses up another client's allowance only as far as it hits the same two
//! places.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The number of places in the table of clients.
const CLIENTS: usize = 1024;

/// The origin of the times in allowances: an hour before its first use, because the caller has read its time before that.
/// Times before the origin count as the origin, so the seconds after them would be shorter ones.
static EPOCH: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_hours(1)).unwrap_or(now)
});

/// A limit of events per time. All may happen at once; then one becomes available again per equal part of the time.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    most: u32,
    per: Duration,
}

impl Rate {
    /// Allows `most` events at once, and as many again in each `per`. `most` is at least 1.
    #[must_use]
    pub const fn new(most: u32, per: Duration) -> Self {
        Self { most, per }
    }

    /// Allows `most` events per second.
    #[must_use]
    pub const fn per_second(most: u32) -> Self {
        Self::new(most, Duration::from_secs(1))
    }

    fn interval(self) -> Duration {
        self.per / self.most.max(1)
    }
}

/// The unused part of a [`Rate`], from which any thread may take. It is stored as the time at which it is whole again (the
/// generic cell rate algorithm). A new one is whole.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Nanoseconds after the epoch.
    whole_at: AtomicU64,
}

impl Allowance {
    /// Takes one event. Returns false if none is left.
    pub fn take(&self, rate: Rate, now: Instant) -> bool {
        let now = since_epoch(now);
        let next = |whole_at: u64| after_one(whole_at, rate, now);
        // A load is cheaper than an update, and under a flood nearly always finds none left.
        next(self.whole_at.load(Relaxed)).is_some()
            && self.whole_at.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    /// Returns true if an event is left, without taking it.
    #[must_use]
    pub fn is_left(&self, rate: Rate, now: Instant) -> bool {
        after_one(self.whole_at.load(Relaxed), rate, since_epoch(now)).is_some()
    }

    /// The time until the allowance is whole again; zero if it is.
    #[must_use]
    pub fn whole_in(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.whole_at.load(Relaxed).saturating_sub(since_epoch(now)))
    }
}

/// The time at which the allowance is whole again after taking one more event; `None` if none is left.
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
    /// Empty before the first event.
    places: Vec<(u128, Allowance)>,
    hasher: RandomState,
}

impl ClientAllowances {
    /// Allows `rate` for each client.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, places: Vec::new(), hasher: RandomState::new() }
    }

    /// Takes one event from a client's allowance. Returns false if none is left.
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
    fn a_period_allows_its_limit_at_once_and_saves_nothing_up() {
        let now = Instant::now();
        for (most, per) in [(1, SECOND), (3, SECOND), (1000, SECOND), (5, 60 * SECOND)] {
            let (allowance, rate) = (Allowance::default(), Rate::new(most, per));
            let taken = |now| (0..5000).filter(|_| allowance.take(rate, now)).count();
            assert_eq!(taken(now), most as usize);
            assert_eq!(taken(now), 0);
            assert_eq!(taken(now + per), most as usize);
            // A long pause does not add to the limit.
            assert_eq!(taken(now + 10 * per), most as usize);
        }
    }

    #[test]
    fn a_time_that_was_read_before_the_first_use_is_not_before_the_origin() {
        let first = Instant::now();
        assert!(first.checked_sub(Duration::from_mins(1)).unwrap() > *EPOCH);
        assert_eq!(since_epoch(first + SECOND) - since_epoch(first), 1_000_000_000);
    }

    #[test]
    fn half_a_second_restores_half() {
        let now = Instant::now();
        let (allowance, rate) = (Allowance::default(), Rate::per_second(10));
        let taken = |now| (0..100).filter(|_| allowance.take(rate, now)).count();
        assert_eq!(taken(now), 10);
        assert_eq!(taken(now + SECOND / 2), 5);
    }

    #[test]
    fn is_left_and_whole_in_take_nothing() {
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
    fn an_earlier_time_allows_nothing_more() {
        let now = Instant::now() + SECOND;
        let (allowance, rate) = (Allowance::default(), Rate::per_second(50));
        assert_eq!((0..100).filter(|_| allowance.take(rate, now)).count(), 50);
        assert!((0..100).all(|_| !allowance.take(rate, now.checked_sub(SECOND).unwrap())));
    }

    #[test]
    fn threads_together_take_no_more_than_the_limit() {
        let (now, allowance, rate) = (Instant::now(), Allowance::default(), Rate::per_second(1000));
        let take = || (0..1000).filter(|_| allowance.take(rate, now)).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    fn one_client_does_not_use_up_the_allowance_of_others() {
        let mut clients = ClientAllowances::new(Rate::per_second(10));
        let now = Instant::now();
        assert_eq!((0..5000).filter(|_| clients.take(1, now)).count(), 10);
        // A few clients may have to share both of their places.
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
    fn a_client_gets_a_shared_place_once_its_allowance_is_whole_again() {
        let mut clients = ClientAllowances::new(Rate::per_second(1));
        let now = Instant::now();
        let taken = (0..100 * CLIENTS as u128).filter(|client| clients.take(*client, now)).count();
        assert!(taken <= CLIENTS);
        assert!(clients.take(u128::MAX, now + SECOND));
    }
}
