//! Pipes as splice(2)'s only possible middle: pages pass through one without being copied.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// What `/proc/sys/fs/pipe-max-size` holds unless somebody changed it (pipe(7)).
const DEFAULT_MAX_CAPACITY: usize = 1 << 20;

/// A non-blocking, close-on-exec pipe with both of its ends.
///
/// Its capacity is counted in pages, or rather in slots: a slot holds one fragment of a packet, which may
/// be one byte or, where the kernel allocates compound pages, more than a page.
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
    /// `EMFILE` and `ENFILE`: out of descriptors, of which a pipe takes two.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read, write })
    }

    /// Grows the pipe to `bytes`, cut down to what an unprivileged process may give a pipe. When it fails the pipe stays as
    /// it was.
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

/// The most an unprivileged process may give a pipe: `/proc/sys/fs/pipe-max-size`, read once.
fn max_capacity() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/fs/pipe-max-size")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAX_CAPACITY)
    })
}
