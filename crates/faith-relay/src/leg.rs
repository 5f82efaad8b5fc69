//! One socket of a session, and the state that is known without asking the kernel.
//!
//! tokio's epoll is edge-triggered, and its readiness is sticky: a socket stays readable, and wakes no task again, until
//! its readiness is cleared. A direction that is blocked by its sink leaves its source readable, so a RST there would go
//! unnoticed until the sink moves. Therefore each leg clears every edge in tokio at once, remembers it, and asks for the
//! next one: in every state of a session both legs have a waker in place.
//!
//! The exception is the end of a stream, which tokio never clears (epoll's `RDHUP` and `HUP`). After the peer's FIN the
//! waker of the write side remains, and a RST is an edge on both sides. After an error the leg has no more edges to wait
//! for. The same holds after a FIN both ways: a RST then says that the peer lost our last bytes, and revokes none of the
//! bytes that it sent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll};

use faith_sys::reactor;
use faith_sys::tcp::{self, Connection};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// Reads of [`Leg::ignore`] in a row before the other sessions of the thread have a turn.
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
    /// An error was seen: the connection is gone, and the end of its stream is no FIN.
    pub(crate) failed: bool,
    /// An urgent byte may be in the receive queue.
    pub(crate) mark_ahead: bool,
    /// The end of the stream follows the bytes in the receive queue.
    pub(crate) read_closed: bool,
    write_closed: bool,
}

impl Leg {
    /// Makes a leg of a connected socket. The session reads from it when epoll has reported bytes.
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

    /// Takes the edges since the last call, and asks for a wake-up by the next.
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

    /// Notes that the connection is gone. The peer's last bytes are in the receive queue, which grows no more. So the queue is
    /// to be read to its end, even if epoll has not reported these bytes.
    pub(crate) fn fail(&mut self) {
        (self.failed, self.readable, self.read_closed, self.mark_ahead) = (true, true, true, true);
    }

    /// Receives bytes and throws them away; returns whether there may be more.
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

    /// Tells whether epoll has reported an error (`EPOLLERR`). The error itself stays for the next call to report.
    fn has_error(&self) -> bool {
        self.fd.try_io(Interest::ERROR, |_| Ok(())).is_ok()
    }

    /// Tells whether an urgent byte has come. Such a byte makes the socket readable and exceptional at once.
    #[inline]
    fn take_priority(&self, cx: &mut Context<'_>) -> bool {
        if !self.read_closed {
            let mut came = false;
            let _ = self.fd.try_io(Interest::PRIORITY, |_| {
                came = true;
                // Clears the readiness.
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
            return came;
        }
        // try_io() also succeeds at the end of the stream, and would cost three system calls at each end.
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

    /// Takes the connection out of this thread's runtime.
    pub(crate) fn into_connection(self) -> Connection {
        self.fd.into_inner()
    }

    /// Resolves when the connection is gone and has left nothing to read. Only for a leg that is not part of a session yet: a
    /// session asks for the same edges.
    pub(crate) async fn spent(&self) {
        while let Ok(mut guard) = self.fd.writable().await {
            if is_spent(self.fd.get_ref()) {
                return;
            }
            if guard.ready().is_write_closed() {
                // It has left bytes to read, and that will not change.
                break;
            }
            guard.clear_ready();
        }
        std::future::pending::<()>().await;
    }

    /// Has the socket close with a FIN, not a RST.
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
