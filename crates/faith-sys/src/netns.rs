//! Network namespaces. On Linux each thread has its own.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::thread::UnshareFlags;

/// Moves the calling thread, and no other, into a new network namespace (`CLONE_NEWNET`, Linux 2.6.24).
///
/// The namespace has one device, `lo`, which is down. The kernel removes the namespace with the last thread, socket
/// or descriptor that refers to it.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: CLONE_NEWNET leaves descriptors, memory and signal handlers alone; only CLONE_FILES makes
    // unshare unsafe.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}

/// The calling thread's network namespace (`/proc/thread-self`, Linux 3.17).
///
/// # Errors
/// Those of open(2); `ENOENT` if /proc is not mounted.
pub fn current() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
}
