//! Writes lines to a descriptor whose reader may stall, such as a log.
//!
//! The calls block: making the descriptor non-blocking would change it for every process that shares it. So they belong
//! on a thread of their own. A thread that is stuck in write(2) does not keep the process from exiting.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};

/// The longest write that a pipe takes whole (`PIPE_BUF`, pipe(7)), so that lines of several writers do not mix.
const WHOLE: usize = 4096;

/// A descriptor that takes lines.
#[derive(Debug)]
pub struct LineSink<F>(F);

impl<F: AsFd> LineSink<F> {
    /// Writes to this descriptor.
    pub fn new(descriptor: F) -> Self {
        Self(descriptor)
    }

    /// Writes some of these lines, whole ones if the descriptor takes them, and returns the number of bytes. Blocks while the
    /// reader does not read.
    ///
    /// # Errors
    ///
    /// Those of write(2): `EPIPE` if the reader is gone, `ENOSPC` if the disk is full.
    pub fn write(&self, lines: &[u8]) -> io::Result<usize> {
        write_some(&self.0, whole_lines(lines))
    }
}

/// Writes some of these bytes and returns their number. Blocks while the descriptor takes none.
///
/// # Errors
///
/// Those of write(2).
pub fn write_some(descriptor: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match write(&descriptor, bytes) {
            Ok(written) => return Ok(written),
            Err(Errno::INTR) => {}
            // The descriptor is non-blocking: another process may have made it so.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&descriptor, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes a line, if the descriptor takes it at once.
pub fn try_line(descriptor: impl AsFd, line: &[u8]) {
    let mut polled = [PollFd::new(&descriptor, PollFlags::OUT)];
    let takes = poll(&mut polled, Some(&Timespec::default())) == Ok(1);
    // A pipe that is ready takes this much without blocking (pipe(7)).
    if takes && line.len() <= WHOLE {
        let _ = write(&descriptor, line);
    }
}

/// The whole lines that fit into one write, or the first line if it is longer.
fn whole_lines(lines: &[u8]) -> &[u8] {
    let Some(head) = lines.get(..WHOLE) else { return lines };
    let end = head.iter().rposition(|byte| *byte == b'\n');
    let end = end.or_else(|| lines.iter().position(|byte| *byte == b'\n'));
    end.and_then(|end| lines.get(..=end)).unwrap_or(lines)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn each_write_ends_at_the_end_of_a_line() {
        assert_eq!(whole_lines(b"one\ntwo\n"), b"one\ntwo\n");
        let many = "seven!\n".repeat(1000);
        assert_eq!(whole_lines(many.as_bytes()).len(), 4095);
        let long = format!("{}\nshort\n", "x".repeat(5000));
        assert_eq!(whole_lines(long.as_bytes()).len(), 5001);
    }

    #[test]
    fn a_line_for_a_full_pipe_is_dropped() {
        let (mut reader, descriptor) = pipe().unwrap();
        try_line(&descriptor, b"first\n");
        rustix::io::ioctl_fionbio(&descriptor, true).unwrap();
        while write(&descriptor, &[b'\n'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&descriptor, false).unwrap();
        try_line(&descriptor, b"second\n");
        drop(descriptor);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert!(read.starts_with("first\n") && !read.contains("second"));
    }

    #[test]
    fn a_non_blocking_descriptor_is_polled_and_loses_no_line() {
        let (mut reader, descriptor) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&descriptor, true).unwrap();
        let sink = LineSink::new(descriptor);
        let lines = format!("{}\n", "x".repeat(9999)).repeat(50);
        let sent = lines.clone();
        let writing = std::thread::spawn(move || {
            let mut rest = sent.as_bytes();
            while !rest.is_empty() {
                let written = sink.write(rest).unwrap();
                rest = &rest[written..];
            }
        });
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        writing.join().unwrap();
        assert_eq!(read, lines);
    }
}
