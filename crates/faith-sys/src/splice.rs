//! splice(2) between a TCP socket and a pipe: bytes move without passing through user space.
//!
//! Unlike send(2), splice(2) has no `MSG_NOSIGNAL`: the process must ignore `SIGPIPE`, as Rust's and Node's
//! start-up code both do.

use std::io;
use std::os::fd::AsFd;

use rustix::pipe::{SpliceFlags, splice};

use crate::pipe::Pipe;

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
