//! Writes entries as lines to the sink.

use std::time::Duration;

use crate::entry::Entry;
use crate::format::{Form, Formatter};
use crate::queue::{Queue, Thread};
use crate::sink::{Refused, Sink};

/// The thread waits this long before it repeats a write that the kernel refused, as on a full disk.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of lines that are formatted before they are written.
const TURN: usize = 64 * 1024;

/// The lines of a turn, and the sink that they go to.
pub(crate) struct Lines {
    sink: Sink,
    formatter: Formatter,
    text: String,
}

impl Lines {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, formatter: Formatter::default(), text: String::new() }
    }

    /// Has further lines in this form.
    pub(crate) fn set_form(&mut self, form: Form) {
        self.formatter.form = form;
    }

    /// Adds the line of an entry, and writes if there are many. Returns false if the reader is gone.
    pub(crate) fn add(&mut self, entry: &Entry, queue: &Queue) -> bool {
        self.formatter.line(&mut self.text, entry);
        self.text.len() < TURN || self.write(queue)
    }

    /// Writes all lines. Returns false if the reader is gone.
    pub(crate) fn write(&mut self, queue: &Queue) -> bool {
        let mut rest = self.text.as_bytes();
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    queue.enter(Thread::Writing);
                }
                Err(Refused::ForGood) => {
                    queue.enter(Thread::Gone);
                    return false;
                }
                Err(Refused::ForNow) => {
                    queue.enter(Thread::Failing);
                    std::thread::sleep(PAUSE);
                }
            }
        }
        self.text.clear();
        true
    }
}
