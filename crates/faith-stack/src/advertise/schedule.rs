//! The times of advertisements on one link (RFC 4861 sections 6.2.4 and 6.2.6). It knows no clock and no socket.

use std::time::{Duration, Instant};

/// `MAX_INITIAL_RTR_ADVERT_INTERVAL` and `MAX_INITIAL_RTR_ADVERTISEMENTS` of section 10.
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
const INITIAL: u8 = 3;
/// `MIN_DELAY_BETWEEN_RAS`.
const MIN_DELAY: Duration = Duration::from_secs(3);
/// `MAX_RA_DELAY_TIME`: the longest delay of an answer.
const ANSWER_DELAY: Duration = Duration::from_millis(500);
/// The time in which the other routers of a link answer, before the first advertisement.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// A random number, evenly spread.
pub(super) type Random = u64;

/// The schedule of a link.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Instant,
    last: Option<Instant>,
    initial: u8,
}

impl Schedule {
    /// Begins with three advertisements in short intervals.
    pub(super) fn start(now: Instant) -> Self {
        Self { next: now + FIRST_DELAY, last: None, initial: INITIAL }
    }

    /// The time of the next advertisement.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Notes that one was sent, and chooses the time of the next between a third of `most` and `most`.
    pub(super) fn sent(&mut self, now: Instant, most: Duration, random: Random) {
        let least = most / 3;
        let mut interval = least + share(least * 2, random);
        self.initial = self.initial.saturating_sub(1);
        if self.initial > 0 {
            interval = interval.min(INITIAL_INTERVAL);
        }
        self.last = Some(now);
        self.next = now + interval;
    }

    /// Answers a host that asks, by an advertisement to all hosts.
    pub(super) fn solicited(&mut self, now: Instant, random: Random) {
        self.at(now + share(ANSWER_DELAY, random));
    }

    /// Advertises a change as soon as the rate allows.
    pub(super) fn soon(&mut self, now: Instant) {
        self.at(now);
    }

    /// Moves the next one forward to this time, or to the first one after it that the rate allows.
    fn at(&mut self, time: Instant) {
        let allowed = self.last.map_or(time, |last| time.max(last + MIN_DELAY));
        self.next = self.next.min(allowed);
    }
}

/// A random part of a time.
fn share(time: Duration, random: Random) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % (millis + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_mins(10);

    /// The seconds until the next one.
    fn wait(schedule: &Schedule, now: Instant) -> f64 {
        schedule.next().duration_since(now).as_secs_f64()
    }

    #[test]
    fn the_first_intervals_are_16_seconds_at_most() {
        let mut now = Instant::now();
        let mut schedule = Schedule::start(now);
        let mut waits = vec![];
        for _ in 0..5 {
            waits.push(wait(&schedule, now));
            now = schedule.next();
            schedule.sent(now, MOST, 0);
        }
        assert_eq!(waits, [1.0, 16.0, 16.0, 200.0, 200.0]);
    }

    #[test]
    fn intervals_are_between_a_third_and_the_whole() {
        let now = Instant::now();
        let mut schedule = Schedule { next: now, last: None, initial: 0 };
        schedule.sent(now, MOST, 0);
        assert!((wait(&schedule, now) - 200.0).abs() < 0.01);
        schedule.sent(now, MOST, 400_000);
        assert!((wait(&schedule, now) - 600.0).abs() < 0.01);
        for random in [1, 77_777, u64::MAX] {
            schedule.sent(now, MOST, random);
            assert!((200.0..=600.0).contains(&wait(&schedule, now)));
        }
    }

    #[test]
    fn an_answer_is_sent_within_half_a_second_but_not_less_than_3_seconds_after_the_last() {
        let now = Instant::now();
        let mut schedule = Schedule { next: now + MOST, last: None, initial: 0 };
        schedule.solicited(now, 400);
        assert!((wait(&schedule, now) - 0.4).abs() < 0.01);
        schedule.sent(now, MOST, 0);
        for random in [0, 1, 500] {
            schedule.solicited(now, random);
        }
        assert!((wait(&schedule, now) - 3.0).abs() < 0.01);
    }

    #[test]
    fn an_answer_never_delays_the_next_one() {
        let now = Instant::now();
        let mut schedule = Schedule::start(now);
        schedule.sent(now, Duration::from_secs(4), 0);
        let before = schedule.next();
        schedule.solicited(now, 0);
        schedule.soon(now);
        assert_eq!(schedule.next(), before.min(now + MIN_DELAY));
    }
}
