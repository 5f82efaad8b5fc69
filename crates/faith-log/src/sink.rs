//! Sinks: the places that take the lines.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use faith_sys::line_sink::LineSink;

/// A place that takes lines.
pub(crate) enum Sink {
    /// A descriptor, such as stderr.
    Descriptor(LineSink<Box<dyn AsFd + Send>>),
}

/// A sink takes no lines.
pub(crate) enum Refused {
    /// It may take them later.
    ForNow,
    /// Its reader is gone.
    ForGood,
}

impl Sink {
    /// Writes some of these lines and returns the number of bytes. Blocks while the reader does not read.
    pub(crate) fn write(&self, lines: &[u8]) -> Result<usize, Refused> {
        match self {
            Self::Descriptor(descriptor) => descriptor.write(lines).map_err(|error| {
                // EBADF: faithd was started without stderr.
                if error.kind() == ErrorKind::BrokenPipe || is_closed(&error) {
                    Refused::ForGood
                } else {
                    Refused::ForNow
                }
            }),
        }
    }
}

/// Tells whether a write failed because the process has no such descriptor.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error().and_then(faith_stack::errno_name) == Some("EBADF")
}
