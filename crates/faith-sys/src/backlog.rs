//! Memory that a BPF program and the workers share. It counts the SYNs that each worker was given and has seen.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A cache line that begins with a number. Each worker has two: the program counts in one, the worker copies the count to
/// the other. The program copies it too, when a backlog is too old to count (`bpf/backlog.h`).
#[repr(C, align(64))]
struct Line(AtomicU64);

/// `struct backlog` of `bpf/backlog.h`.
#[repr(C)]
struct Backlog {
    given: Line,
    seen: Line,
}

/// The entries of an array map, one for each worker, mapped until this is dropped.
#[derive(Debug)]
pub struct Backlogs {
    entries: NonNull<Backlog>,
    count: usize,
}

// SAFETY: the entries behind the pointer are atomics, and belong to no thread.
unsafe impl Send for Backlogs {}
// SAFETY: the entries behind the pointer are atomics, which any thread may use at any time.
unsafe impl Sync for Backlogs {}

impl Backlogs {
    /// Maps the `count` entries of `map`, a `BPF_MAP_TYPE_ARRAY` of 128 bytes each that has `BPF_F_MMAPABLE` (Linux
    /// 5.5).
    ///
    /// # Errors
    /// Those of mmap(2): `ENODEV` or `EINVAL` for a map of another kind or size.
    pub fn map(map: impl AsFd, count: u32) -> io::Result<Self> {
        let count = count as usize;
        let length = count.checked_mul(size_of::<Backlog>()).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel chooses the address, so this replaces no other mapping.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let entries = NonNull::new(place.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { entries, count })
    }

    /// Records that `worker` has seen all SYNs that it was given. Does nothing for a worker without an entry.
    ///
    /// SYNs that are given at this moment may count as seen: the numbers only guide the choice of a worker.
    #[inline]
    pub fn seen(&self, worker: usize) {
        if let Some(backlog) = self.entries().get(worker) {
            backlog.seen.0.store(backlog.given.0.load(Relaxed), Relaxed);
        }
    }

    fn entries(&self) -> &[Backlog] {
        // SAFETY: the kernel has mapped `count` entries, page-aligned, until this is dropped. Any bytes are a valid
        // entry, and the program changes them one atomic number at a time.
        unsafe { std::slice::from_raw_parts(self.entries.as_ptr(), self.count) }
    }
}

impl Drop for Backlogs {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, with this length, and no reference outlives `self`.
        unsafe { libc::munmap(self.entries.as_ptr().cast(), self.count * size_of::<Backlog>()) };
    }
}
