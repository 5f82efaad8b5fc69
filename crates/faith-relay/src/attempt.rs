//! An attempt from the client's first sign of life to its record: that of a refusal, or of the session that came of it.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use faith_packet::classify::Flow;
use faith_sys::tcp::Connection;
use tokio::sync::oneshot;

use crate::began::Began;
use crate::cause::Cause;
use crate::clients::Place;
use crate::clock::FAR;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::pairing::Pairing;
use crate::record::{RefusalReason, RefusalRecord, SessionEnd, SessionRecord};
use crate::refusal::Refusal;
use crate::route::Open;
use crate::tasks::Peers;
use crate::terms::Terms;

/// A session or the attempt at one. Dropping it frees its place and its 4-tuple, counts its outcome and writes the record.
pub(crate) struct Attempt {
    ledger: Arc<Ledger>,
    worker: usize,
    live: Arc<Live>,
    pub(crate) server: Option<SocketAddr>,
    /// Whether a router chose the server, so that the access list has no say.
    pub(crate) routed: bool,
    pub(crate) began: Began,
    /// Its place among the open questions, where a route is still to be asked.
    pub(crate) question: Option<Open>,
    /// Its place among the sessions, where these are limited, from when its client has been accepted.
    pub(crate) place: Option<Place>,
    outcome: Outcome,
    /// How a route wants it treated, where it does.
    terms: Option<Box<Terms>>,
    /// Where it has its 4-tuple, if it does.
    pairing: Option<Arc<Pairing>>,
}

/// The outcome of an attempt that is dropped now.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// No session.
    Refused { reason: RefusalReason, cause: Option<Cause>, errno: Option<i32> },
    /// A session that ends, from when client and server are joined.
    Ended(SessionEnd),
    /// A connection of the route's, which has no record.
    HandedOver,
}

impl Attempt {
    pub(crate) fn new(
        ledger: &Arc<Ledger>,
        worker: usize,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            worker,
            live: Arc::new(Live::new(ledger.enter(), client, destination)),
            server: None,
            routed: false,
            began: Began::WithSyn,
            question: None,
            place: None,
            outcome: Outcome::Refused { reason: RefusalReason::Aborted, cause: None, errno: None },
            terms: None,
            pairing: None,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.live.id
    }

    /// The part that other threads may look at.
    pub(crate) fn shared(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    pub(crate) fn peers(&self) -> Peers {
        Peers { live: Arc::clone(&self.live), server: self.server, routed: self.routed, tag: self.tag() }
    }

    /// Has it treated as a route wants it.
    pub(crate) fn treat(&mut self, terms: Terms) {
        self.terms = (terms != Terms::default()).then(|| Box::new(terms));
    }

    pub(crate) fn terms(&self) -> Option<&Terms> {
        self.terms.as_deref()
    }

    fn tag(&self) -> Option<Arc<str>> {
        self.terms()?.tag.clone()
    }

    /// How long its session may pass no byte; `otherwise` is the relay's own choice.
    pub(crate) fn idle_timeout(&self, otherwise: Option<Duration>) -> Option<Duration> {
        match self.terms().and_then(|terms| terms.idle_timeout) {
            None => otherwise,
            Some(timeout) => (!timeout.is_zero()).then_some(timeout.min(FAR)),
        }
    }

    /// Tells whether a session that has passed so many bytes has passed more than it may.
    #[inline]
    pub(crate) fn is_past_limit(&self, bytes: u64) -> bool {
        self.terms().is_some_and(|terms| terms.max_bytes.is_some_and(|most| bytes > most))
    }

    fn flow(&self) -> Flow {
        Flow { client: self.live.client, destination: self.live.destination }
    }

    pub(crate) fn client(&self) -> &SocketAddrV6 {
        &self.live.client
    }

    pub(crate) fn destination(&self) -> &SocketAddrV6 {
        &self.live.destination
    }

    /// Waits for the client's connection, which [`Pairing::take`] finds the way to; `None` when the 4-tuple is taken.
    pub(crate) fn wait(&mut self, pairing: &Arc<Pairing>) -> Option<oneshot::Receiver<Connection>> {
        let accepted = pairing.wait(&self.flow(), self.id())?;
        self.pairing = Some(Arc::clone(pairing));
        Some(accepted)
    }

    /// Waits no more; `false` if the client's connection is on its way.
    pub(crate) fn withdraw(&self) -> bool {
        self.pairing.as_ref().is_some_and(|pairing| pairing.withdraw(&self.flow(), self.id()))
    }

    /// Takes the 4-tuple of a client that has been accepted.
    pub(crate) fn live(&mut self, pairing: &Arc<Pairing>) {
        pairing.live(&self.flow(), self.id());
        self.pairing = Some(Arc::clone(pairing));
    }

    /// Begins the session: the server is connected and the client accepted. It is [`SessionEnd::Aborted`] unless it
    /// [`ends`](Self::end) otherwise.
    pub(crate) fn join(&mut self) {
        self.outcome = Outcome::Ended(SessionEnd::Aborted);
        self.ledger.counters(self.worker).begun();
        self.ledger.tasks(self.worker).relays(self.id(), self.server, self.routed, self.tag());
    }

    /// Says how the session ends.
    pub(crate) fn end(&mut self, reason: SessionEnd) {
        self.outcome = Outcome::Ended(reason);
    }

    /// Ends it without a session.
    pub(crate) fn fail(mut self, refusal: &Refusal) {
        let Refusal { reason, cause, errno, source, .. } = *refusal;
        if let Some(error) = errno.map(io::Error::from_raw_os_error) {
            match source {
                Some(source) => self.ledger.shortages.cannot_use(source, &error),
                None if reason == RefusalReason::Exhausted => self.ledger.shortages.ran_out(&error),
                None => {}
            }
        }
        self.outcome = Outcome::Refused { reason, cause, errno };
    }

    /// Ends it because the connection is the route's from now on.
    pub(crate) fn hand_over(mut self) {
        self.outcome = Outcome::HandedOver;
    }

    /// Counts bytes that were handed to the server and to the client.
    #[inline]
    pub(crate) fn moved(&mut self, up: u64, down: u64) {
        self.live.moved(up, down);
        self.ledger.counters(self.worker).moved(up, down);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(pairing) = self.pairing.take() {
            pairing.ended(&self.flow(), self.id());
        }
        // A client that is told of this end, or reads of it, finds the place free.
        drop(self.place.take());
        let now = Instant::now();
        let Live { id, client, destination, started, .. } = *self.live;
        let duration = now.saturating_duration_since(started);
        // The wall clock may have been set since; its reading at the start is not worth 16 bytes a session.
        let started = SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH);
        let server = self.server;
        match self.outcome {
            Outcome::Ended(reason) => {
                let (bytes_up, bytes_down) = (self.live.bytes_up(), self.live.bytes_down());
                let record = SessionRecord {
                    id,
                    client,
                    destination,
                    server,
                    bytes_up,
                    bytes_down,
                    started,
                    duration,
                    reason,
                    tag: self.tag(),
                };
                self.ledger.ended(self.worker, record);
            }
            Outcome::Refused { reason, cause, errno } => {
                let record = RefusalRecord {
                    id,
                    client,
                    destination,
                    server,
                    started,
                    duration,
                    reason,
                    cause,
                    errno,
                    tag: self.tag(),
                };
                self.ledger.refused(self.worker, record, now);
            }
            Outcome::HandedOver => self.ledger.handed_over(self.worker, id),
        }
    }
}
