//! One direction of a session: from a source leg to a sink leg.
//!
//! Bytes are in one of three places on their way: nowhere (the usual state), *kept* (a copy of what a send
//! did not take) or *piped*. More is taken from the source only when all three are empty, so order needs no
//! care and what a stopped sink can pin down is bounded by one read.
//!
//! A message goes by recv(2) and send(2) through a buffer that all sessions of the thread share: two system
//! calls and no pipe. A read that fills the buffer means bulk, and bulk goes by splice(2) through a pipe that
//! is borrowed for as long as bytes are at hand. Whether the source is empty or at its end only recv(2)
//! decides, because splice(2) stops in front of urgent data and reports either.
//!
//! An urgent byte stays where it was sent, and is sent on as urgent. Both legs have it inline (`SO_OOBINLINE`),
//! as BSD's faithd had, so a read that begins at its mark would take it for an ordinary one. The mark is looked
//! for when epoll has told of it, and where splice(2) stopped; a message that was read short of the buffer's
//! length ended at what was there or at a mark, and nothing is read after it before epoll tells of more.
//!
//! Where splice(2) is refused, by a seccomp filter for example, bulk is copied as messages are. What a pipe holds at that
//! moment is read out of it.

use std::io;

use faith_sys::{splice, tcp};

use crate::leg::Leg;
use crate::pipes::{self, Loan};

#[cfg(test)]
mod tests;

/// Bytes of the shared buffer: at this much, copying costs about what two splices do.
pub(crate) const MESSAGE: usize = 16 * 1024;

/// The most taken into a pipe at a time, and so the most that a stopped sink pins down.
const BULK: usize = 512 * 1024;

/// Bytes of bulk that a sink may hold unsent. What waits for its peer's window or its congestion control longer than
/// that waits at its source, where it is not cold yet when it moves on. What is under way has no such bound.
const UNSENT: u32 = 128 * 1024;

/// Reads in a row before the other sessions of the thread have a turn.
const ROUNDS: u32 = 8;

/// Splices in a row that found more bytes at once, after which a direction is worth a large pipe.
const AHEAD: u8 = 4;

/// Where a direction stands when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It can do no more before the next edge of one of its legs.
    Waiting,
    /// It has more to do, but has had its turn.
    Again,
    /// The source's end was passed on.
    Ended,
}

/// Which leg of a direction failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Source(io::Error),
    Sink(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Open,
    /// The source's FIN was read; the sink has not been told.
    Ending,
    Ended,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    sent: usize,
    /// The one byte there is was sent as urgent.
    urgent: bool,
}

/// What is on its way from a source to a sink.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one direction")]
pub(crate) struct Direction {
    /// Bytes handed to the sink so far.
    pub(crate) bytes: u64,
    kept: Option<Box<Kept>>,
    loan: Option<Loan>,
    piped: usize,
    stream: Stream,
    bulk: bool,
    /// The sink sends small writes at once (`TCP_NODELAY`). The first one leaves at once anyway, and is all that many short
    /// connections write.
    prompt: bool,
    /// The sink has been told of [`UNSENT`].
    bounded: bool,
    /// The sockets cannot be spliced, or the thread may not.
    copy_only: bool,
    ahead: u8,
}

impl Direction {
    /// One whose sink sends small writes at once already, or, if not `prompt`, is to be told when there is more than one.
    pub(crate) fn new(prompt: bool) -> Self {
        Self {
            bytes: 0,
            kept: None,
            loan: None,
            piped: 0,
            stream: Stream::Open,
            bulk: false,
            prompt,
            bounded: false,
            copy_only: false,
            ahead: 0,
        }
    }

    /// The same, but it hands on `bytes` before it takes anything from its source.
    pub(crate) fn beginning_with(self, bytes: Vec<u8>) -> Self {
        let kept = (!bytes.is_empty()).then(|| Box::new(Kept { bytes, sent: 0, urgent: false }));
        Self { kept, ..self }
    }

    /// Whether the source's end was passed on.
    pub(crate) fn has_ended(&self) -> bool {
        self.stream == Stream::Ended
    }

    /// Whether nothing that was taken from the source waits for the sink.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.piped == 0
    }

    /// Forgets what waits for a sink that is gone.
    pub(crate) fn abandon(&mut self) {
        (self.kept, self.loan, self.piped) = (None, None, 0);
    }

    /// Passes on what the legs' readiness allows. For the `last` direction of a session that goes on, the source's
    /// end is passed on by closing the sink, which is the session's to do.
    ///
    /// # Errors
    ///
    /// Which leg failed, and how. After that of its sink the direction must not be used again. After that of its source
    /// it is empty, and all that the source had to say has been passed on.
    pub(crate) fn advance(
        &mut self,
        source: &mut Leg,
        sink: &mut Leg,
        buffer: &mut [u8],
        last: bool,
    ) -> Result<Flow, Failure> {
        for _ in 0..ROUNDS {
            if !self.flush(sink)? {
                return Ok(Flow::Waiting);
            }
            match self.stream {
                Stream::Open => {}
                Stream::Ending => {
                    self.stream = Stream::Ended;
                    if !last {
                        tcp::end_stream(&*sink).map_err(Failure::Sink)?;
                    }
                    return Ok(Flow::Ended);
                }
                Stream::Ended => return Ok(Flow::Ended),
            }
            if !source.readable {
                self.rest();
                return Ok(Flow::Waiting);
            }
            if source.mark_ahead || self.copy_only {
                self.step(source, sink, buffer)?;
            } else if self.bulk {
                self.fill(source, sink, buffer)?;
            } else {
                let received = self.copy(source, sink, buffer)?;
                // Less than asked for was all there was, and what comes next is an edge (epoll(7)).
                if (1..buffer.len()).contains(&received) && !source.read_closed {
                    source.readable = false;
                }
            }
        }
        Ok(Flow::Again)
    }

    /// Hands everything on its way to the sink; false when the sink does not take it all.
    fn flush(&mut self, sink: &mut Leg) -> Result<bool, Failure> {
        // Where splice(2) is refused, what was piped is kept next.
        Ok(self.send_kept(sink)? && self.send_piped(sink)? && self.send_kept(sink)?)
    }

    /// Sends what is kept; false when the sink does not take it all.
    fn send_kept(&mut self, sink: &mut Leg) -> Result<bool, Failure> {
        while let Some(kept) = &mut self.kept {
            if !sink.writable {
                return Ok(false);
            }
            hasten(&mut self.prompt, self.bytes, sink);
            let left = &kept.bytes[kept.sent..];
            let sent = match (kept.urgent, left) {
                (true, &[byte]) => tcp::transmit_urgent(&*sink, byte),
                _ => tcp::transmit(&*sink, left),
            };
            match sent {
                Ok(sent) => {
                    kept.sent += sent;
                    self.bytes += sent as u64;
                    if kept.sent == kept.bytes.len() {
                        self.kept = None;
                    }
                }
                Err(error) => blocked(error, &mut sink.writable).map_err(Failure::Sink)?,
            }
        }
        Ok(true)
    }

    /// Sends what is piped, or keeps it where splice(2) is refused; false when the sink does not take it all.
    fn send_piped(&mut self, sink: &mut Leg) -> Result<bool, Failure> {
        while self.piped > 0 {
            if !sink.writable {
                return Ok(false);
            }
            hasten(&mut self.prompt, self.bytes, sink);
            let Some(pipe) = self.loan.as_ref().and_then(Loan::pipe) else { break };
            match splice::drain(pipe, &*sink, self.piped) {
                Ok(sent) => {
                    self.piped -= sent;
                    self.bytes += sent as u64;
                }
                Err(error) if splice::is_refusal(&error) => {
                    return self.unpipe().map(|()| true).map_err(Failure::Sink);
                }
                Err(error) => blocked(error, &mut sink.writable).map_err(Failure::Sink)?,
            }
        }
        Ok(true)
    }

    /// One read of a message, and a try at sending it; how much was read.
    fn copy(&mut self, source: &mut Leg, sink: &mut Leg, buffer: &mut [u8]) -> Result<usize, Failure> {
        let received = match tcp::receive(&*source, buffer) {
            // A connection that was reset reads as ended once its error has been reported.
            Ok(0) if source.failed => {
                source.readable = false;
                return Ok(0);
            }
            Ok(0) => {
                self.stream = Stream::Ending;
                self.rest();
                return Ok(0);
            }
            Ok(received) => received,
            Err(error) => {
                blocked(error, &mut source.readable).map_err(Failure::Source)?;
                return Ok(0);
            }
        };
        if received == buffer.len() {
            self.bulk = true;
            self.bound(sink);
        }
        let message = &buffer[..received];
        // Nothing is behind these bytes but the end, which can leave with them, in one packet.
        let ends = source.read_closed && !source.failed && !source.mark_ahead && received < buffer.len();
        hasten(&mut self.prompt, self.bytes, sink);
        let sent = match if ends { tcp::transmit_before_more } else { tcp::transmit }(&*sink, message) {
            Ok(sent) => sent,
            Err(error) => {
                blocked(error, &mut sink.writable).map_err(Failure::Sink)?;
                0
            }
        };
        self.bytes += sent as u64;
        if sent < received {
            self.keep(&message[sent..], false);
        }
        if ends {
            self.stream = Stream::Ending;
        }
        Ok(received)
    }

    /// Lets the sink take no more than [`UNSENT`] before it has sent some.
    fn bound(&mut self, sink: &Leg) {
        if !std::mem::replace(&mut self.bounded, true) {
            // A connection that is gone is about to be noticed without it.
            let _ = tcp::bound_unsent(sink, UNSENT);
        }
    }

    /// One read that looks for the urgent mark first: the urgent byte goes on as urgent, by itself. recv(2) never
    /// reads across the mark, so once nothing is left it has passed; and bulk that is still ahead may go back to
    /// splice(2), which stops in front of it.
    ///
    /// The mark is asked about once a byte is there. Of an empty queue the answer would be worth nothing: the
    /// urgent byte may come between it and the read, while a byte that has come never turns urgent any more.
    fn step(&mut self, source: &mut Leg, sink: &mut Leg, buffer: &mut [u8]) -> Result<(), Failure> {
        self.rest();
        if let Err(error) = tcp::peek(&*source) {
            blocked(error, &mut source.readable).map_err(Failure::Source)?;
            source.mark_ahead &= source.readable;
            return Ok(());
        }
        if !tcp::at_mark(&*source) {
            let received = self.copy(source, sink, buffer)?;
            source.mark_ahead &= (1..buffer.len()).contains(&received);
            return Ok(());
        }
        let mut urgent = [0];
        match tcp::receive(&*source, &mut urgent) {
            Ok(1..) => self.keep(&urgent, true),
            Ok(_) => {}
            Err(error) => blocked(error, &mut source.readable).map_err(Failure::Source)?,
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8], urgent: bool) {
        self.kept = Some(Box::new(Kept { bytes: bytes.to_vec(), sent: 0, urgent }));
    }

    /// Keeps what is piped, and copies from now on.
    fn unpipe(&mut self) -> io::Result<()> {
        self.refuse_splice();
        let mut bytes = vec![0; std::mem::take(&mut self.piped)];
        let mut taken = 0;
        if let Some(pipe) = self.loan.as_ref().and_then(Loan::pipe) {
            while taken < bytes.len() {
                match splice::take_out(pipe, &mut bytes[taken..])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => taken += more,
                }
            }
        }
        self.kept = Some(Box::new(Kept { bytes, sent: 0, urgent: false }));
        self.rest();
        Ok(())
    }

    /// Copies from now on, and has the other directions of this thread do so too when they come to bulk.
    fn refuse_splice(&mut self) {
        self.copy_only = true;
        pipes::lend_no_more();
    }

    /// One splice into a pipe, which is empty at this point; the next flush takes it out again.
    fn fill(&mut self, source: &mut Leg, sink: &mut Leg, buffer: &mut [u8]) -> Result<(), Failure> {
        let wants_large = self.ahead >= AHEAD;
        if wants_large && self.loan.as_ref().is_some_and(|loan| !loan.is_large()) {
            self.rest();
        }
        if self.loan.is_none() {
            self.loan = Loan::take(wants_large);
        }
        let Some(pipe) = self.loan.as_ref().and_then(Loan::pipe) else {
            return self.step(source, sink, buffer);
        };
        match splice::fill(&*source, pipe, BULK) {
            Ok(0) => {}
            Ok(piped) => {
                self.piped = piped;
                self.bulk = piped >= MESSAGE;
                // So little ended at what was there or at a mark, of which epoll may not have told yet.
                source.mark_ahead |= !self.bulk;
                self.ahead = self.ahead.saturating_add(1);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.copy_only = true;
                self.rest();
            }
            Err(error) if splice::is_refusal(&error) => {
                self.refuse_splice();
                self.rest();
            }
            Err(error) => return Err(Failure::Source(error)),
        }
        self.ahead = 0;
        source.mark_ahead = true;
        self.step(source, sink, buffer)
    }

    /// Gives an empty pipe back.
    fn rest(&mut self) {
        if self.piped == 0
            && let Some(loan) = self.loan.take()
        {
            loan.give_back();
        }
    }
}

/// Has a sink that has been handed `before` bytes send small writes at once, unless they were none.
fn hasten(prompt: &mut bool, before: u64, sink: &Leg) {
    if before > 0 && !std::mem::replace(prompt, true) {
        // A connection that is gone is about to be noticed without it.
        let _ = tcp::send_at_once(sink);
    }
}

/// Turns "would block" into a cleared readiness; interrupted calls are tried again by the loops around.
fn blocked(error: io::Error, ready: &mut bool) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock => {
            *ready = false;
            Ok(())
        }
        io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}
