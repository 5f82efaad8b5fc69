//! One direction of a session: from a source leg to a sink leg.
//!
//! Bytes on their way wait in one of two places, if at all: *kept* (a copy of what a send did not take) or *piped*. The
//! direction takes more from the source only when both are empty. So bytes stay in order, and a stopped sink pins down
//! one read at most.
//!
//! A message goes by recv(2) and send(2) through a buffer that all sessions of the thread share: two system calls and no
//! pipe. A read that fills the buffer means bulk. Bulk goes by splice(2) through a pipe, which is borrowed while bytes are
//! at hand. Only recv(2) tells whether the source is empty or at its end: splice(2) stops in front of urgent data, and
//! reports either of the two.
//!
//! An urgent byte keeps its place in the stream, and goes on as urgent. Both legs have it inline (`SO_OOBINLINE`), as BSD's
//! faithd had, so a read that begins at its mark would take it for an ordinary byte. The direction looks for the mark when
//! epoll has reported one, and where splice(2) stopped. A read that does not fill the buffer ended at the last byte that
//! was there or at a mark; after it the direction reads no more until epoll reports more.
//!
//! Where splice(2) is refused, by a seccomp filter for example, bulk is copied like messages. The direction then reads
//! the pipe's bytes back out of it.

use std::io;

use faith_sys::{splice, tcp};

use crate::leg::Leg;
use crate::pipes::{self, Loan};

#[cfg(test)]
mod tests;

/// Bytes of the shared buffer. Copying this much costs about as much as two splices.
pub(crate) const MESSAGE: usize = 16 * 1024;

/// Most bytes taken into a pipe at a time, and so the most that a stopped sink pins down.
const BULK: usize = 512 * 1024;

/// Bytes of bulk that a sink may hold unsent. More bytes wait at their source instead of in the sink, so they are still in
/// the processor's cache when they move on. Bytes in flight are not bounded by this.
const UNSENT: u32 = 128 * 1024;

/// Reads in a row before the other sessions of the thread have a turn.
const ROUNDS: u32 = 8;

/// Splices in a row that found bytes at once, after which a direction gets a large pipe.
const AHEAD: u8 = 4;

/// State of a direction when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The direction waits for the next edge of one of its legs.
    Waiting,
    /// The direction has more to do, but has had its turn.
    Again,
    /// The source's FIN was passed on.
    Ended,
}

/// The error of a direction, by the leg that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Source(io::Error),
    Sink(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Open,
    /// The source's FIN was read, but not yet passed to the sink.
    Ending,
    Ended,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    sent: usize,
    /// `bytes` is one byte, and was sent as urgent.
    urgent: bool,
}

/// The bytes on their way from a source to a sink.
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
    /// The sink sends small writes at once (`TCP_NODELAY`). The first write leaves at once anyway, and many short connections
    /// write only once.
    prompt: bool,
    /// The sink is bounded by [`UNSENT`].
    bounded: bool,
    /// The sockets cannot be spliced, or the thread may not.
    copy_only: bool,
    ahead: u8,
}

impl Direction {
    /// Makes an empty direction. `prompt` says that its sink sends small writes at once already; otherwise the direction has
    /// it do so before the second write.
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

    /// Has the direction pass on `bytes` before it takes anything from its source.
    pub(crate) fn begin_with(&mut self, bytes: Vec<u8>) {
        self.kept = (!bytes.is_empty()).then(|| Box::new(Kept { bytes, sent: 0, urgent: false }));
    }

    /// Tells whether the source's FIN was passed on.
    pub(crate) fn has_ended(&self) -> bool {
        self.stream == Stream::Ended
    }

    /// Tells whether no byte taken from the source waits for the sink.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.piped == 0
    }

    /// Bytes taken from the source that the sink has not taken yet.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.piped + self.kept.as_ref().map_or(0, |kept| kept.bytes.len() - kept.sent)
    }

    /// Drops the bytes that wait for a sink that is gone.
    pub(crate) fn abandon(&mut self) {
        (self.kept, self.loan, self.piped) = (None, None, 0);
    }

    /// Passes on as many bytes as the legs' readiness allows, and then the source's FIN. For the `last` open direction of a
    /// session it leaves the FIN to the session, which closes the sink.
    ///
    /// # Errors
    ///
    /// The leg that failed, with its error. After a sink's failure the direction must not be used again. After a source's
    /// failure the direction is empty, and has passed on all bytes of the source.
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
                // A short read took all there was, and more bytes make an edge (epoll(7)).
                if (1..buffer.len()).contains(&received) && !source.read_closed {
                    source.readable = false;
                }
            }
        }
        Ok(Flow::Again)
    }

    /// Hands all waiting bytes to the sink; `false` when the sink does not take them all.
    fn flush(&mut self, sink: &mut Leg) -> Result<bool, Failure> {
        // Where splice(2) is refused, send_piped() turns piped bytes into kept ones.
        Ok(self.send_kept(sink)? && self.send_piped(sink)? && self.send_kept(sink)?)
    }

    /// Sends the kept bytes; `false` when the sink does not take them all.
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

    /// Sends the piped bytes, or keeps them where splice(2) is refused; `false` when the sink does not take them all.
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

    /// Reads a message and tries to send it; returns the number of bytes read.
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
        // Only the FIN follows these bytes, and can leave with them in one packet.
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

    /// Lets the sink hold at most [`UNSENT`] bytes that it has not sent.
    fn bound(&mut self, sink: &Leg) {
        if !std::mem::replace(&mut self.bounded, true) {
            // Fails only for a connection that is gone, which the session notices by itself.
            let _ = tcp::bound_unsent(sink, UNSENT);
        }
    }

    /// Looks for the urgent mark, then reads once. The urgent byte goes on as urgent, by itself. recv(2) never reads across
    /// the mark, so the mark has passed when nothing is left to read. Bulk in front of the mark may go back to splice(2), which
    /// stops there.
    ///
    /// The direction asks for the mark only when a byte is there. With an empty queue the answer would be worth nothing: the
    /// urgent byte may come between the question and the read. A byte that is there never turns urgent later.
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

    /// Turns piped bytes into kept ones, and copies from now on.
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

    /// Copies from now on. The other directions of this thread do so too from their next bulk on.
    fn refuse_splice(&mut self) {
        self.copy_only = true;
        pipes::lend_no_more();
    }

    /// Splices once into the pipe, which is empty here. The next flush empties it again.
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
                // A short splice ended at the last byte or at a mark, which epoll may not have reported yet.
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

/// Has a sink send small writes at once, if it got bytes (`before`) already.
fn hasten(prompt: &mut bool, before: u64, sink: &Leg) {
    if before > 0 && !std::mem::replace(prompt, true) {
        // Fails only for a connection that is gone, which the session notices by itself.
        let _ = tcp::send_at_once(sink);
    }
}

/// Clears the readiness on "would block". The callers' loops repeat interrupted calls.
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
