//! An attempt and the session that follows it, in one task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::session::Session;

/// The task of a connection, from its SYN or accept to its end.
///
/// An attempt takes more memory than a session, and a session may last long. So the attempt is boxed and freed when it is
/// over.
#[expect(clippy::large_enum_variant, reason = "most of the time it is a session")]
pub(crate) enum Course<A> {
    Attempt(Pin<Box<A>>),
    Session(Session),
}

impl<A: Future<Output = Option<Session>>> Course<A> {
    /// Begins with an attempt. The task ends with it if the attempt gives no session.
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
