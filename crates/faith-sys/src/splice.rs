//! Calls splice(2) between a TCP socket and a pipe: bytes move without passing through user space.
//!
//! Unlike send(2), splice(2) has no `MSG_NOSIGNAL`: the process must ignore `SIGPIPE`. The start-up code of Rust and
//! of Node does.

use std::io;
use std::os::fd::AsFd;

use rustix::io::{Errno, read};
use rustix::pipe::{SpliceFlags, splice};

use crate::pipe::Pipe;

/// Returns true if an error of [`fill`] or [`drain`] means that this thread may not call splice(2): a seccomp filter or
/// another policy always forbids it. Sockets and pipes do not cause these errors.
#[must_use]
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS))
}

/// Tests if this thread may call splice(2), by moving no bytes.
///
/// # Errors
///
/// An error for which [`is_refusal`] is true if a seccomp filter or another policy forbids the call; `EMFILE` and
/// `ENFILE`.
pub fn probe() -> io::Result<()> {
    let (from, to) = (Pipe::new()?, Pipe::new()?);
    splice(&from.read, None, &to.write, None, 0, SpliceFlags::NONBLOCK)?;
    Ok(())
}

/// Moves up to `len` bytes from a socket's receive queue into a pipe, and returns their number.
///
/// 0 and `EAGAIN` mean less than recv(2)'s: the kernel stops in front of an urgent byte, even with `SO_OOBINLINE`, and
/// reports an empty queue or, after a FIN, the end of the stream. Only recv(2) tells these apart.
///
/// Minimum kernel version: 2.6.25.
///
/// # Errors
///
/// `EAGAIN` if the queue is empty or the pipe has no free slot; `EINVAL` for sockets that cannot splice; those of
/// recv(2).
pub fn fill(socket: impl AsFd, pipe: &Pipe, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(splice(socket, None, &pipe.write, None, len, flags)?)
}

/// Moves up to `len` bytes from a pipe to a socket's send queue, and returns their number. `len` must not exceed the
/// bytes in the pipe.
///
/// Minimum kernel version: 2.6.17.
///
/// # Errors
///
/// `EAGAIN` if the send queue is full; those of send(2).
pub fn drain(pipe: &Pipe, socket: impl AsFd, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(splice(&pipe.read, None, socket, None, len, flags)?)
}

/// Reads bytes from a pipe into `buffer` by read(2), and returns their number, for threads that may not [`drain`] it.
///
/// # Errors
///
/// Those of read(2); `EAGAIN` if the pipe is empty.
pub fn take_out(pipe: &Pipe, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(read(&pipe.read, buffer)?)
}
