//! The exporter: a bounded queue of events, and the thread that sends their records to a collector by UDP.
//!
//! It has a thread of its own, so a reader of the lines that stalls does not hold up the records. Callers never wait: an event
//! enters the queue, or it is lost and counted.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::event::Event;
use super::transport::{Collector, Tally, Transport};

/// Events that may wait for the thread.
const WAITING: usize = 16_384;

/// Events at which the thread gathers no longer.
const HURRY: usize = WAITING / 2;

/// Time in which events gather.
const GATHER: Duration = Duration::from_millis(50);

/// Losses are told so often.
const TELL: Duration = Duration::from_secs(10);

/// Records that a collector did not get, as far as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The collector.
    pub collector: SocketAddr,
    /// The number of records.
    pub records: u64,
    /// The last error of the kernel; `None` if the queue was full.
    pub error: Option<String>,
}

/// An exporter. Dropping it ends its thread when all is sent.
pub struct Exporter {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when the thread has work.
    wanted: Condvar,
    /// Notified when the thread has sent everything.
    rested: Condvar,
    on: AtomicBool,
    tell: Box<dyn Fn(&Loss) + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Entry>,
    /// The last that was set.
    collector: Option<Collector>,
    /// Events that had no room since the thread last took all.
    overflowed: u64,
    counts: Counts,
    thread: Thread,
    /// A caller waits for the messages.
    hurry: bool,
    ended: bool,
}

/// The state of the thread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// There was no collector yet.
    #[default]
    None,
    /// Waits for events, or lets them gather.
    Resting,
    Sending,
}

/// Something that waits for the thread.
#[derive(Debug)]
enum Entry {
    Event(Event),
    /// The next events go to this collector, or to none.
    Collector(Option<Collector>),
}

/// Records since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Records that were sent.
    pub sent: u64,
    /// Records that had no room in the queue, that the kernel did not send, or that the collector's host refused. Those
    /// refused count as sent too.
    pub lost: u64,
}

/// The losses that are to be told.
#[derive(Debug, Default)]
struct Losses {
    records: u64,
    error: Option<io::Error>,
    told: Option<Instant>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("state", &self.shared.state).finish_non_exhaustive()
    }
}

impl Exporter {
    /// Makes an exporter without a collector, which reports losses to `tell`: the first at once, and then each 10 s.
    pub fn new(tell: impl Fn(&Loss) + Send + Sync + 'static) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            wanted: Condvar::new(),
            rested: Condvar::new(),
            on: AtomicBool::new(false),
            tell: Box::new(tell),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends to this collector from now on, or to none. The first collector starts the thread.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the thread cannot be created.
    pub fn set(&self, collector: Option<Collector>) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if collector == state.collector {
            return Ok(());
        }
        if state.thread == Thread::None {
            let exporting = Arc::clone(&self.shared);
            std::thread::Builder::new().name("faithd-ipfix".to_owned()).spawn(move || exporting.run())?;
            state.thread = Thread::Resting;
        }
        state.collector = collector;
        state.waiting.push(Entry::Collector(collector));
        self.shared.on.store(collector.is_some(), Relaxed);
        self.shared.wanted.notify_one();
        Ok(())
    }

    /// Tells whether there is a collector.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.on.load(Relaxed)
    }

    /// The records so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.shared.state.lock();
        let Counts { sent, lost } = state.counts;
        Counts { sent, lost: lost + state.overflowed }
    }

    /// Waits until all records are sent, at most `limit`. Returns true if they are.
    #[must_use]
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state.lock();
        while state.thread == Thread::Sending || !state.waiting.is_empty() {
            state.hurry = true;
            self.shared.wanted.notify_one();
            if self.shared.rested.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    /// Exports an event, unless there is no room or no collector.
    pub(crate) fn push(&self, event: impl FnOnce() -> Event) {
        if !self.is_on() {
            return;
        }
        let event = event();
        let mut state = self.shared.state.lock();
        if state.waiting.len() >= WAITING {
            state.overflowed += 1;
            return;
        }
        state.waiting.push(Entry::Event(event));
        // The thread rests, or gathers.
        if [1, HURRY].contains(&state.waiting.len()) {
            self.shared.wanted.notify_one();
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wanted.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut entries = Vec::new();
        let mut transport: Option<Transport> = None;
        let mut losses = Losses::default();
        loop {
            let due = [transport.as_ref().map(Transport::due), losses.due()].into_iter().flatten().min();
            let Some(overflowed) = self.take(&mut entries, due) else { break };
            losses.records += overflowed;
            let mut entries = entries.drain(..).peekable();
            loop {
                if let Some(transport) = &mut transport {
                    let events = std::iter::from_fn(|| {
                        let event = entries.next_if(|entry| matches!(entry, Entry::Event(_)));
                        event.and_then(Entry::event)
                    });
                    let tally = transport.turn(events);
                    self.count(&mut losses, tally);
                    self.tell(&mut losses, transport.collector.address);
                }
                match entries.next() {
                    Some(Entry::Collector(collector)) => transport = collector.map(Transport::new),
                    Some(Entry::Event(_)) => {}
                    None => break,
                }
            }
        }
        if let Some(transport) = transport {
            losses.told = None;
            self.tell(&mut losses, transport.collector.address);
        }
    }

    fn count(&self, losses: &mut Losses, tally: Tally) {
        let mut state = self.state.lock();
        state.counts.sent += tally.sent;
        state.counts.lost += tally.lost;
        losses.records += tally.lost;
        losses.error = tally.error.or(losses.error.take());
    }

    fn tell(&self, losses: &mut Losses, collector: SocketAddr) {
        if losses.records == 0 {
            return;
        }
        let now = Instant::now();
        if losses.told.is_none_or(|told| now.duration_since(told) >= TELL) {
            let records = std::mem::take(&mut losses.records);
            let error = losses.error.take().map(|error| error.to_string());
            (self.tell)(&Loss { collector, records, error });
            losses.told = Some(now);
        }
    }

    /// Waits until an entry comes or `due` has come. Takes all entries, and returns the number of events that had no room;
    /// `None` if the exporter was dropped and no entry is left.
    fn take(&self, entries: &mut Vec<Entry>, due: Option<Instant>) -> Option<u64> {
        let mut state = self.state.lock();
        state.thread = Thread::Resting;
        self.rested.notify_all();
        let is_due = || due.is_some_and(|due| due <= Instant::now());
        while state.waiting.is_empty() && !state.ended && !is_due() {
            match due {
                Some(due) => drop(self.wanted.wait_until(&mut state, due)),
                None => self.wanted.wait(&mut state),
            }
        }
        if state.waiting.is_empty() {
            if state.ended {
                return None;
            }
        } else {
            let end = Instant::now() + GATHER;
            let gathers = |state: &State| !state.hurry && !state.ended && state.waiting.len() < HURRY;
            while gathers(&state) && !self.wanted.wait_until(&mut state, end).timed_out() {}
        }
        std::mem::swap(&mut state.waiting, entries);
        state.hurry = false;
        state.thread = Thread::Sending;
        let overflowed = std::mem::take(&mut state.overflowed);
        state.counts.lost += overflowed;
        Some(overflowed)
    }
}

impl Entry {
    fn event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Collector(_) => None,
        }
    }
}

impl Losses {
    /// The time at which they are told.
    fn due(&self) -> Option<Instant> {
        (self.records > 0).then(|| self.told.map_or_else(Instant::now, |told| told + TELL))
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::ipfix::decoder::{Decoded, Decoder};
    use crate::samples;

    const PATIENCE: Duration = Duration::from_secs(20);

    type Told = Arc<Mutex<Vec<Loss>>>;

    fn exporter() -> (Exporter, Told) {
        let told = Told::default();
        let telling = Arc::clone(&told);
        (Exporter::new(move |loss| telling.lock().push(loss.clone())), told)
    }

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn collector(address: SocketAddr) -> Collector {
        let template_interval = Duration::from_mins(10);
        Collector { address, domain: 7, template_interval, destinations: true }
    }

    fn session() -> Event {
        Event::end(&samples::session())
    }

    fn receive(socket: &UdpSocket, decoder: &mut Decoder) -> Decoded {
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).unwrap();
        decoder.decode(&buffer[..length])
    }

    #[test]
    fn a_collector_gets_the_templates_at_once_and_then_every_record() {
        const COUNT: usize = 1000;
        let (exporter, told) = exporter();
        let socket = socket();
        let mut decoder = Decoder::default();
        exporter.push(session);
        exporter.set(Some(collector(socket.local_addr().unwrap()))).unwrap();
        let first = receive(&socket, &mut decoder);
        assert_eq!((first.templates, first.records.len(), first.domain), (8, 0, 7));

        (0..COUNT).for_each(|_| exporter.push(session));
        let mut records = 0;
        while records < COUNT {
            let message = receive(&socket, &mut decoder);
            assert_eq!((message.sequence as usize, message.templates), (records, 0));
            records += message.records.len();
        }
        assert!(exporter.flush(PATIENCE));
        assert_eq!(exporter.counts(), Counts { sent: COUNT as u64, lost: 0 });
        assert!(told.lock().is_empty());
    }

    #[test]
    fn the_templates_are_sent_again_after_their_interval_without_any_record() {
        let (exporter, _) = exporter();
        let socket = socket();
        let template_interval = Duration::from_millis(20);
        let address = socket.local_addr().unwrap();
        exporter.set(Some(Collector { template_interval, ..collector(address) })).unwrap();
        let mut decoder = Decoder::default();
        for _ in 0..5 {
            assert_eq!(receive(&socket, &mut decoder).templates, 8);
        }
    }

    #[test]
    fn a_collector_that_refuses_costs_counted_records_and_gets_the_templates_when_it_is_back() {
        let (exporter, told) = exporter();
        let gone = socket();
        let address = gone.local_addr().unwrap();
        drop(gone);
        exporter.set(Some(collector(address))).unwrap();
        exporter.push(session);
        assert!(exporter.flush(PATIENCE));
        assert_eq!(exporter.counts(), Counts { sent: 1, lost: 1 });
        let [loss] = told.lock().clone().try_into().unwrap();
        assert_eq!((loss.collector, loss.records), (address, 1));
        assert!(loss.error.unwrap().contains("refused"));

        let back = UdpSocket::bind(address).unwrap();
        back.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut decoder = Decoder::default();
        for number in 1..4 {
            exporter.push(session);
            let message = receive(&back, &mut decoder);
            assert_eq!((message.templates, message.sequence, message.records.len()), (8, number, 1));
        }
        assert!(exporter.flush(PATIENCE));
        assert_eq!(exporter.counts(), Counts { sent: 4, lost: 1 });
    }

    #[test]
    fn a_collector_to_which_the_kernel_does_not_send_costs_counted_records() {
        let (exporter, told) = exporter();
        // EACCES, because the socket may not send to a broadcast address.
        exporter.set(Some(collector("255.255.255.255:4739".parse().unwrap()))).unwrap();
        (0..3).for_each(|_| exporter.push(session));
        assert!(exporter.flush(PATIENCE));
        assert_eq!(exporter.counts(), Counts { sent: 0, lost: 3 });
        drop(exporter);
        let told: u64 = told.lock().iter().map(|loss| loss.records).sum();
        assert_eq!(told, 3);
    }

    #[test]
    fn another_collector_gets_what_comes_after_the_change() {
        let (exporter, _) = exporter();
        let (one, other) = (socket(), socket());
        let (mut decoder, mut decoder_of_other) = Default::default();
        exporter.set(Some(collector(one.local_addr().unwrap()))).unwrap();
        receive(&one, &mut decoder);
        exporter.push(session);
        exporter.set(Some(collector(other.local_addr().unwrap()))).unwrap();
        exporter.push(session);
        assert_eq!(receive(&one, &mut decoder).records.len(), 1);
        assert_eq!(receive(&other, &mut decoder_of_other).templates, 8);

        exporter.set(None).unwrap();
        assert!(!exporter.is_on());
        exporter.push(session);
        assert!(exporter.flush(PATIENCE));
        assert_eq!(exporter.counts().lost, 0);
    }

    #[test]
    fn a_dropped_exporter_sends_what_waits() {
        let (exporter, _) = exporter();
        let socket = socket();
        let mut decoder = Decoder::default();
        exporter.set(Some(collector(socket.local_addr().unwrap()))).unwrap();
        receive(&socket, &mut decoder);
        exporter.push(session);
        drop(exporter);
        assert_eq!(receive(&socket, &mut decoder).records.len(), 1);
    }
}
