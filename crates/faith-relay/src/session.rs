//! A session: two legs, two directions, one task.
//!
//! Each time an edge of either leg wakes the task, both directions move as many bytes as they can. The session ends
//!
//! * in order, when both directions have passed on their source's FIN;
//! * by resetting both sockets, when one leg has failed and the other peer has all bytes of the failed one (below);
//! * by resetting both sockets, when more bytes have moved than the route allows;
//! * by resetting both sockets, when no byte has moved for the idle timeout, or a peer has vanished (`clock`).
//!
//! The client's first bytes complete the server's handshake if they are there already, or if the server has left the first
//! word to its clients so far (`first_word`). This spares both hosts a packet, and the server a wake-up. Otherwise an ACK
//! completes it, because the server may be the one to speak first. The relay acknowledges the server's first bytes at once,
//! unless the server's end is there too: Nagle's algorithm in the server's kernel holds the second piece of an answer back
//! until the first is acknowledged.
//!
//! # Last words
//!
//! A peer may send bytes before it resets its connection: why it takes no more of an upload, for example. Linux leaves
//! these in the receive queue of our leg, readable, and adds nothing to them. So when a leg fails, the session becomes an
//! `Ending`:
//!
//! * The direction towards the gone peer is dead: it never advances again. The relay receives the survivor's bytes and
//!   throws them away, because a survivor that is stuck in sending might never read.
//! * The direction from the gone peer advances until the receive queue is empty, even without an edge of that leg.
//! * The relay resets the survivor only after it has acknowledged every byte: a RST makes the kernels on both sides drop
//!   the bytes in flight. No edge reports acknowledgements, so a timer wakes the task.
//! * The survivor has time as long as it acknowledges more bytes. The relay resets one that does not for the idle timeout
//!   or the keep-alive timeout, whichever is less. A survivor that fails too ends the session at once.
//!
//! The session does not wait if the survivor has everything already, which one system call tells. The record gives the
//! reason of the leg that failed first. A session that is aborted or idle ends at once.
//!
//! When the task ends, even by being dropped, both sockets close and the record is written. The sockets close with a RST
//! unless the task has asked for an orderly end.

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
use crate::ending::Ending;
use crate::first_word::{self, is_left_to_clients};
use crate::leg::Leg;
use crate::live::SessionState;
use crate::record::SessionEnd;
use crate::side::Side;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE].into());
}

/// The side whose leg has failed, and the session's reason for ending.
#[derive(Debug, Clone, Copy)]
struct Fault {
    side: Side,
    reason: SessionEnd,
}

/// Progress of the acknowledgements to the server that may need an ACK of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    /// None. The client's bytes, which complete the handshake, may have come, but the runtime has not looked yet.
    Nothing,
    /// None, and the runtime has looked.
    NothingYet,
    /// The handshake: an ACK or bytes have completed it, or the client's first bytes will.
    Handshake,
    /// The server's first bytes.
    Answer,
}

/// A client's connection and the server's that answers for it, relayed until the future ends or is dropped.
pub(crate) struct Session {
    client: Leg,
    server: Leg,
    up: Direction,
    down: Direction,
    acknowledged: Acknowledged,
    ending: Option<Box<Ending>>,
    clock: Clock,
    attempt: Attempt,
}

impl Session {
    pub(crate) fn new(client: Leg, server: Leg, attempt: Attempt, clock: Clock) -> Self {
        // An accepted socket inherits TCP_NODELAY from its listener.
        let (up, down) = (Direction::new(false), Direction::new(true));
        let acknowledged = Acknowledged::Nothing;
        attempt.idle_since(clock.last_moved.into_std());
        Self { client, server, up, down, acknowledged, ending: None, clock, attempt }
    }

    /// Has the session send `up` to the server first, and `down` to the client: bytes that were read before it began.
    pub(crate) fn beginning_with(mut self, up: Vec<u8>, down: Vec<u8>) -> Self {
        self.up.begin_with(up);
        self.down.begin_with(down);
        self
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        if self.client.take_edges(cx).and_then(|()| self.server.take_edges(cx)).is_err() {
            return Poll::Ready(SessionEnd::Aborted);
        }
        let before = (self.up.bytes, self.down.bytes);
        let turn = BUFFER.with_borrow_mut(|buffer| self.advance(buffer));
        let moved = (self.up.bytes - before.0, self.down.bytes - before.1);
        if moved != (0, 0) {
            if let (0, 0, Some(server)) = (before.0, before.1, self.attempt.server) {
                first_word::was_taken(server, moved.1 == 0);
            }
            self.clock.last_moved = Instant::now();
            self.attempt.moved(moved.0, moved.1, self.clock.last_moved.into_std());
            if self.attempt.is_past_limit(self.up.bytes + self.down.bytes) {
                return Poll::Ready(SessionEnd::MaxBytes);
            }
        }
        match turn {
            Err(fault) => self.last_words(cx, fault),
            Ok((Flow::Ended, Flow::Ended)) => Poll::Ready(SessionEnd::Closed),
            Ok((up, down)) => {
                if self.greet() || up == Flow::Again || down == Flow::Again {
                    wake_after_io(cx);
                }
                self.note();
                Poll::Pending
            }
        }
    }

    /// Lets other threads see how the session stands.
    #[inline]
    fn note(&self) {
        let state = match (self.up.has_ended(), self.down.has_ended()) {
            _ if self.ending.is_some() => SessionState::Ending,
            (true, _) => SessionState::ClientClosed,
            (_, true) => SessionState::ServerClosed,
            _ => SessionState::Open,
        };
        self.attempt.note(state, self.up.waiting(), self.down.waiting());
    }

    /// Sends the ACK for which the server may be waiting. Returns whether to call this again once the runtime has polled its
    /// sockets.
    ///
    /// The kernel assumes that a socket which sends soon after receiving does so each time. It then lets acknowledgements wait
    /// 40 ms for bytes that can carry them (`tcp_event_data_sent()`). Completing the handshake by bytes has this effect.
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
            // Without this call the kernel sends the ACK later, by itself.
            let _ = tcp::acknowledge(&self.server);
        }
        next == Acknowledged::NothingYet
    }

    fn advance(&mut self, buffer: &mut [u8]) -> Result<(Flow, Flow), Fault> {
        let up = self
            .up
            .advance(&mut self.client, &mut self.server, buffer, self.down.has_ended())
            .map_err(|failure| Fault::of(Side::Client, Side::Server, &failure))?;
        let down = self
            .down
            .advance(&mut self.server, &mut self.client, buffer, self.up.has_ended())
            .map_err(|failure| Fault::of(Side::Server, Side::Client, &failure))?;
        for (leg, side) in [(&self.client, Side::Client), (&self.server, Side::Server)] {
            if leg.failed {
                let reason = match tcp::take_error(leg) {
                    Ok(Some(error)) | Err(error) => end_of(side, &error),
                    Ok(None) => reset_by(side),
                };
                return Err(Fault { side, reason });
            }
        }
        Ok((up, down))
    }

    /// The peer that has vanished, if one has.
    fn lost(&self) -> Option<Fault> {
        if self.clock.has_lost(&self.server) {
            Some(Fault { side: Side::Server, reason: SessionEnd::ServerGone })
        } else if self.clock.has_lost(&self.client) {
            Some(Fault { side: Side::Client, reason: SessionEnd::ClientGone })
        } else {
            None
        }
    }

    /// Begins to deliver the last bytes of the gone peer to the other one.
    fn last_words(&mut self, cx: &mut Context<'_>, fault: Fault) -> Poll<SessionEnd> {
        let Fault { side, reason } = fault;
        if reason == SessionEnd::Error {
            return Poll::Ready(reason);
        }
        let (leg, dead) = match side {
            Side::Client => (&mut self.client, &mut self.down),
            Side::Server => (&mut self.server, &mut self.up),
        };
        leg.fail();
        dead.abandon();
        self.ending = Some(Box::new(Ending::new(side, reason)));
        self.poll_ending(cx)
    }

    /// Ready when the survivor has acknowledged everything, or its time is over.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        let Some(ending) = &mut self.ending else { return Poll::Pending };
        // Notes a stop of the process before any decision by time.
        self.clock.notice_pause(ending.look_at);
        let (gone, survivor, direction) = match ending.gone {
            Side::Client => (&mut self.client, &mut self.server, &mut self.up),
            Side::Server => (&mut self.server, &mut self.client, &mut self.down),
        };
        if survivor.take_edges(cx).is_err() {
            return Poll::Ready(SessionEnd::Aborted);
        }
        let before = direction.bytes;
        let flow = BUFFER.with_borrow_mut(|buffer| direction.advance(gone, survivor, buffer, false));
        let now = Instant::now().into_std();
        match (direction.bytes - before, ending.gone) {
            (0, _) => {}
            (moved, Side::Client) => self.attempt.moved(moved, 0, now),
            (moved, Side::Server) => self.attempt.moved(0, moved, now),
        }
        if survivor.failed || matches!(flow, Err(Failure::Sink(_))) {
            return Poll::Ready(ending.reason);
        }
        let again = matches!(flow, Ok(Flow::Again));
        let all = direction.is_empty() && !again;
        if ending.look(survivor, direction.bytes, all) || self.clock.is_over(ending.heard_at) {
            return Poll::Ready(ending.reason);
        }
        match BUFFER.with_borrow_mut(|buffer| survivor.ignore(buffer)) {
            Ok(more) if more || again => wake_after_io(cx),
            Ok(_) => {}
            Err(_) => return Poll::Ready(ending.reason),
        }
        self.note();
        Poll::Pending
    }
}

impl Fault {
    /// The fault of a direction between these sides.
    fn of(source: Side, sink: Side, failure: &Failure) -> Self {
        let (side, error) = match failure {
            Failure::Source(error) => (source, error),
            Failure::Sink(error) => (sink, error),
        };
        Self { side, reason: end_of(side, error) }
    }
}

impl Drop for Session {
    /// Leaves the list first: afterwards the sockets close, and their numbers may be another's.
    fn drop(&mut self) {
        self.attempt.leave();
    }
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let session = &mut *self;
        let reason = loop {
            let turn = match session.ending {
                None => session.poll_relay(cx),
                Some(_) => session.poll_ending(cx),
            };
            if let Poll::Ready(reason) = turn {
                break reason;
            }
            if let Some(ending) = &session.ending {
                ready!(session.clock.poll_until(ending.look_at, cx));
                continue;
            }
            match ready!(session.clock.poll(cx)) {
                Due::Idle => break SessionEnd::IdleTimeout,
                Due::KeepAlive(limit) => {
                    for leg in [&session.client, &session.server] {
                        // Fails only for a connection that is gone, which its next edge tells.
                        let _ = peer::keep_alive(leg, limit);
                    }
                }
                Due::Look => {
                    if let Some(fault) = session.lost()
                        && let Poll::Ready(reason) = session.last_words(cx, fault)
                    {
                        break reason;
                    }
                }
            }
        };
        if reason == SessionEnd::Closed {
            for leg in [&session.client, &session.server] {
                if session.clock.is_settled() {
                    // Fails only on a descriptor that is no socket.
                    let _ = peer::leave_to_kernel(leg);
                }
                leg.close_in_order();
            }
        }
        session.attempt.end(reason);
        Poll::Ready(())
    }
}

fn reset_by(side: Side) -> SessionEnd {
    match side {
        Side::Client => SessionEnd::ClientReset,
        Side::Server => SessionEnd::ServerReset,
    }
}

/// The session's reason, from the error of a leg. After the peer's FIN a RST reads as `EPIPE`. A connection that is gone
/// and has reported its error before reads as `ENOTCONN`.
fn end_of(side: Side, error: &io::Error) -> SessionEnd {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => reset_by(side),
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            match side {
                Side::Client => SessionEnd::ClientGone,
                Side::Server => SessionEnd::ServerGone,
            }
        }
        _ => SessionEnd::Error,
    }
}

/// Has the task polled again once the runtime has polled its sockets. Waking it directly would let it run before them.
fn wake_after_io(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}
