//! The log: settings, and the ways by which entries come in.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use faith_relay::{RefusalRecord, SessionBegin, SessionRecord};
use faith_sys::line_sink::LineSink;

use crate::entry::Entry;
use crate::format::{Form, Level};
use crate::lines::Lines;
use crate::queue::Queue;
use crate::sink::Sink;
use crate::sums::Network;
use crate::thread;

/// The settings of a log that may change while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The form of lines.
    pub form: Form,
    /// Sessions and refusals have lines.
    pub records: bool,
    /// Sessions have lines when they begin, too.
    pub begins: bool,
}

/// A log. Dropping it ends its thread when all is written.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    records: AtomicBool,
    begins: AtomicBool,
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
        Ok(Self { queue, records: AtomicBool::new(false), begins: AtomicBool::new(false) })
    }

    /// Changes the settings. The form holds for the lines that are not yet written.
    pub fn set(&self, settings: Settings) {
        let Settings { form, records, begins } = settings;
        self.queue.set_form(form);
        self.records.store(records, Relaxed);
        self.begins.store(records && begins, Relaxed);
    }

    /// Tells whether sessions and refusals have lines.
    #[must_use]
    pub fn takes_records(&self) -> bool {
        self.records.load(Relaxed)
    }

    /// Tells whether sessions have lines when they begin.
    #[must_use]
    pub fn takes_begins(&self) -> bool {
        self.begins.load(Relaxed)
    }

    /// Writes a sentence. `facts` is an object of JSON.
    pub fn say(&self, level: Level, facts: String, message: String) {
        self.queue.push(Entry::Said { time: SystemTime::now(), level, facts, message });
    }

    /// Writes a line about a session that ended.
    pub fn session(&self, record: SessionRecord) {
        self.queue.push(Entry::Session(record));
    }

    /// Writes a line about a refused attempt.
    pub fn refusal(&self, record: RefusalRecord) {
        self.queue.push(Entry::Refusal(record));
    }

    /// Writes a line about a session that begins.
    pub fn begin(&self, session: SessionBegin) {
        self.queue.push(Entry::Begin { time: SystemTime::now(), session });
    }

    /// Counts a refused attempt among the sums of its client's network, of this prefix length.
    pub fn sum(&self, refusal: &RefusalRecord, prefix_length: u8) {
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

    /// Waits until all lines are written, at most `limit`. Returns true if they are; false at once while the kernel
    /// refuses writes.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        self.queue.flush(limit)
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

    use faith_relay::RefusalReason;

    use super::*;
    use crate::entry::RECORD;
    use crate::queue::Thread;
    use crate::samples;

    const PATIENCE: Duration = Duration::from_secs(20);
    const RECORDS: Settings = Settings { form: Form::Text, records: true, begins: false };

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
        assert_eq!(takes(Settings { begins: true, records: false, form: Form::Json }), (false, false));
    }
}
