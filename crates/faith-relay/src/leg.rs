//! One socket of a session, and what is known of it without asking the kernel.
//!
//! tokio's epoll is edge-triggered and its readiness sticky: once a socket is readable, tokio says so, and
//! wakes nobody, until it is told otherwise. A direction that is blocked by the other side leaves its source
//! readable, and a RST there would go unnoticed until the other side moves. So each leg takes every edge off
//! tokio at once, remembers it, and asks for the next: in every state of a session both legs have a waker in
//! place.
//!
//! The exception is a stream's end, which tokio never forgets (epoll's `RDHUP` and `HUP`). After the peer's
//! FIN the waker of the write side remains, and a RST is an edge to both sides. After an error nothing is
//! left to wait for, and neither is there after a FIN both ways: a RST then says that the peer lost our last
//! bytes, and takes nothing back of what it sent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll};

use faith_sys::reactor;
use faith_sys::tcp::{self, Connection};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// Reads that [`Leg::ignore`] does in a row, before the other sessions of the thread have a turn.
const IGNORED: u32 = 8;

/// One connection of a session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one socket")]
pub(crate) struct Leg {
    fd: AsyncFd<Connection>,
    /// The receive queue may hold bytes or the end.
    pub(crate) readable: bool,
    /// The send queue may have room.
    pub(crate) writable: bool,
    /// An error was seen: the connection is gone, and an end of its stream does not mean a FIN.
    pub(crate) failed: bool,
    /// An urgent byte may be in the receive queue.
    pub(crate) mark_ahead: bool,
    /// The end of the stream is behind what the receive queue holds.
    pub(crate) read_closed: bool,
    write_closed: bool,
}

impl Leg {
    /// A leg of a connected socket. It is read from when epoll has told of bytes.
    pub(crate) fn new(fd: AsyncFd<Connection>) -> Self {
        Self {
            fd,
            readable: false,
            writable: true,
            failed: false,
            mark_ahead: false,
            read_closed: false,
            write_closed: false,
        }
    }

    /// Registers a connection with this thread's runtime.
    ///
    /// # Errors
    ///
    /// Those of [`reactor::register`].
    pub(crate) fn register(connection: Connection) -> io::Result<Self> {
        Ok(Self::new(reactor::register(connection)?))
    }

    /// Takes the edges that came since the last time and asks to be woken by the next.
    ///
    /// # Errors
    ///
    /// The runtime is shutting down.
    #[inline]
    pub(crate) fn take_edges(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.read_closed {
            let Poll::Ready(guard) = self.fd.poll_read_ready(cx) else { break };
            let mut guard = guard?;
            self.readable = true;
            self.read_closed = guard.ready().is_read_closed();
            guard.clear_ready();
            self.mark_ahead |= self.take_priority(cx);
        }
        while !self.write_closed {
            let Poll::Ready(guard) = self.fd.poll_write_ready(cx) else { break };
            let mut guard = guard?;
            self.writable = true;
            self.write_closed = guard.ready().is_write_closed();
            guard.clear_ready();
            self.failed |= self.write_closed && self.has_error();
        }
        Ok(())
    }

    /// Takes note that the connection is gone. What the peer sent before is in the receive queue, to which nothing is
    /// added any more; so it is to be read to its end, whatever epoll has told so far.
    pub(crate) fn fail(&mut self) {
        (self.failed, self.readable, self.read_closed, self.mark_ahead) = (true, true, true, true);
    }

    /// Receives what is there and throws it away; whether there is more.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub(crate) fn ignore(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        for _ in 0..IGNORED {
            if !self.readable {
                return Ok(false);
            }
            match tcp::discard(&*self, buffer) {
                Ok(0) => self.readable = false,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.readable)
    }

    /// Whether epoll has told of an error (`EPOLLERR`). It is there for the call that will report it.
    fn has_error(&self) -> bool {
        self.fd.try_io(Interest::ERROR, |_| Ok(())).is_ok()
    }

    /// Whether an urgent byte has come: it makes the socket readable and exceptional at once.
    #[inline]
    fn take_priority(&self, cx: &mut Context<'_>) -> bool {
        if !self.read_closed {
            let mut came = false;
            let _ = self.fd.try_io(Interest::PRIORITY, |_| {
                came = true;
                // Takes it off.
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
            return came;
        }
        // try_io() takes the end of the stream for one, which would cost three system calls at each end.
        let mut ready = pin!(self.fd.ready(Interest::PRIORITY));
        match ready.as_mut().poll(cx) {
            Poll::Ready(Ok(mut guard)) => {
                let came = guard.ready().is_priority();
                guard.clear_ready_matching(Ready::PRIORITY);
                came
            }
            _ => false,
        }
    }

    /// The connection alone, which the runtime of this thread has no more to do with.
    pub(crate) fn into_connection(self) -> Connection {
        self.fd.into_inner()
    }

    /// Resolves when the connection is gone and has left nothing to read. The leg must not be part of a session yet, which
    /// asks for the same edges.
    pub(crate) async fn spent(&self) {
        while let Ok(mut guard) = self.fd.writable().await {
            if is_spent(self.fd.get_ref()) {
                return;
            }
            if guard.ready().is_write_closed() {
                // It has left something to read, and that will not change.
                break;
            }
            guard.clear_ready();
        }
        std::future::pending::<()>().await;
    }

    /// Lets the socket close with a FIN, not a RST.
    pub(crate) fn close_in_order(&self) {
        self.fd.get_ref().close_in_order();
    }
}

impl AsFd for Leg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Tells whether a connection is gone and has left nothing to read.
pub(crate) fn is_spent(connection: &Connection) -> bool {
    tcp::has_error(connection) && !tcp::peek(connection).unwrap_or(false)
}
