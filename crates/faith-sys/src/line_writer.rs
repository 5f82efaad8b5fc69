//! Writes lines to a descriptor whose reader may stall, such as a log.
//!
//! Callers never wait: a line enters a bounded queue, or it is lost and counted. A thread empties the queue with a
//! blocking write(2): making the descriptor non-blocking would change it for every process that shares it. A thread that
//! is stuck in write(2) does not keep the process from exiting.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, write};

/// The longest write that a pipe takes whole (`PIPE_BUF`, pipe(7)), so that lines of several writers do not mix.
const WHOLE: usize = 4096;

/// The thread waits this long before it repeats a write that the kernel refused, as on a full disk.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes lines to a descriptor, as fast as its reader reads.
#[derive(Debug)]
pub struct LineWriter {
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
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    thread: Thread,
    /// True once the writer was dropped.
    ended: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Thread {
    #[default]
    Idle,
    Writing,
    /// The kernel refuses writes for now.
    Failing,
    /// The reader is gone, so the thread has ended.
    Gone,
}

impl LineWriter {
    /// Starts the thread. The queue holds at most `limit` bytes, and the thread as many more while it writes them.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the thread cannot be created.
    pub fn start(sink: impl AsFd + Send + 'static, limit: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writing = Arc::clone(&shared);
        std::thread::Builder::new().name("faithd-log".to_owned()).spawn(move || writing.run(&sink))?;
        Ok(Self { shared, limit })
    }

    /// Queues lines, each of which ends in a line feed. Returns true if the queue took all; lines without room are lost
    /// and counted. After the reader is gone, lines are discarded and count as taken.
    #[must_use]
    pub fn write(&self, lines: &str) -> bool {
        let mut state = self.shared.lock();
        if state.thread == Thread::Gone {
            return true;
        }
        let room = self.limit.saturating_sub(state.waiting.len());
        let (taken, lost) = divide(lines.as_bytes(), room);
        if !taken.is_empty() {
            state.waiting.extend_from_slice(taken);
            if state.thread == Thread::Idle {
                self.shared.wanted.notify_one();
            }
        }
        state.lost += lost.split_inclusive(|byte| *byte == b'\n').count() as u64;
        lost.is_empty()
    }

    /// Takes the number of lines lost since the last call. Returns 0 until half of the queue is free.
    #[must_use]
    pub fn take_lost(&self) -> u64 {
        let mut state = self.shared.lock();
        if state.waiting.len() > self.limit / 2 { 0 } else { std::mem::take(&mut state.lost) }
    }

    /// Waits until all lines are written, at most `limit`. Returns true if they are; false at once while the kernel
    /// refuses writes.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            match state.thread {
                Thread::Gone => return true,
                Thread::Idle if state.waiting.is_empty() => return true,
                Thread::Failing => return false,
                Thread::Idle | Thread::Writing => {}
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return false;
            }
            state = self.shared.rested.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wanted.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, thread: Thread) {
        self.lock().thread = thread;
        self.rested.notify_all();
    }

    fn run(&self, sink: &impl AsFd) {
        let mut taken = Vec::new();
        while self.take(&mut taken) {
            let mut rest = taken.as_slice();
            while !rest.is_empty() {
                match write(sink, whole_lines(rest)) {
                    Ok(written) => {
                        rest = rest.get(written..).unwrap_or_default();
                        self.enter(Thread::Writing);
                    }
                    Err(Errno::INTR) => {}
                    // Another process made the descriptor non-blocking.
                    Err(Errno::AGAIN) => {
                        let _ = poll(&mut [PollFd::new(sink, PollFlags::OUT)], None);
                    }
                    Err(Errno::PIPE | Errno::BADF) => {
                        self.lock().waiting = Vec::new();
                        return self.enter(Thread::Gone);
                    }
                    Err(_) => {
                        self.enter(Thread::Failing);
                        std::thread::sleep(PAUSE);
                    }
                }
            }
        }
    }

    /// Waits for lines and takes all of them. Returns false if the writer was dropped and no line is left.
    fn take(&self, taken: &mut Vec<u8>) -> bool {
        taken.clear();
        let mut state = self.lock();
        if state.waiting.is_empty() {
            state.thread = Thread::Idle;
            self.rested.notify_all();
        }
        while state.waiting.is_empty() {
            if state.ended {
                return false;
            }
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, taken);
        state.thread = Thread::Writing;
        true
    }
}

/// Splits `lines` into the whole lines that fit into `room`, and the rest.
fn divide(lines: &[u8], room: usize) -> (&[u8], &[u8]) {
    let Some(head) = lines.get(..room) else { return (lines, &[]) };
    let end = head.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    lines.split_at(end)
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
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn writer(limit: usize) -> (LineWriter, PipeReader) {
        let (reader, sink) = pipe().unwrap();
        (LineWriter::start(sink, limit).unwrap(), reader)
    }

    fn read_all(mut reader: PipeReader) -> String {
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        read
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let (writer, reader) = writer(1 << 20);
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}\n")).collect();
        let reading = std::thread::spawn(move || read_all(reader));
        assert!(lines.iter().all(|line| writer.write(line)));
        assert!(writer.flush(PATIENCE));
        drop(writer);
        assert_eq!(reading.join().unwrap(), lines.concat());
    }

    /// A pipe full of line feeds.
    fn full_pipe() -> (PipeReader, PipeWriter) {
        let (reader, sink) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&sink, true).unwrap();
        while write(&sink, &[b'\n'; WHOLE]).is_ok() {}
        rustix::io::ioctl_fionbio(&sink, false).unwrap();
        (reader, sink)
    }

    #[test]
    fn a_stalled_reader_loses_lines_and_delays_no_caller() {
        let (reader, sink) = full_pipe();
        let writer = LineWriter::start(sink, 10_000).unwrap();
        let line = format!("{}\n", "x".repeat(99));
        assert!(writer.write(&line));
        while writer.shared.lock().thread != Thread::Writing {
            std::thread::yield_now();
        }
        // The thread has that line, and the queue has room for a hundred more.
        let taken = (0..5000).filter(|_| writer.write(&line)).count();
        assert_eq!(taken, 100);
        assert!(!writer.flush(Duration::ZERO));
        assert_eq!(writer.take_lost(), 0, "the queue is still full");

        let reading = std::thread::spawn(move || read_all(reader));
        assert!(writer.flush(PATIENCE));
        assert_eq!(writer.take_lost(), 4900);
        assert_eq!(writer.take_lost(), 0);
        assert!(writer.write("the last\n"));
        drop(writer);
        let read = reading.join().unwrap();
        assert_eq!(read.trim_start_matches('\n'), line.repeat(101) + "the last\n");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (writer, reader) = writer(100);
        drop(reader);
        assert!(writer.write("the write of this one fails\n"));
        assert!(writer.flush(PATIENCE));
        assert!((0..1000).all(|_| writer.write("this line is discarded\n")));
        assert_eq!(writer.take_lost(), 0);
    }

    #[test]
    fn a_non_blocking_descriptor_is_polled_and_loses_no_line() {
        let (reader, sink) = pipe().unwrap();
        rustix::io::ioctl_fionbio(&sink, true).unwrap();
        let writer = LineWriter::start(sink, 1 << 20).unwrap();
        let line = format!("{}\n", "x".repeat(9999));
        assert!((0..50).all(|_| writer.write(&line)));
        let reading = std::thread::spawn(move || read_all(reader));
        assert!(writer.flush(PATIENCE));
        drop(writer);
        assert_eq!(reading.join().unwrap(), line.repeat(50));
    }

    #[test]
    fn a_full_disk_makes_flush_return_at_once() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let writer = LineWriter::start(full, 100).unwrap();
        assert!(writer.write("there is no room for this\n"));
        assert!(!writer.flush(PATIENCE));
        while writer.write("and for this neither\n") {}
    }

    #[test]
    fn the_queue_takes_as_many_whole_lines_as_it_has_room_for() {
        let lines = b"one\ntwo\nthree\n";
        assert_eq!(divide(lines, 100), (&lines[..], &b""[..]));
        assert_eq!(divide(lines, lines.len()), (&lines[..], &b""[..]));
        assert_eq!(divide(lines, 9), (&b"one\ntwo\n"[..], &b"three\n"[..]));
        assert_eq!(divide(lines, 0), (&b""[..], &lines[..]));

        let (writer, _reader) = writer(9);
        assert!(!writer.write("one\ntwo\nthree\nfour\n"));
        assert!(writer.flush(PATIENCE));
        assert_eq!(writer.take_lost(), 2);
    }

    #[test]
    fn each_write_ends_at_the_end_of_a_line() {
        assert_eq!(whole_lines(b"one\ntwo\n"), b"one\ntwo\n");
        let many = "seven!\n".repeat(1000);
        assert_eq!(whole_lines(many.as_bytes()).len(), 4095);
        let long = format!("{}\nshort\n", "x".repeat(5000));
        assert_eq!(whole_lines(long.as_bytes()).len(), 5001);
    }
}
