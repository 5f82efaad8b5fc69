//! The log of faithd, written by a thread of its own.

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
    /// At most `limit` bytes wait.
    ///
    /// # Errors
    /// When no thread can be made.
    #[napi(constructor)]
    pub fn new(limit: u32) -> napi::Result<Self> {
        let writer = LineWriter::start(io::stderr(), limit as usize).map_err(|error| {
            let error = StackError::threads("start the thread that writes the log", error);
            let hint = error.hint().unwrap_or_default();
            napi::Error::from_reason(format!("{error}; {hint}"))
        })?;
        Ok(Self { writer })
    }

    /// Has lines written, each of which ends in a line feed; `false` where some are lost.
    #[napi]
    #[must_use]
    pub fn write(&self, lines: String) -> bool {
        self.writer.write(&lines)
    }

    /// How many lines were lost since this was last asked; 0 as long as there is no room to tell.
    #[napi]
    #[must_use]
    pub fn take_lost(&self) -> f64 {
        number(self.writer.take_lost())
    }

    /// Waits until all is written, at most for so long; whether all is.
    #[napi]
    #[must_use]
    pub fn flush(&self, limit_ms: u32) -> bool {
        self.writer.flush(Duration::from_millis(limit_ms.into()))
    }
}
