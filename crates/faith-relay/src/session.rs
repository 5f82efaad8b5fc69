//! A session: two legs, two directions, one task.
//!
//! Each time an edge of either leg wakes the task, both directions do what they can. The session ends
//!
//! * in order, when both directions have passed their source's end on;
//! * by resetting both sockets, when either leg has failed and the other peer has everything that the failed one had
//!   said (below);
//! * by resetting both sockets, when more bytes have moved than a route lets it move;
//! * when no byte has moved for the idle timeout, or a peer has vanished (`clock`).
//!
//! The server learns that it is connected by the client's first bytes where these have come already, or where it has left
//! the first word to its clients so far (`first_word`), which spares both hosts a packet and the server a wake-up; and
//! otherwise by an ACK: it may be the one to speak first. What it says
//! first is acknowledged at once, unless that is all it says: an answer in pieces is held back by Nagle's algorithm until
//! its first piece is.
//!
//! # Last words
//!
//! A peer that resets its connection has said something before: why it takes no more of an upload, for example. Linux
//! leaves that in the receive queue of our leg, readable, and adds nothing to it. So when a leg fails, the session becomes
//! an `Ending`:
//!
//! * the direction towards the peer that is gone is dead: it is never advanced again, and what the survivor still says
//!   is received and thrown away, because a survivor that is stuck in sending might never read;
//! * the direction from it is advanced until the receive queue is empty, whatever readiness was taken before;
//! * the survivor is reset not before it has acknowledged every byte: a RST has the kernels on both sides drop what is
//!   under way. Nothing wakes the task for that, so a timer does;
//! * the survivor has its time as long as it acknowledges more and more. One that does not for the idle timeout or for as
//!   long as a silent peer is given, whichever is less, is reset. One that fails too ends the session at once.
//!
//! Where the survivor has everything already, which one system call tells, nothing is waited for. The reason is that of the
//! leg that failed first. A session that is aborted or idle ends at once.
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
use crate::ending::Ending;
use crate::first_word::{self, is_left_to_clients};
use crate::leg::Leg;
use crate::record::SessionEnd;
use crate::side::Side;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE].into());
}

/// Whose leg has failed, and what that says of the session.
#[derive(Debug, Clone, Copy)]
struct Fault {
    side: Side,
    reason: SessionEnd,
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
    ending: Option<Box<Ending>>,
    clock: Clock,
    attempt: Attempt,
}

impl Session {
    pub(crate) fn new(client: Leg, server: Leg, attempt: Attempt, clock: Clock) -> Self {
        // What is accepted inherits from its listener that it sends at once.
        let (up, down) = (Direction::new(false), Direction::new(true));
        let acknowledged = Acknowledged::Nothing;
        Self { client, server, up, down, acknowledged, ending: None, clock, attempt }
    }

    /// What was read before there was a session: the server is sent `up` first, and the client `down`.
    pub(crate) fn beginning_with(self, up: Vec<u8>, down: Vec<u8>) -> Self {
        Self { up: self.up.beginning_with(up), down: self.down.beginning_with(down), ..self }
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
            self.attempt.moved(moved.0, moved.1);
            self.clock.last_moved = Instant::now();
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

    /// Lets the peer that is not gone have what the other one has said.
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

    /// Ready when the survivor has acknowledged everything, or is not waited for any more.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        let Some(ending) = &mut self.ending else { return Poll::Pending };
        // Takes note of a pause before anything is judged by the time.
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
        match (direction.bytes - before, ending.gone) {
            (0, _) => {}
            (moved, Side::Client) => self.attempt.moved(moved, 0),
            (moved, Side::Server) => self.attempt.moved(0, moved),
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
                        // A connection that is gone is about to be noticed without it.
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
                    // It can only fail on something that is no socket.
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

/// What the error of a leg means. After the peer's FIN a RST reads as `EPIPE`, and a connection that is gone
/// and has reported its error before as `ENOTCONN`.
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

/// Has the task polled again once the runtime has looked after its sockets: waking it now would let it run
/// ahead of them.
fn wake_after_io(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}
