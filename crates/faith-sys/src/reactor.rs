//! Registers descriptors with tokio's reactor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::tun::Tun;

/// A value that owns one open descriptor, and keeps the same one.
///
/// # Safety
/// `as_raw_fd()` must give the same open descriptor for as long as the value lives.
pub unsafe trait Descriptor: AsRawFd {}

// SAFETY: it owns its descriptor and cannot exchange it.
unsafe impl Descriptor for OwnedFd {}

// SAFETY: as for `OwnedFd`, of which it is made.
unsafe impl Descriptor for Tun {}

// SAFETY: as for `OwnedFd`, of which it is made.
unsafe impl Descriptor for Socket {}

// SAFETY: the value inside an `Arc` cannot be exchanged while the `Arc` lives.
unsafe impl<D: Descriptor> Descriptor for Arc<D> {}

/// Registers `descriptor` for reading, writing and urgent data with the current tokio runtime.
///
/// # Errors
/// `EMFILE`, `ENOMEM` or `ENOSPC` (epoll_ctl(2)). An error closes the descriptor.
///
/// # Panics
/// Outside a tokio runtime.
pub fn register<D: Descriptor>(descriptor: D) -> io::Result<AsyncFd<D>> {
    register_for(descriptor, Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY)
}

/// Registers as [`register`] does, but only for `interest`: other events would be useless wake-ups.
///
/// # Errors
/// As [`register`].
///
/// # Panics
/// As [`register`].
pub fn register_for<D: Descriptor>(descriptor: D, interest: Interest) -> io::Result<AsyncFd<D>> {
    // SAFETY: a `Descriptor` keeps its descriptor open and the same.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    registered.map_err(io::Error::from)
}
