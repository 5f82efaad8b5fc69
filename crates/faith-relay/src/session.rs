//! A session: two legs, two directions, one task.
//!
//! Each time an edge of either leg wakes the task, both directions do what they can. The session ends
//!
//! * in order, when both directions have passed their source's end on;
//! * at once, when either leg fails: what the failed peer had sent before is handed on as far as it goes
//!   without waiting, then both sockets are reset;
//! * when no byte has moved for the idle timeout, or a peer has vanished (`clock`).
//!
//! The server learns that it is connected by the client's first bytes where these have come already, or where it has left
//! the first word to its clients so far (`first_word`), which spares both hosts a packet and the server a wake-up; and
//! otherwise by an ACK: it may be the one to speak first. What it says
//! first is acknowledged at once, unless that is all it says: an answer in pieces is held back by Nagle's algorithm until
//! its first piece is.
//!
//! However the task ends, by being dropped too, both sockets close and the record is written: an orderly end
//! is what has to be asked for.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use faith_sys::{peer, tcp};
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::clock::{Clock, Due};
use crate::direction::{Direction, Failure, Flow, MESSAGE};
use crate::first_word::{self, is_left_to_clients};
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

/// What the server has been told by an ACK that carries nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    /// Nothing: whether the client has sent bytes, which complete the handshake, is not known before the runtime has
    /// looked.
    Nothing,
    /// Nothing, and the runtime has looked.
    NothingYet,
    /// That it is connected, if bytes have not said so or are to.
    Handshake,
    /// That its first bytes have come.
    Answer,
}

/// A client's connection and the server's that answers for it, relayed until the future ends or is dropped.
pub(crate) struct Session {
    client: Leg,
    server: Leg,
    up: Direction,
    down: Direction,
    acknowledged: Acknowledged,
    clock: Clock,
    attempt: Attempt,
}

impl Session {
    pub(crate) fn new(client: Leg, server: Leg, attempt: Attempt, clock: Clock) -> Self {
        // What is accepted inherits from its listener that it sends at once.
        let (up, down) = (Direction::new(false), Direction::new(true));
        Self { client, server, up, down, acknowledged: Acknowledged::Nothing, clock, attempt }
    }

    /// What was read before there was a session: the server is sent `up` first, and the client `down`.
    pub(crate) fn beginning_with(self, up: Vec<u8>, down: Vec<u8>) -> Self {
        Self { up: self.up.beginning_with(up), down: self.down.beginning_with(down), ..self }
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        if self.client.take_edges(cx).and_then(|()| self.server.take_edges(cx)).is_err() {
            return Poll::Ready(EndReason::Aborted);
        }
        let before = (self.up.bytes, self.down.bytes);
        let turn = BUFFER.with_borrow_mut(|buffer| self.advance(buffer));
        let moved = (self.up.bytes - before.0, self.down.bytes - before.1);
        if moved != (0, 0) {
            if let (0, 0, Some(server)) = (before.0, before.1, self.attempt.server) {
                first_word::was_taken(server, moved.1 == 0);
            }
            self.attempt.moved(moved.0, moved.1);
            self.clock.last_moved = Instant::now();
        }
        match turn {
            Err(reason) => Poll::Ready(reason),
            Ok((Flow::Ended, Flow::Ended)) => Poll::Ready(EndReason::Closed),
            Ok((up, down)) => {
                if self.greet() || up == Flow::Again || down == Flow::Again {
                    wake_after_io(cx);
                }
                Poll::Pending
            }
        }
    }

    /// Acknowledges what the server may wait to have acknowledged. Whether to be asked again once the runtime has looked
    /// after its sockets.
    ///
    /// The kernel takes whoever sends soon after receiving for one that answers each time, and lets acknowledgements
    /// wait 40 ms for bytes to go with (`tcp_event_data_sent()`). To complete the handshake by bytes looks like that.
    #[inline]
    fn greet(&mut self) -> bool {
        let silent = self.up.bytes == 0;
        let (next, now) = match self.acknowledged {
            Acknowledged::Answer => return false,
            Acknowledged::Nothing if silent && self.attempt.server.is_some_and(is_left_to_clients) => {
                (Acknowledged::Handshake, false)
            }
            Acknowledged::Nothing if silent => (Acknowledged::NothingYet, false),
            Acknowledged::NothingYet if silent => (Acknowledged::Handshake, true),
            _ if self.down.bytes > 0 => (Acknowledged::Answer, !self.server.read_closed),
            _ => (Acknowledged::Handshake, false),
        };
        self.acknowledged = next;
        if now {
            // If it fails, it leaves by itself.
            let _ = tcp::acknowledge(&self.server);
        }
        next == Acknowledged::NothingYet
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<(Flow, Flow), EndReason> {
        let up = self.up.advance(&mut self.client, &mut self.server, buffer, self.down.has_ended());
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
        let down = self.down.advance(&mut self.server, &mut self.client, buffer, self.up.has_ended());
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
        let reason = loop {
            if let Poll::Ready(reason) = session.poll_relay(cx) {
                break reason;
            }
            match ready!(session.clock.poll(cx)) {
                Due::Idle => break EndReason::IdleTimeout,
                Due::KeepAlive(limit) => {
                    for leg in [&session.client, &session.server] {
                        // A connection that is gone is about to be noticed without it.
                        let _ = peer::keep_alive(leg, limit);
                    }
                }
                Due::Look(limit) => {
                    let gone = |leg| peer::unanswered(leg).is_some_and(|time| time >= limit);
                    if gone(&session.server) {
                        break EndReason::ServerGone;
                    }
                    if gone(&session.client) {
                        break EndReason::ClientGone;
                    }
                }
            }
        };
        if reason == EndReason::Closed {
            session.client.close_in_order();
            session.server.close_in_order();
        }
        session.attempt.reason = reason;
        Poll::Ready(())
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
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            match side {
                Side::Client => EndReason::ClientGone,
                Side::Server => EndReason::ServerGone,
            }
        }
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
