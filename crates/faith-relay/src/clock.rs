//! What time does to a session: a peer that vanished is noticed, and a session without a byte ends.
//!
//! One timer serves both, and is not touched per byte: bytes leave a time stamp, and a timer that fires early is
//! set again from it (`alarm`). Keep-alive is set up only when a session has lasted a while, because short
//! sessions have no use for it, and six system calls are a good part of what they cost.
//!
//! The process may be stopped, by a signal, a debugger or with its machine, and meanwhile bytes and answers wait in
//! queues that it has to read. A timer that fires far too late shows that. The time before then is no peer's silence, and
//! an idle session has a moment more, in which what waits is read. The kernel is no judge of a settled session: it would
//! count probes that nothing carried (`peer::keep_alive`).

use std::task::{Context, Poll, ready};
use std::time::Duration;

use faith_sys::peer;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::leg::Leg;

/// A session lasts a while when it has lasted this much of the time a silent peer is given.
const SETTLED: u32 = 8;

/// How often, in the time that a silent peer is given, it is looked for.
const LOOKS: u32 = 4;

/// The least time that a silent peer is given.
const LEAST: Duration = Duration::from_secs(1);

/// A timer that is late by this part of the time a silent peer is given shows that the process was stopped. A shorter
/// stop leaves a peer time to answer; and a busy machine's timers are always somewhat late.
const LATE: u32 = 8;

/// No timer counts as late before this. Otherwise each look on a busy machine would show a stop where the timeout is short,
/// and put the end of an idle session off for ever. The idle timer itself counts as late from here on.
const LATE_AT_LEAST: Duration = Duration::from_millis(200);

/// Longer timeouts are this long: sums of times must not overflow.
pub(crate) const FAR: Duration = Duration::from_hours(30 * 365 * 24);

/// How long the process reads what has waited while it was stopped, before a session counts as idle.
const MOMENT: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask both peers from now on whether they are there, and count them as gone after this much silence.
    KeepAlive(Duration),
    /// See whether a peer [is lost](Clock::has_lost).
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
    /// When the session began, or the process went on after it was stopped.
    awake_since: Instant,
    alarm: Alarm,
}

impl Clock {
    /// A clock that begins now. `alarm` is what the attempt was timed by, where that was on this thread.
    pub(crate) fn new(idle_timeout: Option<Duration>, keep_alive: Duration, alarm: Option<Alarm>) -> Self {
        // The kernel's own keep-alive counts in seconds; and who looks all the time does nothing else.
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

    /// Sees by a deadline that the alarm is set for whether the process has been stopped.
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

    /// Whether the peer of a leg has left what it was sent unacknowledged for too long.
    pub(crate) fn has_lost(&self, leg: &Leg) -> bool {
        peer::unanswered(leg)
            .is_some_and(|silence| silence.min(self.awake_since.elapsed()) >= self.keep_alive)
    }

    /// Whether a peer that has acknowledged nothing since then is to be waited for no more.
    pub(crate) fn is_over(&self, since: Instant) -> bool {
        since.max(self.awake_since).elapsed() >= self.limit()
    }

    /// How long a peer may acknowledge nothing, when it alone is waited for.
    fn limit(&self) -> Duration {
        self.idle_timeout.map_or(self.keep_alive, |timeout| timeout.min(self.keep_alive))
    }

    /// Whether both peers are asked whether they are there.
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

    /// Looks after the time for it by this much, and tells whether that counts as a pause.
    fn is_pause(idle_timeout: Duration, late: Duration) -> bool {
        let mut clock = Clock::new(Some(idle_timeout), 60 * SECOND, None);
        let before = clock.awake_since;
        clock.notice_pause(Instant::now() - late);
        clock.awake_since != before
    }

    #[tokio::test]
    async fn a_look_that_a_busy_machine_delays_is_no_pause_however_short_the_idle_timeout() {
        // An eighth of this timeout is 12 ms. What is left to 200 ms is for the machine that runs the test.
        assert!(!is_pause(SECOND / 10, SECOND / 50));
        assert!(is_pause(SECOND / 10, SECOND / 5));
    }

    #[tokio::test]
    async fn a_longer_timeout_leaves_an_eighth_of_it_to_busy_machines() {
        assert!(!is_pause(40 * SECOND, SECOND));
        assert!(is_pause(40 * SECOND, 5 * SECOND));
    }
}
