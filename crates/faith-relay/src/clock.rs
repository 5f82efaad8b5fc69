//! What time does to a session: a peer that vanished is asked for, and a session without a byte ends.
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

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask both peers from now on whether they are there, and count them as gone after this much silence.
    KeepAlive(Duration),
    /// No byte has moved for the idle timeout.
    Idle,
}

/// The clock of one session.
pub(crate) struct Clock {
    idle_timeout: Option<Duration>,
    keep_alive: Option<Duration>,
    pub(crate) last_moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn new(idle_timeout: Option<Duration>, keep_alive: Duration) -> Self {
        let now = Instant::now();
        let settled = keep_alive / SETTLED;
        let first = idle_timeout.map_or(settled, |timeout| timeout.min(settled));
        Self {
            idle_timeout,
            keep_alive: Some(keep_alive),
            last_moved: now,
            timer: Box::pin(sleep_until(now + first)),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            if self.keep_alive.is_none() && self.idle_timeout.is_none() {
                return Poll::Pending;
            }
            ready!(self.timer.as_mut().poll(cx));
            let idle_at = self.idle_timeout.map(|timeout| self.last_moved + timeout);
            if idle_at.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Due::Idle);
            }
            if let Some(deadline) = idle_at {
                self.timer.as_mut().reset(deadline);
            }
            if let Some(limit) = self.keep_alive.take() {
                return Poll::Ready(Due::KeepAlive(limit));
            }
        }
    }
}
