//! One timer for all deadlines in the life of a connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that serves one deadline after the other.
///
/// A deadline later than the one set is not set at once: the alarm compares again when the timer fires. This saves work,
/// because most deadlines move later, and a short connection ends before its first one.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(crate) fn new(first: Instant) -> Self {
        Self(Box::pin(sleep_until(first)))
    }

    /// Ready once `deadline` has passed.
    pub(crate) fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if deadline < self.0.deadline() {
                self.0.as_mut().reset(deadline);
            }
            ready!(self.0.as_mut().poll(cx));
            if deadline <= self.0.deadline() {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline);
        }
    }

    /// Ends once `deadline` has passed.
    pub(crate) async fn until(&mut self, deadline: Instant) {
        poll_fn(|cx| self.poll_until(deadline, cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn an_alarm_is_ready_after_its_deadline_after_earlier_and_later_ones() {
        let now = Instant::now();
        for first in [now, now + MOMENT, now + 1000 * MOMENT] {
            let mut alarm = Alarm::new(first);
            for deadline in [now + MOMENT, now + 3 * MOMENT, now + 2 * MOMENT] {
                alarm.until(deadline).await;
                assert!(Instant::now() >= deadline);
            }
        }
        assert!(Instant::now() < now + 1000 * MOMENT);
    }

    #[tokio::test]
    async fn an_earlier_deadline_replaces_a_later_one() {
        let now = Instant::now();
        let mut alarm = Alarm::new(now + 1000 * MOMENT);
        let mut asked = 0;
        poll_fn(|cx| {
            asked += 1;
            let deadline = if asked == 1 { now + 500 * MOMENT } else { now + MOMENT };
            let due = alarm.poll_until(deadline, cx);
            if asked == 1 {
                assert!(due.is_pending());
                cx.waker().wake_by_ref();
            }
            due
        })
        .await;
        assert!(Instant::now() < now + 500 * MOMENT);
    }
}
