//! The queue of the log.
//!
//! Callers never wait: an entry enters the bounded queue, or it is lost and counted. The queue loses entries only at its
//! end: after the first one that has no room, it takes no other until the thread has taken all. So the line that tells
//! their number stands where they are missing.
//!
//! The thread takes the first entries after a rest at once. Then it lets entries gather before each turn, unless half of
//! the queue is full or a caller waits for the lines.

use std::time::{Duration, Instant, SystemTime};

use faith_relay::RefusalRecord;
use parking_lot::{Condvar, Mutex};

use crate::entry::Entry;
use crate::format::Form;
use crate::sums::{Network, Sums};

/// Time in which entries gather.
const GATHER: Duration = Duration::from_millis(50);

/// A bounded queue of entries, and the state of the thread that takes them.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// Notified when the thread has work.
    wanted: Condvar,
    /// Notified when the thread has written everything, or cannot write.
    rested: Condvar,
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
    /// The file of the log has to be opened again.
    reopens: bool,
    /// The reason why no line can be written now.
    trouble: Option<String>,
    /// True once the log was dropped.
    ended: bool,
}

/// The state of the thread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thread {
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

impl Queue {
    /// Holds entries of about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), wanted: Condvar::new(), rested: Condvar::new() }
    }

    pub(crate) fn set_form(&self, form: Form) {
        self.state.lock().form = form;
    }

    /// Adds an entry, unless there is no room. After the reader is gone, entries are discarded.
    pub(crate) fn push(&self, entry: Entry) {
        let weight = entry.weight();
        let mut state = self.state.lock();
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
            self.wanted.notify_one();
        }
    }

    /// Counts a refused attempt among the sums of its client's network.
    pub(crate) fn sum(&self, network: Network, refusal: &RefusalRecord) {
        let mut state = self.state.lock();
        let is_first = state.sums.due().is_none();
        state.sums.add(network, refusal);
        state.summed += 1;
        // A resting thread has to learn when the sums are due.
        if is_first && state.thread == Thread::Idle {
            self.wanted.notify_one();
        }
    }

    /// Adds the sums, before their time.
    pub(crate) fn tell_sums(&self) {
        self.state.lock().tell_sums();
        self.wanted.notify_one();
    }

    /// The number of entries that were lost so far.
    pub(crate) fn lost_in_all(&self) -> u64 {
        self.state.lock().lost_in_all
    }

    /// The number of refusals so far that only sums tell.
    pub(crate) fn summed(&self) -> u64 {
        self.state.lock().summed
    }

    /// Waits until all lines are written, at most `limit`. Returns true if they are; false at once while the kernel
    /// refuses writes.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock();
        loop {
            match state.thread {
                Thread::Gone => return true,
                Thread::Idle | Thread::Gathering if state.is_empty() => return true,
                Thread::Failing => return false,
                Thread::Idle | Thread::Gathering | Thread::Writing => {}
            }
            state.hurry = true;
            self.wanted.notify_one();
            if self.rested.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
    }

    /// Has the thread open the file of the log again.
    pub(crate) fn reopen(&self) {
        let mut state = self.state.lock();
        state.reopens = true;
        state.hurry = true;
        drop(state);
        self.wanted.notify_one();
    }

    /// Tells once whether the file of the log has to be opened again.
    pub(crate) fn take_reopen(&self) -> bool {
        std::mem::take(&mut self.state.lock().reopens)
    }

    /// Counts entries that were written and did not arrive.
    pub(crate) fn count_lost(&self, lost: u64) {
        self.state.lock().lost_in_all += lost;
    }

    /// Sets the reason why no line can be written now.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.state.lock().trouble = trouble;
    }

    /// The reason why no line can be written now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }

    /// Has the thread end when it has taken everything.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.wanted.notify_one();
    }

    /// Tells the state of the thread, which alone calls this.
    pub(crate) fn enter(&self, thread: Thread) {
        let mut state = self.state.lock();
        state.thread = thread;
        if thread == Thread::Gone {
            state.waiting = Vec::new();
        }
        drop(state);
        self.rested.notify_all();
    }

    /// Waits for entries and takes all of them; the last one tells the number of those that were lost. Returns the form of
    /// their lines; `None` if the log was dropped and no entry is left.
    pub(crate) fn take(&self, entries: &mut Vec<Entry>) -> Option<Form> {
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
                Some(due) if due <= Instant::now() => state.tell_sums(),
                Some(due) => drop(self.wanted.wait_until(&mut state, due)),
                None => self.wanted.wait(&mut state),
            }
        }
        if state.sums.due().is_some_and(|due| due <= Instant::now()) {
            state.tell_sums();
        }
        std::mem::swap(&mut state.waiting, entries);
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            entries.push(Entry::lost(lost, "its reader did not keep up"));
        }
        state.weight = 0;
        state.hurry = false;
        state.thread = Thread::Writing;
        Some(state.form)
    }

    #[cfg(test)]
    pub(crate) fn wait_for(&self, thread: Thread) {
        while self.state.lock().thread != thread {
            std::thread::yield_now();
        }
    }

    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.state.lock().lost
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0 && !self.reopens
    }

    fn tell_sums(&mut self) {
        let time = SystemTime::now();
        let (sums, interval) = self.sums.take().unwrap_or_default();
        self.waiting.extend(sums.into_iter().map(|sum| Entry::Sum { time, sum, interval }));
    }
}
