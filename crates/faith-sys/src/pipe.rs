//! Pipes for splice(2), which moves bytes only to or from a pipe: pages pass through without a copy.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// The default of `/proc/sys/fs/pipe-max-size` (pipe(7)).
const DEFAULT_MAX_CAPACITY: usize = 1 << 20;

/// A non-blocking, close-on-exec pipe with both of its ends.
///
/// The kernel counts its capacity in slots of a page. A slot holds one fragment of a packet, which may be one byte
/// or, in compound pages, more than a page.
#[derive(Debug)]
pub struct Pipe {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
}

impl Pipe {
    /// Makes a pipe of the kernel's default capacity: 64 KiB, or less when the user is past the soft limit of
    /// pipe pages (`/proc/sys/fs/pipe-user-pages-soft`; since Linux 4.5).
    ///
    /// Minimum kernel version: 2.6.35.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE`: out of descriptors. A pipe takes two.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read, write })
    }

    /// Grows the pipe to `bytes`, or to the limit for unprivileged processes if that is less. On an error the pipe keeps
    /// its size.
    ///
    /// Minimum kernel version: 2.6.35.
    ///
    /// # Errors
    ///
    /// `EPERM` past the user's soft or hard limit of pipe pages, `ENOMEM`.
    pub fn grow(&self, bytes: usize) -> io::Result<()> {
        let bytes = bytes.min(max_capacity());
        if bytes > fcntl_getpipe_size(&self.write)? {
            fcntl_setpipe_size(&self.write, bytes)?;
        }
        Ok(())
    }
}

/// The largest pipe of an unprivileged process: `/proc/sys/fs/pipe-max-size`, read once.
fn max_capacity() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/fs/pipe-max-size")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAX_CAPACITY)
    })
}
