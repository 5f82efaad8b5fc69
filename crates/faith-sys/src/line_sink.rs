//! Writes lines to a descriptor whose reader may stall, such as a log.
//!
//! The calls block: making the descriptor non-blocking would change it for every process that shares it. So they belong
//! on a thread of their own. A thread that is stuck in write(2) does not keep the process from exiting.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
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
        loop {
            match write(&self.0, whole_lines(lines)) {
                Ok(written) => return Ok(written),
                Err(Errno::INTR) => {}
                // Another process made the descriptor non-blocking.
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                }
                Err(error) => return Err(error.into()),
            }
        }
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
