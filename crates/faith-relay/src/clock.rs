//! What time does to a session: a peer that vanished is noticed, and a session without a byte ends.
//!
//! One timer serves both, and is not touched per byte: bytes leave a time stamp, and a timer that fires early is
//! set again from it. Keep-alive is set up only when a session has lasted a while, because short sessions have no
//! use for it, and six system calls are a good part of what they cost.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

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
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn new(idle_timeout: Option<Duration>, keep_alive: Duration) -> Self {
        // The kernel's own keep-alive counts in seconds; and who looks all the time does nothing else.
        let keep_alive = keep_alive.max(LEAST);
        let now = Instant::now();
        let look_at = now + keep_alive / SETTLED;
        let first = idle_timeout.map_or(look_at, |timeout| look_at.min(now + timeout));
        Self {
            idle_timeout,
            keep_alive,
            settled: false,
            look_at,
            last_moved: now,
            timer: Box::pin(sleep_until(first)),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let idle_at = self.idle_timeout.map(|timeout| self.last_moved + timeout);
            if idle_at.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Due::Idle);
            }
            let is_due = self.look_at <= now;
            if is_due {
                self.look_at = now + self.keep_alive / LOOKS;
            }
            self.timer.as_mut().reset(idle_at.map_or(self.look_at, |deadline| deadline.min(self.look_at)));
            if is_due {
                let before = std::mem::replace(&mut self.settled, true);
                return Poll::Ready(if before { Due::Look } else { Due::KeepAlive }(self.keep_alive));
            }
        }
    }
}
