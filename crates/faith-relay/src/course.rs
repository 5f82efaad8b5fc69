//! An attempt and the session that comes of it, in one task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::session::Session;

/// What becomes of a connection, from its first sign of life to its end.
///
/// An attempt takes more room than a session, and a session may last and do nothing, so the attempt is boxed and
/// goes when it is over.
#[expect(clippy::large_enum_variant, reason = "a session is what it is most of the time")]
pub(crate) enum Course<A> {
    Attempt(Pin<Box<A>>),
    Session(Session),
}

impl<A: Future<Output = Option<Session>>> Course<A> {
    /// Begins with an attempt; without a session that is all.
    pub(crate) fn new(attempt: A) -> Self {
        Self::Attempt(Box::pin(attempt))
    }
}

impl<A: Future<Output = Option<Session>>> Future for Course<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Attempt(attempt) => match ready!(attempt.as_mut().poll(cx)) {
                    Some(session) => *self = Self::Session(session),
                    None => return Poll::Ready(()),
                },
                Self::Session(session) => return Pin::new(session).poll(cx),
            }
        }
    }
}
