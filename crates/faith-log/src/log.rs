//! The log: settings, and the ways by which entries come in.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use faith_relay::{PortBlockRecord, RefusalRecord, SessionBegin, SessionRecord};
use faith_sys::line_sink::LineSink;

use crate::entry::{Entry, Shown};
use crate::format::{Form, Level};
use crate::ipfix::{Event, Exporter};
use crate::lines::Lines;
use crate::queue::Queue;
use crate::sink::Sink;
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

/// A log, and the exporter that gets the same records. Dropping it ends their threads when all is written.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    flags: Arc<Flags>,
    exporter: Exporter,
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
    /// Starts the thread, which writes to `descriptor`. The queue holds entries of about `limit` bytes, and the thread as many
    /// more while it writes them.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the thread cannot be created.
    pub fn start(descriptor: impl AsFd + Send + 'static, limit: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(limit));
        let taken = Arc::clone(&queue);
        let lines = Lines::new(Sink::Descriptor(LineSink::new(Box::new(descriptor))));
        std::thread::Builder::new()
            .name("faithd-log".to_owned())
            .spawn(move || thread::run(&taken, lines))?;
        let flags = Arc::<Flags>::default();
        let (telling, lines) = (Arc::clone(&flags), Arc::clone(&queue));
        let exporter = Exporter::new(move |loss| {
            if telling.errors.load(Relaxed) {
                lines.push(Entry::Unexported { time: SystemTime::now(), loss: loss.clone() });
            }
        });
        Ok(Self { queue, flags, exporter })
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

    /// Writes a sentence. `facts` is an object of JSON.
    pub fn say(&self, level: Level, facts: String, message: String) {
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
mod tests {
    use std::io::{PipeReader, PipeWriter, Read, pipe};
    use std::net::UdpSocket;

    use faith_relay::{Cause, RefusalReason};

    use super::*;
    use crate::entry::RECORD;
    use crate::ipfix::{Collector, Decoder};
    use crate::queue::Thread;
    use crate::samples;

    const PATIENCE: Duration = Duration::from_secs(20);
    const RECORDS: Settings = Settings {
        form: Form::Text,
        records: true,
        begins: false,
        sessions: true,
        destinations: true,
        sources: false,
        errors: true,
    };

    fn log(limit: usize) -> (Log, PipeReader) {
        let (reader, descriptor) = pipe().unwrap();
        (Log::start(descriptor, limit).unwrap(), reader)
    }

    fn say(log: &Log, message: impl Into<String>) {
        log.say(Level::Info, "{}".to_owned(), message.into());
    }

    /// The sentences of the lines.
    fn read_all(mut reader: PipeReader) -> Vec<String> {
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        let said = |line: &str| line.split_once("] ").map(|(_, said)| said.to_owned());
        read.lines().filter_map(said).collect()
    }

    #[test]
    fn lines_and_records_are_written_in_their_order() {
        let (log, reader) = log(1 << 30);
        log.set(RECORDS);
        let reading = std::thread::spawn(move || read_all(reader));
        let mut sent = Vec::new();
        for number in 0..5000 {
            say(&log, format!("line {number}"));
            log.session(SessionRecord { bytes_up: number, ..samples::session() });
            sent.push(format!("INFO: line {number}"));
        }
        assert!(log.flush(PATIENCE));
        drop(log);
        let read = reading.join().unwrap();
        let (said, records): (Vec<_>, Vec<_>) = read.iter().partition(|line| line.starts_with("INFO: line"));
        assert_eq!(said, sent.iter().collect::<Vec<_>>());
        assert!(records.iter().zip(0..).all(|(line, number)| line.contains(&format!(": {number} byte"))));
        assert_eq!(records.len(), 5000);
        assert!(read.iter().step_by(2).all(|line| line.starts_with("INFO: line")));
    }

    /// A pipe full of line feeds.
    fn full_pipe() -> (PipeReader, PipeWriter) {
        let (reader, descriptor) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&descriptor, true).unwrap();
        while rustix::io::write(&descriptor, &[b'\n'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&descriptor, false).unwrap();
        (reader, descriptor)
    }

    #[test]
    fn a_stalled_reader_loses_entries_whose_number_stands_in_their_place() {
        let (reader, descriptor) = full_pipe();
        let log = Log::start(descriptor, 100 * RECORD).unwrap();
        log.set(RECORDS);
        log.session(samples::session());
        log.queue.wait_for(Thread::Writing);
        // The thread has that record, and the queue has room for a hundred more.
        (0..5000).for_each(|_| log.session(samples::session()));
        say(&log, "lost too, although it is small");
        assert!(!log.flush(Duration::ZERO));

        let reading = std::thread::spawn(move || read_all(reader));
        assert!(log.flush(PATIENCE));
        say(&log, "the last");
        drop(log);
        let read = reading.join().unwrap();
        let sessions = |lines: &[String]| lines.iter().filter(|line| line.ends_with("closed")).count();
        assert_eq!((sessions(&read[..101]), read.len()), (101, 103));
        assert_eq!(read[101], "ERROR: 4901 lines of this log were lost: its reader did not keep up");
        assert_eq!(read[102], "INFO: the last");
    }

    #[test]
    fn sums_are_written_at_their_place_and_only_once() {
        let (log, reader) = log(1 << 20);
        log.set(RECORDS);
        let refusal = RefusalRecord { reason: RefusalReason::Limit, ..samples::refusal() };
        log.tell_sums();
        (0..3000).for_each(|_| log.sum(&refusal, 64));
        log.tell_sums();
        say(&log, "after the sums");
        assert!(log.flush(PATIENCE));
        log.tell_sums();
        log.sum(&refusal, 48);
        log.tell_sums();
        assert_eq!(log.summed(), 3001);
        drop(log);
        let read: Vec<_> =
            read_all(reader).iter().map(|line| line.split(" in ").next().unwrap().to_owned()).collect();
        assert_eq!(
            read,
            [
                "INFO: 3,000 more limit from 2001:db8::/64",
                "INFO: after the sums",
                "INFO: 1 more limit from 2001:db8::/48"
            ]
        );
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (log, reader) = log(1000);
        drop(reader);
        say(&log, "the write of this one fails");
        assert!(log.flush(PATIENCE));
        log.queue.wait_for(Thread::Gone);
        (0..1000).for_each(|_| say(&log, "this line is discarded"));
        assert!(log.flush(PATIENCE));
        assert_eq!(log.queue.lost(), 0);
    }

    #[test]
    fn a_full_disk_makes_flush_return_at_once() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let log = Log::start(full, 1000).unwrap();
        say(&log, "there is no room for this");
        assert!(!log.flush(PATIENCE));
    }

    #[test]
    fn only_a_log_of_records_takes_records() {
        let (log, _reader) = log(1000);
        let takes = |settings| {
            log.set(settings);
            (log.takes_records(), log.takes_begins())
        };
        assert_eq!((log.takes_records(), log.takes_begins()), (false, false));
        assert_eq!(takes(RECORDS), (true, false));
        assert_eq!(takes(Settings { begins: true, ..RECORDS }), (true, true));
        assert_eq!(takes(Settings { begins: true, records: false, ..RECORDS }), (false, false));
        assert_eq!(takes(Settings { begins: true, sessions: false, ..RECORDS }), (true, false));
    }

    #[test]
    fn lines_without_destinations_need_the_source() {
        let (log, _reader) = log(1000);
        let takes = |settings| {
            log.set(settings);
            log.takes_sources()
        };
        assert!(!takes(RECORDS));
        assert!(takes(Settings { sources: true, ..RECORDS }));
        assert!(takes(Settings { destinations: false, ..RECORDS }));
        assert!(!takes(Settings { destinations: false, sessions: false, ..RECORDS }));
        assert!(!takes(Settings { destinations: false, records: false, ..RECORDS }));
    }

    #[test]
    fn records_reach_a_collector_where_they_have_no_lines() {
        let (log, reader) = log(1 << 20);
        log.set(Settings { records: false, begins: true, ..RECORDS });
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = socket.local_addr().unwrap();
        let template_interval = Duration::from_mins(10);
        let collector = Collector { address, domain: 1, template_interval, destinations: false };
        log.exporter().set(Some(collector)).unwrap();
        assert!(log.takes_records() && log.takes_begins() && log.takes_sources());
        log.session(samples::session());
        let cause = Some(Cause::MaxSessionsPerClient);
        let refusal = RefusalRecord { reason: RefusalReason::Limit, cause, ..samples::refusal() };
        log.refusal(refusal, Some(100));
        assert!(log.flush(PATIENCE));
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        let mut buffer = [0; 2048];
        while events.len() < 2 {
            let length = socket.recv(&mut buffer).unwrap();
            let records = decoder.decode(&buffer[..length]).records;
            events.extend(records.iter().map(|record| (record.number(230).unwrap(), record.number(473))));
        }
        assert_eq!(events, [(7, None), (13, Some(100))]);
        drop(log);
        assert!(read_all(reader).is_empty());
    }

    #[test]
    fn a_loss_of_the_exporter_has_a_line() {
        let (log, reader) = log(1 << 20);
        log.set(Settings { records: false, ..RECORDS });
        let address = "255.255.255.255:4739".parse().unwrap();
        let template_interval = Duration::from_mins(10);
        let collector = Collector { address, domain: 1, template_interval, destinations: true };
        log.exporter().set(Some(collector)).unwrap();
        log.session(samples::session());
        assert!(log.flush(PATIENCE));
        drop(log);
        assert_eq!(
            read_all(reader),
            ["ERROR: 1 IPFIX record was lost: 255.255.255.255:4739: Permission denied (os error 13)"]
        );
    }
}
