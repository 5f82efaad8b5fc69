//! The log: settings, and the ways by which entries come in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use faith_relay::{PortBlockRecord, RefusalRecord, SessionBegin, SessionRecord};
use faith_sys::line_sink::try_line;

use crate::entry::Entry;
use crate::format::Form;
use crate::ipfix::{Event, Exporter};
use crate::level::Level;
use crate::lines::Lines;
use crate::queue::Queue;
use crate::shown::Shown;
use crate::sink::{Sink, Target};
use crate::sums::Network;
use crate::thread;

/// The settings of a log that may change while it runs.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The form of lines.
    pub form: Form,
    /// Sessions and refusals have lines.
    pub records: bool,
    /// Sessions have records when they begin, too.
    pub begins: bool,
    /// Sessions have records. Otherwise port blocks alone tell who used a source port.
    pub sessions: bool,
    /// The lines of sessions and refusals have the dialled address and the server.
    pub destinations: bool,
    /// The lines of sessions have the source of the connection to the server. Those without a destination always have it.
    pub sources: bool,
    /// Lost records of the exporter have lines.
    pub errors: bool,
}

/// An error of [`Log::start`].
#[derive(Debug)]
pub enum StartError {
    /// The file cannot be opened.
    Open(io::Error),
    /// The thread cannot be created.
    Thread(io::Error),
}

/// A log, and the exporter that gets the same records. Dropping it ends their threads when all is written.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    flags: Arc<Flags>,
    exporter: Exporter,
    /// Lines about the end of the daemon go to stderr too.
    echoes: bool,
}

/// The settings that callers read.
#[derive(Debug, Default)]
struct Flags {
    records: AtomicBool,
    begins: AtomicBool,
    sessions: AtomicBool,
    destinations: AtomicBool,
    sources: AtomicBool,
    errors: AtomicBool,
}

impl Log {
    /// Opens the target and starts the thread, which writes there. The queue holds entries of about `limit` bytes, and the
    /// thread as many more while it writes them.
    ///
    /// # Errors
    ///
    /// [`StartError::Open`] if a file cannot be opened, [`StartError::Thread`] if the thread cannot be created.
    pub fn start(target: Target, limit: usize) -> Result<Self, StartError> {
        let queue = Arc::new(Queue::new(limit));
        let taken = Arc::clone(&queue);
        let echoes = matches!(target, Target::File { .. } | Target::Syslog { .. });
        let lines = Lines::new(Sink::open(target).map_err(StartError::Open)?);
        std::thread::Builder::new()
            .name("faithd-log".to_owned())
            .spawn(move || thread::run(&taken, lines))
            .map_err(StartError::Thread)?;
        let flags = Arc::<Flags>::default();
        let (telling, lines) = (Arc::clone(&flags), Arc::clone(&queue));
        let exporter = Exporter::new(move |loss| {
            if telling.errors.load(Relaxed) {
                lines.push(Entry::unexported(loss));
            }
        });
        Ok(Self { queue, flags, exporter, echoes })
    }

    /// The exporter.
    #[must_use]
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// Changes the settings. The form holds for the lines that are not yet written.
    pub fn set(&self, settings: Settings) {
        let Settings { form, records, begins, sessions, destinations, sources, errors } = settings;
        self.queue.set_form(form);
        self.flags.records.store(records, Relaxed);
        self.flags.begins.store(begins, Relaxed);
        self.flags.sessions.store(sessions, Relaxed);
        self.flags.destinations.store(destinations, Relaxed);
        self.flags.sources.store(sources, Relaxed);
        self.flags.errors.store(errors, Relaxed);
    }

    /// Tells whether lines or a collector get records.
    #[must_use]
    pub fn takes_records(&self) -> bool {
        self.flags.records.load(Relaxed) || self.exporter.is_on()
    }

    /// Tells whether sessions have records when they begin.
    #[must_use]
    pub fn takes_begins(&self) -> bool {
        self.flags.begins.load(Relaxed) && self.flags.sessions.load(Relaxed) && self.takes_records()
    }

    /// Tells whether the records of sessions need their source.
    #[must_use]
    pub fn takes_sources(&self) -> bool {
        let lines = || self.flags.records.load(Relaxed) && self.shown().source;
        self.flags.sessions.load(Relaxed) && (self.exporter.is_on() || lines())
    }

    fn shown(&self) -> Shown {
        let destination = self.flags.destinations.load(Relaxed);
        Shown { destination, source: !destination || self.flags.sources.load(Relaxed) }
    }

    /// Writes a sentence. `facts` is an object of JSON. A fatal one goes to stderr too where the log is a file or syslog,
    /// because those who start the daemon may see nothing else.
    pub fn say(&self, level: Level, facts: String, message: String) {
        if self.echoes && level == Level::Fatal {
            try_line(io::stderr(), format!("faithd: {message}\n").as_bytes());
        }
        self.queue.push(Entry::Said { time: SystemTime::now(), level, facts, message });
    }

    /// Records a session that ended.
    pub fn session(&self, record: SessionRecord) {
        if !self.flags.sessions.load(Relaxed) {
            return;
        }
        self.exporter.push(|| Event::end(&record));
        self.line(|| Entry::Session(record, self.shown()));
    }

    /// Records a refused attempt. `limit` is the limit that was reached, if one was.
    pub fn refusal(&self, record: RefusalRecord, limit: Option<u32>) {
        if let Some(event) = Event::quota(&record, limit) {
            self.exporter.push(|| event);
        }
        self.line(|| Entry::Refusal(record, self.shown()));
    }

    /// Records a session that begins.
    pub fn begin(&self, session: SessionBegin) {
        let time = SystemTime::now();
        self.exporter.push(|| Event::begin(time, &session));
        self.line(|| Entry::Begin { time, session, shown: self.shown() });
    }

    /// Records a block of source ports that a client network got or gave back.
    pub fn port_block(&self, block: PortBlockRecord) {
        self.exporter.push(|| Event::PortBlock(block));
        self.line(|| Entry::PortBlock(block));
    }

    /// Adds the line of a record, if records have lines.
    fn line(&self, entry: impl FnOnce() -> Entry) {
        if self.flags.records.load(Relaxed) {
            self.queue.push(entry());
        }
    }

    /// Counts a refused attempt among the sums of its client's network, of this prefix length.
    pub fn sum(&self, refusal: &RefusalRecord, prefix_length: u8) {
        if !self.flags.records.load(Relaxed) {
            return;
        }
        self.queue.sum(Network::of(*refusal.client.ip(), prefix_length), refusal);
    }

    /// Writes the sums now, before their time.
    pub fn tell_sums(&self) {
        self.queue.tell_sums();
    }

    /// The number of entries that were lost so far.
    #[must_use]
    pub fn lost_in_all(&self) -> u64 {
        self.queue.lost_in_all()
    }

    /// The number of refusals so far that only sums tell.
    #[must_use]
    pub fn summed(&self) -> u64 {
        self.queue.summed()
    }

    /// Opens the file of the log again, and writes a line about that. The thread does so; the caller does not wait.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// The reason why no line can be written now, as a sentence.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.queue.trouble()
    }

    /// Waits until all records are sent and all lines are written, at most `limit`. Returns true if they are; false at once
    /// while the kernel refuses writes.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        // A loss of the exporter has a line.
        let sent = self.exporter.flush(limit);
        self.queue.flush(deadline.saturating_duration_since(Instant::now())) && sent
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.end();
    }
}

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;
