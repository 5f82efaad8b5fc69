//! Writes the log of faithd, in a thread of its own.

use std::io;
use std::time::Duration;

use faith_stack::StackError;
use faith_sys::line_writer::LineWriter;
use napi_derive::napi;

use crate::stats::number;

/// Writes lines to stderr; see [`LineWriter`].
#[napi]
pub struct NativeLineWriter {
    writer: LineWriter,
}

#[napi]
impl NativeLineWriter {
    /// Starts the thread. At most `limit` bytes wait for it.
    ///
    /// # Errors
    /// The thread cannot be started.
    #[napi(constructor)]
    pub fn new(limit: u32) -> napi::Result<Self> {
        let writer = LineWriter::start(io::stderr(), limit as usize).map_err(|error| {
            let error = StackError::threads("start the thread that writes the log", error);
            let hint = error.hint().unwrap_or_default();
            napi::Error::from_reason(format!("{error}; {hint}"))
        })?;
        Ok(Self { writer })
    }

    /// Queues lines, each of which ends in a line feed; `false` if some are lost.
    #[napi]
    #[must_use]
    pub fn write(&self, lines: String) -> bool {
        self.writer.write(&lines)
    }

    /// Takes the number of lines lost since the last call. Returns 0 until half of the queue is free.
    #[napi]
    #[must_use]
    pub fn take_lost(&self) -> f64 {
        number(self.writer.take_lost())
    }

    /// Waits until all lines are written, for `limitMs` milliseconds at most; tells whether all are.
    #[napi]
    #[must_use]
    pub fn flush(&self, limit_ms: u32) -> bool {
        self.writer.flush(Duration::from_millis(limit_ms.into()))
    }
}
