//! An attempt from the client's SYN or accept to its record: the record of a refusal, or of the session that follows.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use faith_packet::classify::Flow;
use faith_packet::protocol::Protocol;
use faith_sys::tcp::{self, Connection};
use tokio::sync::oneshot;

use crate::began::Began;
use crate::cause::Cause;
use crate::clients::Place;
use crate::clock::FAR;
use crate::denying_rule::DenyingRule;
use crate::detail::Sockets;
use crate::ledger::Ledger;
use crate::live::{Live, SessionState};
use crate::pairing::Pairing;
use crate::port_blocks::Lease;
use crate::record::{RefusalReason, RefusalRecord, SessionBegin, SessionEnd, SessionRecord};
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
    /// The address and port of the connection to the server, if the observer wants them. Boxed, because most observers do not.
    source: Option<Box<SocketAddr>>,
    /// True if a route chose the server. A new access list then does not end the session.
    pub(crate) routed: bool,
    pub(crate) began: Began,
    /// The place among the open questions, if the route is yet to be asked.
    pub(crate) question: Option<Open>,
    /// The place among the sessions, if these are limited. The attempt takes it when its client has been accepted. A session
    /// of datagrams has one among the destinations of its client's ports.
    pub(crate) place: Option<Place>,
    /// Its part of the client's block of ports, if clients have blocks.
    pub(crate) lease: Option<Lease>,
    outcome: Outcome,
    /// True when it has left the list of its worker's tasks.
    left: bool,
    /// The cause for which another thread has ended it, once it has left the list.
    ended_by: Option<Cause>,
    /// The route's own settings for this connection, if it gave any.
    terms: Option<Box<Terms>>,
    /// The table in which it has its 4-tuple, if it has one.
    pairing: Option<Arc<Pairing>>,
}

/// The outcome that is recorded when the attempt is dropped.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// No session.
    Refused { reason: RefusalReason, cause: Option<Cause>, errno: Option<i32> },
    /// The end of a session: client and server were joined.
    Ended(SessionEnd),
    /// A connection that the route took. It has no record.
    HandedOver,
    /// The record is written already.
    Recorded,
}

impl Attempt {
    pub(crate) fn new(
        ledger: &Arc<Ledger>,
        worker: usize,
        protocol: Protocol,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            worker,
            live: Arc::new(Live::new(ledger.enter(protocol), protocol, client, destination)),
            server: None,
            source: None,
            routed: false,
            began: Began::WithSyn,
            question: None,
            place: None,
            lease: None,
            outcome: Outcome::Refused { reason: RefusalReason::Aborted, cause: None, errno: None },
            left: false,
            ended_by: None,
            terms: None,
            pairing: None,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.live.id
    }

    /// The part that other threads may read.
    pub(crate) fn shared(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    pub(crate) fn peers(&self) -> Peers {
        Peers {
            live: Arc::clone(&self.live),
            server: self.server,
            routed: self.routed,
            tag: self.tag(),
            sockets: None,
        }
    }

    /// Sets the route's own settings for this connection.
    pub(crate) fn treat(&mut self, terms: Terms) {
        self.terms = (terms != Terms::default()).then(|| Box::new(terms));
    }

    pub(crate) fn terms(&self) -> Option<&Terms> {
        self.terms.as_deref()
    }

    fn tag(&self) -> Option<Arc<str>> {
        self.terms()?.tag.clone()
    }

    /// Longest time that the session may pass no byte: the route's, or `otherwise`, the relay's own.
    pub(crate) fn idle_timeout(&self, otherwise: Option<Duration>) -> Option<Duration> {
        match self.terms().and_then(|terms| terms.idle_timeout) {
            None => otherwise,
            Some(timeout) => (!timeout.is_zero()).then_some(timeout.min(FAR)),
        }
    }

    /// Tells whether a session that has passed this many bytes is past the route's limit.
    #[inline]
    pub(crate) fn is_past_limit(&self, bytes: u64) -> bool {
        self.terms().is_some_and(|terms| terms.max_bytes.is_some_and(|most| bytes > most))
    }

    /// Tells whether the bytes that were counted are past the route's limit.
    #[inline]
    pub(crate) fn has_passed_limit(&self) -> bool {
        self.terms.is_some() && self.is_past_limit(self.live.bytes_up() + self.live.bytes_down())
    }

    pub(crate) fn flow(&self) -> Flow {
        Flow { client: self.live.client, destination: self.live.destination }
    }

    pub(crate) fn client(&self) -> &SocketAddrV6 {
        &self.live.client
    }

    pub(crate) fn destination(&self) -> &SocketAddrV6 {
        &self.live.destination
    }

    /// Begins to wait for the client's connection, which [`Pairing::take`] directs here; `None` if the 4-tuple is taken.
    pub(crate) fn wait(&mut self, pairing: &Arc<Pairing>) -> Option<oneshot::Receiver<Connection>> {
        let accepted = pairing.wait(&self.flow(), self.id())?;
        self.pairing = Some(Arc::clone(pairing));
        Some(accepted)
    }

    /// Stops waiting; `false` if the client's connection is already on its way.
    pub(crate) fn withdraw(&self) -> bool {
        self.pairing.as_ref().is_some_and(|pairing| pairing.withdraw(&self.flow(), self.id()))
    }

    /// Takes the 4-tuple of an accepted client.
    pub(crate) fn live(&mut self, pairing: &Arc<Pairing>) {
        pairing.live(&self.flow(), self.id());
        self.pairing = Some(Arc::clone(pairing));
    }

    /// Counts the time that its server took to answer.
    pub(crate) fn connected(&self) {
        self.ledger.counters(self.worker).connected(self.live.started.elapsed());
    }

    /// Notes the source of the connection to the server, if the observer wants it.
    pub(crate) fn note_source(&mut self, server: impl AsFd) {
        if self.ledger.follows_sources() {
            self.source = tcp::local_address(server).ok().map(Box::new);
        }
    }

    /// Notes the source of its datagrams to the server, likewise, unless the routing table chooses the address of each.
    pub(crate) fn leaves_from(&mut self, source: SocketAddrV4) {
        if self.ledger.follows_sources() && !source.ip().is_unspecified() {
            self.source = Some(Box::new(source.into()));
        }
    }

    fn source(&self) -> Option<SocketAddr> {
        self.source.as_deref().copied()
    }

    /// Begins the session: the server is connected and the client accepted. The session ends as [`SessionEnd::Aborted`] unless
    /// [`end`](Self::end) sets another reason. It must [leave](Self::leave) the list before `sockets` are closed.
    pub(crate) fn join(&mut self, sockets: Option<Sockets>) {
        self.outcome = Outcome::Ended(SessionEnd::Aborted);
        self.live.find_name();
        self.ledger.began(self.worker, self.live.protocol, || SessionBegin {
            id: self.id(),
            protocol: self.live.protocol,
            client: *self.client(),
            destination: *self.destination(),
            server: self.server,
            source: self.source(),
            tag: self.tag(),
            name: self.live.name(),
        });
        let tasks = self.ledger.tasks(self.worker);
        tasks.relays(self.id(), self.server, self.routed, self.tag(), sockets);
    }

    /// Leaves the list of its worker's tasks, so that no thread looks at its sockets any more.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.left, true) {
            self.ended_by = self.ledger.tasks(self.worker).remove(self.id());
        }
    }

    /// Sets the reason for which the session ends.
    pub(crate) fn end(&mut self, reason: SessionEnd) {
        self.outcome = Outcome::Ended(reason);
    }

    /// Ends the attempt without a session.
    pub(crate) fn fail(mut self, refusal: Refusal) {
        let Refusal { reason, cause, rule, errno, source, .. } = refusal;
        if let Some(error) = errno.map(io::Error::from_raw_os_error) {
            match source {
                Some(source) => self.ledger.shortages.cannot_use(source, &error),
                None if reason == RefusalReason::Exhausted => self.ledger.shortages.ran_out(&error),
                None => {}
            }
        }
        self.outcome = Outcome::Refused { reason, cause, errno };
        // Not kept in the outcome, because a rule would cost each session 16 bytes.
        self.record(rule);
    }

    /// Ends the attempt because the route takes the connection.
    pub(crate) fn hand_over(mut self) {
        self.outcome = Outcome::HandedOver;
    }

    /// Notes the time from which the session is idle.
    pub(crate) fn idle_since(&self, moment: Instant) {
        self.live.idle_since(moment);
    }

    /// Notes the session's state for other threads, and the bytes that wait for the server and for the client.
    #[inline]
    pub(crate) fn note(&self, state: SessionState, waiting_up: usize, waiting_down: usize) {
        self.live.note(state, waiting_up, waiting_down);
    }

    /// Counts bytes that were passed to the server and to the client at this moment.
    #[inline]
    pub(crate) fn moved(&mut self, up: u64, down: u64, now: Instant) {
        self.live.moved(up, down);
        self.live.idle_since(now);
        self.ledger.counters(self.worker).moved(up, down);
    }

    /// Frees its place and its 4-tuple, counts its outcome and writes the record.
    fn record(&mut self, rule: Option<DenyingRule>) {
        self.leave();
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Recorded);
        if let Some(pairing) = self.pairing.take() {
            pairing.ended(&self.flow(), self.id());
        }
        // Frees the place first, so that a client which learns of this end finds it free.
        drop(self.place.take());
        drop(self.lease.take());
        let now = Instant::now();
        let Live { id, protocol, client, destination, started, .. } = *self.live;
        let duration = now.saturating_duration_since(started);
        // Derives the start, because storing the wall clock's reading would cost 16 bytes per session. Setting the clock
        // meanwhile shifts the result.
        let started = SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH);
        let server = self.server;
        match outcome {
            Outcome::Ended(reason) => {
                let (bytes_up, bytes_down) = (self.live.bytes_up(), self.live.bytes_down());
                let record = SessionRecord {
                    id,
                    protocol,
                    client,
                    destination,
                    server,
                    source: self.source(),
                    bytes_up,
                    bytes_down,
                    started,
                    duration,
                    reason,
                    cause: self.ended_by.filter(|_| reason == SessionEnd::Aborted),
                    tag: self.tag(),
                    name: self.live.name(),
                };
                self.ledger.ended(self.worker, record);
            }
            Outcome::Refused { reason, cause, errno } => {
                let cause = cause.or(self.ended_by.filter(|_| reason == RefusalReason::Aborted));
                let record = RefusalRecord {
                    id,
                    protocol,
                    client,
                    destination,
                    server,
                    started,
                    duration,
                    reason,
                    cause,
                    rule,
                    errno,
                    tag: self.tag(),
                };
                self.ledger.refused(self.worker, record, now);
            }
            Outcome::HandedOver => self.ledger.handed_over(self.worker),
            Outcome::Recorded => {}
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !matches!(self.outcome, Outcome::Recorded) {
            self.record(None);
        }
    }
}
