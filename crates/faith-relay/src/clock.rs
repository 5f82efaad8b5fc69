//! The timeouts of a session: finds peers that vanished, and ends sessions that pass no byte.
//!
//! One timer serves both. Moving bytes does not touch it: bytes leave a time stamp, and a timer that fires early is set
//! again from it (`alarm`). The clock asks for keep-alive only when a session has lasted a while: short sessions do not
//! need it, and its six system calls are a large part of their cost.
//!
//! A signal, a debugger or a suspended machine may stop the process. Meanwhile bytes and answers wait in the kernel's
//! queues. A timer that fires far too late shows such a stop. The time of the stop does not count as a peer's silence, and
//! an idle session gets a moment more to read what waits. The kernel does not judge a settled session: it would count
//! probes that were never carried (`peer::keep_alive`).

use std::task::{Context, Poll, ready};
use std::time::Duration;

use faith_sys::peer;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::leg::Leg;

/// A session is settled after the keep-alive timeout divided by this.
const SETTLED: u32 = 8;

/// Looks for a silent peer, per keep-alive timeout.
const LOOKS: u32 = 4;

/// The shortest keep-alive timeout.
const LEAST: Duration = Duration::from_secs(1);

/// A timer that is late by the timeout divided by this shows that the process was stopped. A shorter stop leaves a peer
/// time to answer, and a busy machine's timers are always somewhat late.
const LATE: u32 = 8;

/// A timer counts as late from this delay on, never earlier. Otherwise a short timeout on a busy machine would make each
/// look show a stop, and an idle session would never end. The idle timer uses this limit alone.
const LATE_AT_LEAST: Duration = Duration::from_millis(200);

/// The longest timeout: it keeps sums of times from overflowing.
pub(crate) const FAR: Duration = Duration::from_hours(30 * 365 * 24);

/// After a stop the process reads waiting bytes for this long before a session counts as idle.
const MOMENT: Duration = Duration::from_secs(1);

/// The task that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Turn keep-alive on for both peers, and declare a silent peer dead after this long.
    KeepAlive(Duration),
    /// Check whether a peer [is lost](Clock::has_lost).
    Look,
    /// No byte has moved for the idle timeout.
    Idle,
}

/// The clock of one session.
pub(crate) struct Clock {
    idle_timeout: Option<Duration>,
    keep_alive: Duration,
    settled: bool,
    look_at: Instant,
    pub(crate) last_moved: Instant,
    /// Time at which the session began, or at which the process went on after a stop.
    awake_since: Instant,
    alarm: Alarm,
}

impl Clock {
    /// Starts a clock now. `alarm` is the attempt's, if that ran on this thread.
    pub(crate) fn new(idle_timeout: Option<Duration>, keep_alive: Duration, alarm: Option<Alarm>) -> Self {
        // The kernel's own keep-alive counts in seconds, and a shorter timeout would make the task look all the time.
        let keep_alive = keep_alive.max(LEAST);
        let now = Instant::now();
        let look_at = now + keep_alive / SETTLED;
        let alarm = alarm.unwrap_or_else(|| Alarm::new(look_at));
        Self { idle_timeout, keep_alive, settled: false, look_at, last_moved: now, awake_since: now, alarm }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        while let Some(deadline) = self.idle_at().filter(|deadline| *deadline <= self.look_at) {
            ready!(self.alarm.poll_until(deadline, cx));
            if self.is_on_time(deadline, LATE_AT_LEAST) {
                return Poll::Ready(Due::Idle);
            }
        }
        ready!(self.poll_until(self.look_at, cx));
        self.notice_pause(self.look_at);
        self.look_at = Instant::now() + self.keep_alive / LOOKS;
        let before = std::mem::replace(&mut self.settled, true);
        Poll::Ready(if before { Due::Look } else { Due::KeepAlive(self.keep_alive) })
    }

    /// Ready once `deadline` has passed.
    pub(crate) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll_until(deadline, cx)
    }

    /// Notes a stop of the process if `deadline`, for which the alarm is set, passed too long ago.
    pub(crate) fn notice_pause(&mut self, deadline: Instant) {
        self.is_on_time(deadline, (self.limit() / LATE).max(LATE_AT_LEAST));
    }

    fn is_on_time(&mut self, deadline: Instant, late: Duration) -> bool {
        let now = Instant::now();
        let on_time = now.saturating_duration_since(deadline) < late;
        if !on_time {
            self.awake_since = now;
        }
        on_time
    }

    /// Tells whether the peer of a leg has left sent bytes unacknowledged for too long.
    pub(crate) fn has_lost(&self, leg: &Leg) -> bool {
        peer::unanswered(leg)
            .is_some_and(|silence| silence.min(self.awake_since.elapsed()) >= self.keep_alive)
    }

    /// Tells whether to give up on a peer that has acknowledged nothing since then.
    pub(crate) fn is_over(&self, since: Instant) -> bool {
        since.max(self.awake_since).elapsed() >= self.limit()
    }

    /// Longest time that a peer may acknowledge nothing while the session waits for it alone.
    fn limit(&self) -> Duration {
        self.idle_timeout.map_or(self.keep_alive, |timeout| timeout.min(self.keep_alive))
    }

    /// Tells whether keep-alive is on for both peers.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    fn idle_at(&self) -> Option<Instant> {
        self.idle_timeout
            .map(|timeout| (self.last_moved + timeout).max(self.awake_since + MOMENT.min(timeout)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks this much too late, and tells whether the clock takes that for a stop.
    fn is_pause(idle_timeout: Duration, late: Duration) -> bool {
        let mut clock = Clock::new(Some(idle_timeout), 60 * SECOND, None);
        let before = clock.awake_since;
        clock.notice_pause(Instant::now() - late);
        clock.awake_since != before
    }

    #[tokio::test]
    async fn a_look_that_a_busy_machine_delays_is_no_pause_even_with_a_short_idle_timeout() {
        // An eighth of this timeout is 12 ms. The rest up to 200 ms leaves time to the machine that runs the test.
        assert!(!is_pause(SECOND / 10, SECOND / 50));
        assert!(is_pause(SECOND / 10, SECOND / 5));
    }

    #[tokio::test]
    async fn a_longer_timeout_lets_a_busy_machine_be_late_by_an_eighth_of_it() {
        assert!(!is_pause(40 * SECOND, SECOND));
        assert!(is_pause(40 * SECOND, 5 * SECOND));
    }
}
