//! The transport session with a collector (RFC 7011 section 10.3): a UDP socket, and the messages on it.
//!
//! UDP tells nothing of messages that arrive, and little of those that do not. If the collector's host refuses a message, the
//! kernel reports that with a later call on the socket (`ECONNREFUSED`). The message sent last counts as lost then, and for a
//! minute each message begins with the templates, so that a collector which comes back can read the first that it gets.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use super::event::Event;
use super::message::Encoder;

/// Messages that leave at once. A pause follows, so that they do not overflow the receive buffer of the collector (RFC 7011
/// section 10.3.1 leaves the rate to the exporter).
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(1);

/// Time after a refusal in which each message begins with the templates.
const TROUBLE: Duration = Duration::from_mins(1);

/// Time after an error until the templates are tried again, if no event comes before.
const RETRY: Duration = Duration::from_secs(10);

/// A refusal by another host takes about this long to come.
const HEAR: Duration = Duration::from_secs(1);

/// A collector, and the form of the messages for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collector {
    /// Its address and UDP port.
    pub address: SocketAddr,
    /// The observation domain of the messages.
    pub domain: u32,
    /// The templates are sent again after this time.
    pub template_interval: Duration,
    /// Records of sessions have the dialled address and the server.
    pub destinations: bool,
}

/// Records since the last report.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Records that were sent. Those of a refused message are among them.
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// The last error for which records were lost.
    pub(crate) error: Option<io::Error>,
}

/// A transport session.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) collector: Collector,
    /// `None` before the first message, and after an error.
    socket: Option<UdpSocket>,
    encoder: Encoder,
    /// The time of the last templates; `None` if this session has sent none.
    announced: Option<Instant>,
    /// The time of the last error that ended a session.
    failed: Option<Instant>,
    /// The time of the last refusal.
    refused: Option<Instant>,
    /// Records of the message sent last, which a refusal is about.
    last: u32,
    /// The time at which a refusal of that message has come, if one comes.
    hears_at: Option<Instant>,
    tally: Tally,
}

impl Transport {
    pub(crate) fn new(collector: Collector) -> Self {
        Self {
            collector,
            socket: None,
            encoder: Encoder::new(collector.domain),
            announced: None,
            failed: None,
            refused: None,
            last: 0,
            hears_at: None,
            tally: Tally::default(),
        }
    }

    /// The time at which [`turn`](Self::turn) is due, without any event.
    pub(crate) fn due(&self) -> Instant {
        let templates = match (self.announced, self.failed) {
            (Some(announced), _) => announced + self.collector.template_interval,
            (None, Some(failed)) => failed + RETRY,
            (None, None) => Instant::now(),
        };
        self.hears_at.map_or(templates, |at| at.min(templates))
    }

    /// Sends the records of these events, and the templates if they are due. Returns the counts since the last turn.
    pub(crate) fn turn(&mut self, events: impl Iterator<Item = Event>) -> Tally {
        self.hear();
        let now = Instant::now();
        self.hears_at = self.hears_at.filter(|at| *at > now);
        let mut messages = 0;
        self.announce();
        for event in events {
            if self.encoder.add(&event, self.collector.destinations) {
                continue;
            }
            self.post();
            messages += 1;
            if messages % BURST == 0 {
                std::thread::sleep(PAUSE);
            }
            self.announce();
            // An empty message has room for any record beside the templates.
            self.encoder.add(&event, self.collector.destinations);
        }
        if !self.encoder.is_empty() {
            self.post();
            // On this host a refusal has come already.
            self.hear();
        }
        std::mem::take(&mut self.tally)
    }

    /// Begins a message with the templates, if they are due.
    fn announce(&mut self) {
        let now = Instant::now();
        let is_past = |at: Option<Instant>, time| at.is_none_or(|at| now.duration_since(at) >= time);
        if is_past(self.announced, self.collector.template_interval) || !is_past(self.refused, TROUBLE) {
            self.encoder.add_templates();
            self.announced = Some(now);
        }
    }

    /// Sends the present message.
    fn post(&mut self) {
        let result = self.transmit();
        let records = self.encoder.begin();
        match result {
            Ok(()) => {
                self.tally.sent += u64::from(records);
                self.last = records;
                self.hears_at = (records > 0).then(|| Instant::now() + HEAR);
            }
            Err(error) => {
                self.lose(records, error);
                // The next message begins another session, perhaps from another address of this host.
                let (refused, tally) = (self.refused, std::mem::take(&mut self.tally));
                let failed = Some(Instant::now());
                *self = Self { failed, refused, tally, ..Self::new(self.collector) };
            }
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        if self.socket.is_none() {
            self.socket = Some(open(self.collector.address)?);
        }
        let Some(socket) = &self.socket else { return Ok(()) };
        let octets = self.encoder.finish(SystemTime::now());
        match socket.send(octets) {
            Ok(_) => Ok(()),
            // The report is about an earlier message, and this one was not sent.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                let again = socket.send(octets).map(drop);
                self.refuse(error);
                again
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the kernel for a report about the last message.
    fn hear(&mut self) {
        if let Some(error) = self.socket.as_ref().and_then(|socket| socket.take_error().ok().flatten()) {
            self.refuse(error);
        }
    }

    fn refuse(&mut self, error: io::Error) {
        self.refused = Some(Instant::now());
        let last = std::mem::take(&mut self.last);
        self.lose(last, error);
    }

    fn lose(&mut self, records: u32, error: io::Error) {
        self.tally.lost += u64::from(records);
        self.tally.error = Some(error);
    }
}

fn open(collector: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match collector {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(collector)?;
    Ok(socket)
}
