//! What time does to a session: a peer that vanished is noticed, and a session without a byte ends.
//!
//! One timer serves both, and is not touched per byte: bytes leave a time stamp, and a timer that fires early is
//! set again from it (`alarm`). Keep-alive is set up only when a session has lasted a while, because short
//! sessions have no use for it, and six system calls are a good part of what they cost.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::alarm::Alarm;

/// A session lasts a while when it has lasted this much of the time a silent peer is given.
const SETTLED: u32 = 8;

/// How often, in the time that a silent peer is given, it is looked for.
const LOOKS: u32 = 4;

/// The least time that a silent peer is given.
const LEAST: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask both peers from now on whether they are there, and count them as gone after this much silence.
    KeepAlive(Duration),
    /// Count a peer as gone that has left what it was sent unacknowledged for this long.
    Look(Duration),
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
        Self { idle_timeout, keep_alive, settled: false, look_at, last_moved: now, alarm }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        let idle_at = self.idle_timeout.map(|timeout| self.last_moved + timeout);
        if let Some(deadline) = idle_at.filter(|deadline| *deadline <= self.look_at) {
            ready!(self.alarm.poll_until(deadline, cx));
            return Poll::Ready(Due::Idle);
        }
        ready!(self.alarm.poll_until(self.look_at, cx));
        self.look_at = Instant::now() + self.keep_alive / LOOKS;
        let before = std::mem::replace(&mut self.settled, true);
        Poll::Ready(if before { Due::Look } else { Due::KeepAlive }(self.keep_alive))
    }
}
