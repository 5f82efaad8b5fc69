//! splice(2) between a TCP socket and a pipe: bytes move without passing through user space.
//!
//! Unlike send(2), splice(2) has no `MSG_NOSIGNAL`: the process must ignore `SIGPIPE`, as Rust's and Node's
//! start-up code both do.

use std::io;
use std::os::fd::AsFd;

use rustix::io::{Errno, read};
use rustix::pipe::{SpliceFlags, splice};

use crate::pipe::Pipe;

/// Whether an error of [`fill`] or [`drain`] says that this thread may not call splice(2): a seccomp filter or another
/// policy forbids it, and does so each time. No socket or pipe gives these errors.
#[must_use]
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS))
}

/// Asks the kernel whether this thread may call splice(2), by moving no byte.
///
/// # Errors
///
/// One that [`is_refusal`] knows where a seccomp filter or another policy forbids the call; `EMFILE` and `ENFILE`.
pub fn probe() -> io::Result<()> {
    let (from, to) = (Pipe::new()?, Pipe::new()?);
    splice(&from.read, None, &to.write, None, 0, SpliceFlags::NONBLOCK)?;
    Ok(())
}

/// Moves up to `len` bytes from a socket's receive queue into a pipe, and returns how many.
///
/// 0 and `EAGAIN` say less than recv(2)'s: the kernel stops in front of an urgent byte whether or not
/// `SO_OOBINLINE` is set, and calls that an empty queue or, after a FIN, the end. Only recv(2) tells.
///
/// Minimum kernel version: 2.6.25.
///
/// # Errors
///
/// `EAGAIN` when the queue is empty or the pipe has no free slot; `EINVAL` for sockets that cannot splice;
/// else what recv(2) gives.
pub fn fill(socket: impl AsFd, pipe: &Pipe, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(splice(socket, None, &pipe.write, None, len, flags)?)
}

/// Moves up to `len` bytes, no more than it holds, from a pipe to a socket's send queue, and returns how
/// many.
///
/// Minimum kernel version: 2.6.17.
///
/// # Errors
///
/// `EAGAIN` when the send queue is full; else what send(2) gives.
pub fn drain(pipe: &Pipe, socket: impl AsFd, len: usize) -> io::Result<usize> {
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    Ok(splice(&pipe.read, None, socket, None, len, flags)?)
}

/// Takes up to the buffer's length out of a pipe by read(2), and returns how much, for who may not [`drain`] it.
///
/// # Errors
///
/// Those of read(2); `EAGAIN` when the pipe is empty.
pub fn take_out(pipe: &Pipe, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(read(&pipe.read, buffer)?)
}
