//! Writes entries as lines to the sink, and tells what becomes of them.

use std::io;
use std::time::{Duration, Instant};

use faith_sys::line_sink::try_line;

use crate::batch::Batch;
use crate::entry::Entry;
use crate::format::{Form, Formatter};
use crate::json::Object;
use crate::level::Level;
use crate::queue::{Queue, Thread};
use crate::sink::{Envelope, Refused, Sink};
use crate::{journal, message};

/// The thread waits this long before it repeats a write that the kernel refused, as on a full disk.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of lines that are formatted before they are written.
const TURN: usize = 64 * 1024;

/// The lines of a turn, and the sink that they go to.
pub(crate) struct Lines {
    sink: Sink,
    envelope: Envelope,
    formatter: Formatter,
    line: String,
    batch: Batch,
    /// The time since which the sink takes nothing, and the error.
    failing: Option<(Instant, String)>,
}

impl Lines {
    pub(crate) fn new((sink, envelope): (Sink, Envelope)) -> Self {
        let (formatter, line, batch) = Default::default();
        Self { sink, envelope, formatter, line, batch, failing: None }
    }

    /// Has further lines in this form.
    pub(crate) fn set_form(&mut self, form: Form) {
        self.formatter.form = match (form, &self.envelope) {
            (Form::ColouredText, Envelope::Line { colours: true }) => form,
            (Form::ColouredText, _) => Form::Text,
            (form, _) => form,
        };
    }

    /// Adds the line of an entry, and writes if there are many. Returns false if the reader is gone.
    pub(crate) fn add(&mut self, entry: &Entry, queue: &Queue) -> bool {
        self.format(entry);
        self.batch.len() < TURN || self.write(queue)
    }

    fn format(&mut self, entry: &Entry) {
        let Self { envelope, formatter, line, batch, .. } = self;
        batch.push(|bytes| match envelope {
            Envelope::Line { .. } => {
                line.clear();
                formatter.line(line, entry);
                bytes.extend_from_slice(line.as_bytes());
            }
            Envelope::Journal => journal::entry(bytes, formatter, entry),
            Envelope::Syslog(origin) => origin.entry(bytes, formatter, entry),
        });
    }

    /// Writes all lines. Returns false if the reader is gone.
    pub(crate) fn write(&mut self, queue: &Queue) -> bool {
        while !self.batch.is_written() {
            match self.sink.write(&mut self.batch) {
                Ok(()) => {
                    queue.enter(Thread::Writing);
                    self.works_again(queue);
                }
                Err(Refused::ForGood) => {
                    queue.enter(Thread::Gone);
                    return false;
                }
                Err(Refused::ForNow(error)) => {
                    self.fails(&error, queue);
                    std::thread::sleep(PAUSE);
                    self.reopen_if_asked(queue);
                }
            }
            let lost = self.sink.take_lost();
            if lost > 0 {
                queue.count_lost(lost);
                self.format(&Entry::lost(lost, "their receiver was not there"));
            }
        }
        self.batch.clear();
        true
    }

    /// Opens the file of the log again, if that was asked for, and tells the result.
    pub(crate) fn reopen_if_asked(&mut self, queue: &Queue) {
        if !queue.take_reopen() {
            return;
        }
        let Self { sink, batch, .. } = self;
        let (level, message) = match sink.reopen(batch) {
            None => (Level::Info, format!("the log goes to {sink}, so there is no file to open again")),
            Some(Ok(())) => (Level::Info, format!("{sink} is open again")),
            Some(Err(error)) => (
                Level::Error,
                format!("cannot open {sink} again: {error}; the log goes on in the file that was open"),
            ),
        };
        let mut facts = String::new();
        let mut object = Object::begin(&mut facts);
        object.word("signal", "SIGUSR1");
        object.text("log", &sink.to_string());
        object.end();
        self.format(&Entry::own(level, facts, format!("SIGUSR1: {message}")));
    }

    /// Tells on stderr that the sink takes nothing, when it begins.
    fn fails(&mut self, error: &io::Error, queue: &Queue) {
        queue.enter(Thread::Failing);
        let sink = &self.sink;
        let trouble = format!("cannot write the log to {sink}: {error}");
        if self.failing.is_none() && !sink.is_descriptor() {
            let mut line = "faithd: ".to_owned();
            message::one_line(&mut line, &trouble);
            line.push_str("; lines wait, and those that have no room are lost\n");
            try_line(io::stderr(), line.as_bytes());
        }
        let (since, _) = self.failing.take().unwrap_or_else(|| (Instant::now(), String::new()));
        queue.set_trouble(Some(trouble.clone()));
        self.failing = Some((since, trouble));
    }

    /// Tells in the log that the sink took nothing for a time, when that is over.
    fn works_again(&mut self, queue: &Queue) {
        let Some((since, trouble)) = self.failing.take() else { return };
        queue.set_trouble(None);
        let seconds = since.elapsed().as_secs_f64();
        let message = format!("for {seconds:.1} s faithd could not write: {trouble}");
        self.format(&Entry::own(Level::Warn, "{}".to_owned(), message));
    }
}
