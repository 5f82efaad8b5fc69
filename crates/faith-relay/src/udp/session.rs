//! A session of datagrams: what one port of a client sends to one destination, and the answers.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddrV4, SocketAddrV6};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::mapping::Mapping;
use crate::alarm::Alarm;
use crate::attempt::Attempt;
use crate::record::SessionEnd;

/// The port of DNS. Its clients ask once from each port, and wait for one answer.
pub(super) const DNS: u16 = 53;

/// A session of DNS that has all its answers rests this long, for a second copy of an answer and for a client that asks
/// from one port again and again. Where mappings are crowded, the session ends with its last answer instead: another
/// question begins another session.
const REST: Duration = Duration::from_secs(1);

/// A session without any answer ends after this long if mappings run short: its client may be forged.
const UNANSWERED: Duration = Duration::from_secs(30);

/// A session, which belongs to its client's port. It keeps its mapping.
pub(crate) struct Session {
    pub(crate) destination: SocketAddrV6,
    pub(crate) server: SocketAddrV4,
    pub(crate) mapping: Rc<Mapping>,
    /// Octets of data in the last datagram to the server, for errors about it.
    pub(crate) last_length: Cell<u16>,
    attempt: RefCell<Attempt>,
    course: Cell<Course>,
    /// Wakes [`over`](Self::over) when a datagram has ended the session.
    due: Notify,
}

/// The facts that decide about a session's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    /// The moment of the client's last datagram.
    sent: Instant,
    timeout: Duration,
    /// The rest after the last answer, if the session ends by its answers.
    rest: Option<Duration>,
    asked: u64,
    answered: u64,
}

impl Session {
    pub(crate) fn new(
        attempt: Attempt,
        server: SocketAddrV4,
        mapping: Rc<Mapping>,
        timeout: Duration,
        now: Instant,
    ) -> Self {
        let rest = if mapping.crowded { Duration::ZERO } else { REST };
        let rest = (server.port() == DNS).then_some(rest);
        Self {
            destination: *attempt.destination(),
            server,
            mapping,
            last_length: Cell::new(0),
            attempt: RefCell::new(attempt),
            course: Cell::new(Course { sent: now, timeout, rest, asked: 0, answered: 0 }),
            due: Notify::new(),
        }
    }

    /// Begins the session, once its task is in the list.
    pub(crate) fn join(&self) {
        self.attempt.borrow_mut().join(None);
    }

    /// Notes datagrams of the client.
    pub(crate) fn asked(&self, datagrams: u64, bytes: usize, now: Instant) {
        let course = self.course.get();
        self.course.set(Course { sent: now, asked: course.asked.saturating_add(datagrams), ..course });
        self.moved(bytes as u64, 0, now);
    }

    /// Notes datagrams of the server.
    pub(crate) fn answered(&self, datagrams: u64, bytes: usize, now: Instant) {
        let mut course = self.course.get();
        course.answered = course.answered.saturating_add(datagrams);
        self.course.set(course);
        self.moved(0, bytes as u64, now);
        if course.rest == Some(Duration::ZERO) && course.has_its_answers() {
            self.due.notify_one();
        }
    }

    fn moved(&self, up: u64, down: u64, now: Instant) {
        let mut attempt = self.attempt.borrow_mut();
        attempt.moved(up, down, now);
        if attempt.has_passed_limit() {
            self.due.notify_one();
        }
    }

    /// Resolves when the session has ended by itself. `is_pressed` tells whether mappings run short.
    pub(crate) async fn over(&self, is_pressed: impl Fn() -> bool) {
        let mut alarm = Alarm::new(self.course.get().look(Instant::now()).into());
        loop {
            tokio::select! {
                () = self.due.notified() => {}
                () = alarm.until(self.course.get().look(Instant::now()).into()) => {}
            }
            if self.attempt.borrow().has_passed_limit() {
                return self.attempt.borrow_mut().end(SessionEnd::MaxBytes);
            }
            if let Some(end) = self.course.get().end(Instant::now(), is_pressed()) {
                return self.attempt.borrow_mut().end(end);
            }
        }
    }
}

impl Course {
    /// The moment at which the session may be over, after `now`. Mappings may run short at any time, so a session without an
    /// answer is looked at again and again.
    fn look(self, now: Instant) -> Instant {
        let Self { sent, timeout, rest, answered, .. } = self;
        let unanswered = (answered == 0).then(|| {
            let looks = now.saturating_duration_since(sent).as_secs() / UNANSWERED.as_secs();
            UNANSWERED.saturating_mul(u32::try_from(looks + 1).unwrap_or(u32::MAX)).min(timeout)
        });
        let moments = [rest, unanswered, Some(timeout)];
        let later = moments.into_iter().flatten().map(|after| sent + after).filter(|moment| *moment > now);
        later.min().unwrap_or(now)
    }

    /// Tells whether as many datagrams came back as went out.
    fn has_its_answers(self) -> bool {
        self.asked > 0 && self.answered >= self.asked
    }

    /// The reason for which the session is over, if it is.
    fn end(self, now: Instant, pressed: bool) -> Option<SessionEnd> {
        let Self { sent, timeout, rest, answered, .. } = self;
        let quiet = now.saturating_duration_since(sent);
        if self.has_its_answers() && rest.is_some_and(|rest| quiet >= rest) {
            return Some(SessionEnd::Closed);
        }
        let patience = if pressed && answered == 0 { timeout.min(UNANSWERED) } else { timeout };
        (quiet >= patience).then_some(SessionEnd::IdleTimeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn course(timeout: u32, rest: Option<u32>, asked: u64, answered: u64) -> Course {
        let rest = rest.map(|seconds| seconds * SECOND);
        Course { sent: Instant::now(), timeout: timeout * SECOND, rest, asked, answered }
    }

    fn ends(course: Course, after: u32, pressed: bool) -> Option<SessionEnd> {
        course.end(course.sent + after * SECOND, pressed)
    }

    #[test]
    fn a_session_ends_after_its_timeout() {
        let course = course(300, None, 5, 5);
        assert_eq!((ends(course, 299, false), ends(course, 299, true)), (None, None));
        assert_eq!(ends(course, 300, false), Some(SessionEnd::IdleTimeout));
    }

    #[test]
    fn a_session_without_an_answer_ends_early_if_mappings_run_short() {
        let course = course(300, None, 5, 0);
        assert_eq!((ends(course, 30, false), ends(course, 29, true)), (None, None));
        assert_eq!(ends(course, 30, true), Some(SessionEnd::IdleTimeout));
    }

    #[test]
    fn a_session_of_dns_ends_when_it_has_rested_after_its_last_answer() {
        let end = |rest, asked, answered, after| ends(course(10, Some(rest), asked, answered), after, false);
        assert_eq!((end(1, 2, 1, 9), end(1, 2, 2, 0)), (None, None));
        assert_eq!(end(1, 2, 2, 1), Some(SessionEnd::Closed));
        assert_eq!((end(0, 2, 1, 9), end(0, 0, 0, 9)), (None, None));
        assert_eq!(end(0, 2, 2, 0), Some(SessionEnd::Closed));
        assert_eq!(end(1, 2, 1, 10), Some(SessionEnd::IdleTimeout));
    }

    #[test]
    fn a_session_without_an_answer_is_looked_at_each_half_minute() {
        let course = course(300, None, 1, 0);
        let look = |after: u32| (course.look(course.sent + after * SECOND) - course.sent).as_secs();
        assert_eq!([0, 29, 30, 45, 60, 289, 290].map(look), [30, 30, 60, 60, 90, 300, 300]);
    }

    #[test]
    fn each_look_comes_later_than_the_last_until_the_session_is_over() {
        for (timeout, rest, answered) in
            [(10, Some(1), 0), (10, Some(0), 0), (300, None, 0), (300, None, 1), (1, None, 0)]
        {
            let course = course(timeout, rest, 1, answered);
            let (mut now, mut looks) = (course.sent, 0);
            while course.end(now, false).is_none() {
                let next = course.look(now);
                assert!(next > now);
                (now, looks) = (next, looks + 1);
            }
            assert!(looks <= 10, "{looks}");
            assert!(now <= course.sent + course.timeout);
        }
    }
}
