//! The queue of the log, and the thread that empties it.
//!
//! Callers never wait: an entry enters the bounded queue, or it is lost and counted. The queue loses entries only at its
//! end: after the first one that has no room, it takes no other until the thread has taken all. So the line that tells
//! their number stands where they are missing.
//!
//! The thread writes the first entries after a rest at once. Then it lets entries gather before each turn, unless half of
//! the queue is full or a caller waits for the lines.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use faith_relay::{RefusalRecord, SessionBegin, SessionRecord};
use faith_sys::line_sink::LineSink;
use parking_lot::{Condvar, Mutex};

use crate::format::{Form, Formatter, Level, Line};
use crate::sums::{Network, Sums};

/// Time in which entries gather.
const GATHER: Duration = Duration::from_millis(50);

/// The thread waits this long before it repeats a write that the kernel refused, as on a full disk.
const PAUSE: Duration = Duration::from_millis(200);

/// The weight of a record in the queue: about its size, and that of its line.
const RECORD: usize = 256;

/// Bytes of lines that the thread formats before it writes.
const TURN: usize = 64 * 1024;

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
    shared: Arc<Shared>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the thread has work.
    wanted: Condvar,
    /// Notified when the thread has written everything, or cannot write.
    rested: Condvar,
    records: AtomicBool,
    begins: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Entry>,
    /// The weight of the waiting entries.
    weight: usize,
    /// Entries that had no room since the thread last took all.
    lost: u64,
    /// Since the start.
    lost_in_all: u64,
    sums: Sums,
    /// Refusals that were counted among the sums since the start.
    summed: u64,
    form: Form,
    thread: Thread,
    /// A caller waits for the lines.
    hurry: bool,
    /// True once the log was dropped.
    ended: bool,
}

#[derive(Debug)]
enum Entry {
    Said {
        time: SystemTime,
        level: Level,
        facts: String,
        message: String,
    },
    Session(SessionRecord),
    Refusal(RefusalRecord),
    Begin {
        time: SystemTime,
        session: SessionBegin,
    },
    /// The place of lines about sums.
    Sums,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// Waits for an entry.
    #[default]
    Idle,
    /// Lets entries gather.
    Gathering,
    Writing,
    /// The kernel refuses writes for now.
    Failing,
    /// The reader is gone, so the thread has ended.
    Gone,
}

impl Log {
    /// Starts the thread, which writes to `descriptor`. The queue holds entries of about `limit` bytes, and the thread as many
    /// more while it writes them.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the thread cannot be created.
    pub fn start(descriptor: impl AsFd + Send + 'static, limit: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writing = Arc::clone(&shared);
        let sink = LineSink::new(descriptor);
        std::thread::Builder::new().name("faithd-log".to_owned()).spawn(move || writing.run(&sink))?;
        Ok(Self { shared, limit })
    }

    /// Changes the settings. The form holds for the lines that are not yet written.
    pub fn set(&self, settings: Settings) {
        let Settings { form, records, begins } = settings;
        self.shared.state.lock().form = form;
        self.shared.records.store(records, Relaxed);
        self.shared.begins.store(records && begins, Relaxed);
    }

    /// Tells whether sessions and refusals have lines.
    #[must_use]
    pub fn takes_records(&self) -> bool {
        self.shared.records.load(Relaxed)
    }

    /// Tells whether sessions have lines when they begin.
    #[must_use]
    pub fn takes_begins(&self) -> bool {
        self.shared.begins.load(Relaxed)
    }

    /// Writes a sentence. `facts` is an object of JSON.
    pub fn say(&self, level: Level, facts: String, message: String) {
        let weight = RECORD + facts.len() + message.len();
        self.push(weight, Entry::Said { time: SystemTime::now(), level, facts, message });
    }

    /// Writes a line about a session that ended.
    pub fn session(&self, record: SessionRecord) {
        self.push(RECORD, Entry::Session(record));
    }

    /// Writes a line about a refused attempt.
    pub fn refusal(&self, record: RefusalRecord) {
        self.push(RECORD, Entry::Refusal(record));
    }

    /// Writes a line about a session that begins.
    pub fn begin(&self, session: SessionBegin) {
        self.push(RECORD, Entry::Begin { time: SystemTime::now(), session });
    }

    /// Counts a refused attempt among the sums of its client's network, of this prefix length.
    pub fn sum(&self, refusal: &RefusalRecord, prefix_length: u8) {
        let network = Network::of(*refusal.client.ip(), prefix_length);
        let mut state = self.shared.state.lock();
        let is_first = state.sums.due().is_none();
        state.sums.add(network, refusal);
        state.summed += 1;
        // A resting thread has to learn when the sums are due.
        if is_first && state.thread == Thread::Idle {
            self.shared.wanted.notify_one();
        }
    }

    /// Writes the sums now, before their time.
    pub fn tell_sums(&self) {
        let mut state = self.shared.state.lock();
        if state.sums.due().is_some() {
            state.waiting.push(Entry::Sums);
            self.shared.wanted.notify_one();
        }
    }

    /// The number of entries that were lost so far.
    #[must_use]
    pub fn lost_in_all(&self) -> u64 {
        self.shared.state.lock().lost_in_all
    }

    /// The number of refusals so far that only sums tell.
    #[must_use]
    pub fn summed(&self) -> u64 {
        self.shared.state.lock().summed
    }

    /// Waits until all lines are written, at most `limit`. Returns true if they are; false at once while the kernel
    /// refuses writes.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        loop {
            match state.thread {
                Thread::Gone => return true,
                Thread::Idle | Thread::Gathering if state.is_empty() => return true,
                Thread::Failing => return false,
                Thread::Idle | Thread::Gathering | Thread::Writing => {}
            }
            state.hurry = true;
            self.shared.wanted.notify_one();
            if self.shared.rested.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
    }

    /// Adds an entry, unless there is no room. After the reader is gone, entries are discarded.
    fn push(&self, weight: usize, entry: Entry) {
        let mut state = self.shared.state.lock();
        if state.thread == Thread::Gone {
            return;
        }
        if state.lost > 0 || state.weight + weight > self.limit {
            state.lost += 1;
            state.lost_in_all += 1;
        } else {
            state.weight += weight;
            state.waiting.push(entry);
        }
        let wakes = match state.thread {
            Thread::Idle => true,
            Thread::Gathering => state.weight > self.limit / 2,
            Thread::Writing | Thread::Failing | Thread::Gone => false,
        };
        if wakes {
            state.hurry = true;
            self.shared.wanted.notify_one();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wanted.notify_one();
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }
}

impl Shared {
    fn enter(&self, thread: Thread) {
        self.state.lock().thread = thread;
        self.rested.notify_all();
    }

    fn run(&self, sink: &LineSink<impl AsFd>) {
        let mut entries = Vec::new();
        let mut formatter = Formatter::default();
        let mut lines = String::new();
        while let Some(lost) = self.take(&mut entries, &mut formatter) {
            for entry in entries.drain(..) {
                self.format(&mut lines, &mut formatter, &entry);
                if lines.len() >= TURN && !self.write(sink, &mut lines) {
                    return;
                }
            }
            if lost > 0 {
                formatter.line(&mut lines, SystemTime::now(), &Line::Lost(lost));
            }
            if !self.write(sink, &mut lines) {
                return;
            }
        }
    }

    fn format(&self, lines: &mut String, formatter: &mut Formatter, entry: &Entry) {
        match entry {
            Entry::Said { time, level, facts, message } => {
                formatter.line(lines, *time, &Line::Said { level: *level, facts, message });
            }
            Entry::Session(record) => {
                formatter.line(lines, record.started + record.duration, &Line::Session(record));
            }
            Entry::Refusal(record) => {
                formatter.line(lines, record.started + record.duration, &Line::Refusal(record));
            }
            Entry::Begin { time, session } => formatter.line(lines, *time, &Line::Begin(session)),
            Entry::Sums => {
                let taken = self.state.lock().sums.take();
                let (sums, interval) = taken.unwrap_or_default();
                for sum in &sums {
                    formatter.line(lines, SystemTime::now(), &Line::Sum(sum, interval));
                }
            }
        }
    }

    /// Writes all lines. Returns false if the reader is gone.
    fn write(&self, sink: &LineSink<impl AsFd>, lines: &mut String) -> bool {
        let mut rest = lines.as_bytes();
        while !rest.is_empty() {
            match sink.write(rest) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.enter(Thread::Writing);
                }
                // EBADF: faithd was started without stderr.
                Err(error) if error.kind() == ErrorKind::BrokenPipe || is_closed(&error) => {
                    self.state.lock().waiting = Vec::new();
                    self.enter(Thread::Gone);
                    return false;
                }
                Err(_) => {
                    self.enter(Thread::Failing);
                    std::thread::sleep(PAUSE);
                }
            }
        }
        lines.clear();
        true
    }

    /// Waits for entries and takes all of them. Returns the number of entries that were lost after them; `None` if the log was
    /// dropped and no entry is left.
    fn take(&self, entries: &mut Vec<Entry>, formatter: &mut Formatter) -> Option<u64> {
        let mut state = self.state.lock();
        if state.thread != Thread::Idle {
            state.thread = Thread::Gathering;
            if state.is_empty() {
                self.rested.notify_all();
            }
            let end = Instant::now() + GATHER;
            while !state.hurry && !state.ended && !self.wanted.wait_until(&mut state, end).timed_out() {}
        }
        while state.is_empty() {
            state.thread = Thread::Idle;
            state.hurry = false;
            self.rested.notify_all();
            if state.ended {
                return None;
            }
            match state.sums.due() {
                Some(due) if due <= Instant::now() => state.waiting.push(Entry::Sums),
                Some(due) => drop(self.wanted.wait_until(&mut state, due)),
                None => self.wanted.wait(&mut state),
            }
        }
        if state.sums.due().is_some_and(|due| due <= Instant::now()) {
            state.waiting.push(Entry::Sums);
        }
        std::mem::swap(&mut state.waiting, entries);
        state.weight = 0;
        state.hurry = false;
        state.thread = Thread::Writing;
        formatter.form = state.form;
        Some(std::mem::take(&mut state.lost))
    }
}

/// Tells whether a write failed because the process has no such descriptor.
fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error().and_then(faith_stack::errno_name) == Some("EBADF")
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    use faith_relay::RefusalReason;

    use super::*;
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
        while log.shared.state.lock().thread != Thread::Writing {
            std::thread::yield_now();
        }
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
        while log.shared.state.lock().thread != Thread::Gone {
            std::thread::yield_now();
        }
        (0..1000).for_each(|_| say(&log, "this line is discarded"));
        assert!(log.flush(PATIENCE));
        assert_eq!(log.shared.state.lock().lost, 0);
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
