//! A session: two legs, two directions, one task.
//!
//! Each time an edge of either leg wakes the task, both directions do what they can. The session ends
//!
//! * in order, when both directions have passed their source's end on;
//! * at once, when either leg fails: what the failed peer had sent before is handed on as far as it goes
//!   without waiting, then both sockets are reset;
//! * when no byte has moved for the idle timeout. The timer is not touched per byte: bytes leave a time
//!   stamp, and a timer that fires early is set again from it.
//!
//! However the task ends, by being dropped too, both sockets close and the record is written: an orderly end
//! is what has to be asked for.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use faith_sys::tcp;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::attempt::Attempt;
use crate::direction::{Direction, Failure, Flow, MESSAGE};
use crate::leg::Leg;
use crate::record::EndReason;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE].into());
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A client's connection and the server's that answers for it, relayed until the future ends or is dropped.
pub(crate) struct Session {
    client: Leg,
    server: Leg,
    up: Direction,
    down: Direction,
    idle: Option<Idle>,
    attempt: Attempt,
}

struct Idle {
    timeout: Duration,
    last_moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Session {
    pub(crate) fn new(client: Leg, server: Leg, attempt: Attempt, idle_timeout: Option<Duration>) -> Self {
        Self {
            client,
            server,
            up: Direction::new(),
            down: Direction::new(),
            idle: idle_timeout.map(Idle::new),
            attempt,
        }
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        if self.client.take_edges(cx).and_then(|()| self.server.take_edges(cx)).is_err() {
            return Poll::Ready(EndReason::Aborted);
        }
        let before = (self.up.bytes, self.down.bytes);
        let turn = BUFFER.with_borrow_mut(|buffer| self.advance(buffer));
        let moved = (self.up.bytes - before.0, self.down.bytes - before.1);
        if moved != (0, 0) {
            self.attempt.moved(moved.0, moved.1);
            if let Some(idle) = &mut self.idle {
                idle.last_moved = Instant::now();
            }
        }
        match turn {
            Err(reason) => Poll::Ready(reason),
            Ok((Flow::Ended, Flow::Ended)) => Poll::Ready(EndReason::Closed),
            Ok((up, down)) => {
                if up == Flow::Again || down == Flow::Again {
                    wake_after_io(cx);
                }
                Poll::Pending
            }
        }
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<(Flow, Flow), EndReason> {
        let up = self.up.advance(&mut self.client, &mut self.server, buffer);
        let mut end = up.as_ref().err().map(|failure| match failure {
            Failure::Source(error) => end_of(Side::Client, error),
            Failure::Sink(error) => end_of(Side::Server, error),
        });
        match &up {
            Err(Failure::Source(_)) => self.client.failed = true,
            Err(Failure::Sink(_)) => self.server.failed = true,
            Ok(_) => {}
        }
        // With one leg gone the other direction still has what the failed peer sent last.
        let down = self.down.advance(&mut self.server, &mut self.client, buffer);
        end = end.or(down.as_ref().err().map(|failure| match failure {
            Failure::Source(error) => end_of(Side::Server, error),
            Failure::Sink(error) => end_of(Side::Client, error),
        }));
        if let Some(end) = end {
            return Err(end);
        }
        for (leg, side) in [(&self.client, Side::Client), (&self.server, Side::Server)] {
            if leg.failed {
                return Err(match tcp::take_error(leg) {
                    Ok(Some(error)) | Err(error) => end_of(side, &error),
                    Ok(None) => reset_by(side),
                });
            }
        }
        match (up, down) {
            (Ok(up), Ok(down)) => Ok((up, down)),
            _ => Err(EndReason::Error),
        }
    }
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let session = &mut *self;
        let reason = match (session.poll_relay(cx), &mut session.idle) {
            (Poll::Ready(reason), _) => reason,
            (Poll::Pending, Some(idle)) => {
                ready!(idle.poll(cx));
                EndReason::IdleTimeout
            }
            (Poll::Pending, None) => return Poll::Pending,
        };
        if reason == EndReason::Closed {
            session.client.close_in_order();
            session.server.close_in_order();
        }
        session.attempt.reason = reason;
        Poll::Ready(())
    }
}

impl Idle {
    fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        Self { timeout, last_moved: now, timer: Box::pin(sleep_until(now + timeout)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let deadline = self.last_moved + self.timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

fn reset_by(side: Side) -> EndReason {
    match side {
        Side::Client => EndReason::ClientReset,
        Side::Server => EndReason::ServerReset,
    }
}

/// What the error of a leg means. After the peer's FIN a RST reads as `EPIPE`, and a connection that is gone
/// and has reported its error before as `ENOTCONN`.
fn end_of(side: Side, error: &io::Error) -> EndReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => reset_by(side),
        _ => EndReason::Error,
    }
}

/// Has the task polled again once the runtime has looked after its sockets: waking it now would let it run
/// ahead of them.
fn wake_after_io(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}
