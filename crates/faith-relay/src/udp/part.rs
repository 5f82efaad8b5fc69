//! One worker's part of a relay of datagrams: its clients, and the begin and end of their sessions.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{SocketAddrV4, SocketAddrV6};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::echo;
use faith_packet::icmpv6::Unreachable;
use faith_packet::protocol::Protocol;
use faith_packet::udp::{Datagram, Fault, HEADROOM};
use faith_stack::{Allowance, Datagrams, Outlet, SynAnswer};
use tokio::task::spawn_local;

use super::endpoint::{Endpoint, Socket};
use super::gathered::Gathered;
use super::mapping::Mapping;
use super::options::ECHO_TIMEOUT;
use super::route_back::RouteBack;
use super::session::{DNS, Session};
use super::state::{self, State};
use super::stats::Counters;
use super::waiting::Waiting;
use super::wire::Raw;
use crate::attempt::Attempt;
use crate::cause::Cause;
use crate::clients::Place;
use crate::clock::FAR;
use crate::engine::Engine;
use crate::record::RefusalReason;
use crate::refusal::Refusal;
use crate::source::Address;

/// Most destinations of one port of a client at a time: enough for peer-to-peer programs, which know thousands of peers, and
/// too few for a scan to take much memory.
const MOST_DESTINATIONS: usize = 4096;

/// Octets of data that one call can receive.
pub(crate) const RECEIVED: usize = 1 << 16;

/// One worker's part of the relay, for one protocol.
pub(crate) struct Part {
    pub(crate) protocol: Protocol,
    pub(crate) engine: Arc<Engine>,
    pub(crate) state: Arc<State>,
    pub(crate) outlet: Rc<dyn Outlet>,
    /// Room for a frame to a client.
    pub(crate) frame: RefCell<Box<[u8]>>,
    /// Room for the second frame that one call receives.
    pub(crate) spare: RefCell<Box<[u8]>>,
    /// The datagrams that leave with the next ones.
    pub(crate) gathered: RefCell<Gathered>,
    /// The ports of clients. A keyed hash, because clients choose them.
    endpoints: RefCell<HashMap<SocketAddrV6, Rc<Endpoint>>>,
    /// Draws numbers that a client cannot guess.
    random: RandomState,
    drawn: Cell<u64>,
    /// The errors that servers may still be told.
    pub(crate) errors: Allowance,
    /// The raw socket for echo requests, once one has needed it.
    pub(crate) raw: OnceCell<Option<Rc<Raw>>>,
    /// The frames that wait for the route.
    pub(crate) waiting: Waiting,
    pub(crate) this: Weak<Self>,
}

impl Part {
    pub(crate) fn new(
        protocol: Protocol,
        engine: &Arc<Engine>,
        state: &Arc<State>,
        outlet: Rc<dyn Outlet>,
    ) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            protocol,
            engine: Arc::clone(engine),
            state: Arc::clone(state),
            outlet,
            // Behind what is gathered there must be room for whatever comes.
            frame: RefCell::new(vec![0; HEADROOM + 2 * RECEIVED].into()),
            spare: RefCell::new(vec![0; HEADROOM + RECEIVED].into()),
            gathered: RefCell::default(),
            endpoints: RefCell::default(),
            random: RandomState::new(),
            drawn: Cell::new(0),
            errors: Allowance::default(),
            raw: OnceCell::new(),
            waiting: Waiting::default(),
            this: Weak::clone(this),
        })
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.state.counters(self.outlet.worker())
    }

    /// Draws a number at random.
    pub(crate) fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get().wrapping_add(1));
        self.random.hash_one(self.drawn.get())
    }

    /// The client's port and the session of a flow, if there is one.
    pub(crate) fn session(&self, flow: &Flow) -> Option<(Rc<Endpoint>, Rc<Session>)> {
        let endpoints = self.endpoints.borrow();
        let endpoint = endpoints.get(&flow.client)?;
        let session = Rc::clone(endpoint.sessions.borrow().get(&flow.destination)?);
        Some((Rc::clone(endpoint), session))
    }

    /// Begins the session of a flow, or refuses its client, whose datagram is in `frame`. `None` if it is refused, or if the
    /// route decides later.
    fn begin(&self, flow: &Flow, frame: &[u8], now: Instant) -> Option<(Rc<Endpoint>, Rc<Session>)> {
        if self.state.is_stopped() {
            self.refuse(self.attempt(flow), Refusal::CLOSED, &[frame]);
            return None;
        }
        if self.ask(flow, frame) {
            return None;
        }
        let mut attempt = self.attempt(flow);
        let admission = &self.engine.admission;
        let way = admission.admit_datagram(self.protocol, &mut attempt, |address| self.is_mapped(address));
        match way.and_then(|way| self.open(&mut attempt, way, now)) {
            Ok(opened) => {
                let peers = attempt.peers();
                let begun = self.establish(attempt, opened, now)?;
                let (endpoint, session) = (Rc::clone(&begun.endpoint), Rc::clone(&begun.session));
                self.engine.ledger.spawn(self.outlet.worker(), peers, true, begun.over());
                session.join();
                Some((endpoint, session))
            }
            Err(refusal) => {
                self.refuse(attempt, refusal, &[frame]);
                None
            }
        }
    }

    /// Begins the attempt at a session.
    pub(crate) fn attempt(&self, flow: &Flow) -> Attempt {
        let (ledger, worker) = (&self.engine.ledger, self.outlet.worker());
        Attempt::new(ledger, worker, self.protocol, flow.client, flow.destination)
    }

    /// Ends an attempt, and answers the frames of its client.
    pub(crate) fn refuse(&self, attempt: Attempt, refusal: Refusal, frames: &[&[u8]]) {
        for frame in frames {
            self.answer(&refusal, frame);
        }
        attempt.fail(refusal);
    }

    /// Tells whether an address and port of the router are those of a client.
    pub(crate) fn is_mapped(&self, address: SocketAddrV4) -> bool {
        self.protocol == Protocol::Udp && self.state.is_mapped(address)
    }

    /// Enters the session of an attempt that may go on.
    pub(crate) fn establish(&self, mut attempt: Attempt, opened: Opened, now: Instant) -> Option<Begun> {
        let Opened { endpoint, server, mapping } = opened;
        let timeout = match self.protocol {
            Protocol::Icmp => ECHO_TIMEOUT,
            Protocol::Tcp | Protocol::Udp => self.state.options().timeouts.of(server.port()),
        };
        // The route may set another timeout, or none.
        let timeout = attempt.idle_timeout(Some(timeout)).unwrap_or(FAR);
        attempt.leaves_from(mapping.local());
        if server.port() != DNS {
            mapping.wire.take_superframes();
        }
        let session = Rc::new(Session::new(attempt, server, mapping, timeout, now));
        endpoint.sessions.borrow_mut().insert(session.destination, Rc::clone(&session));
        endpoint.at(&session.mapping, |back| back.add(&session));
        Some(Begun { part: self.this.upgrade()?, endpoint, session })
    }

    /// Opens the way of a session's datagrams: its client's port, and a socket.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn open(
        &self,
        attempt: &mut Attempt,
        (server, address): (SocketAddrV4, Address),
        now: Instant,
    ) -> Result<Opened, Refusal> {
        self.state.take_session(now)?;
        let client = *attempt.client();
        let known = self.endpoints.borrow().get(&client).cloned();
        let endpoint = known.unwrap_or_else(|| Rc::new(Endpoint::new(client)));
        let destinations = endpoint.sessions.borrow().len();
        if destinations >= MOST_DESTINATIONS {
            return Err(Refusal::full(Cause::MaxDestinations));
        }
        if destinations > 0 {
            attempt.place = self.state.take_destination(client.ip())?;
        }
        let mapping = match endpoint.mapping(&address) {
            Some(mapping) => mapping,
            None => self.map(&endpoint, &address)?,
        };
        self.endpoints.borrow_mut().entry(client).or_insert_with(|| Rc::clone(&endpoint));
        Ok(Opened { endpoint, server, mapping })
    }

    /// Gives a client's port a socket.
    fn map(&self, endpoint: &Rc<Endpoint>, address: &Address) -> Result<Rc<Mapping>, Refusal> {
        let client = endpoint.client;
        let place =
            self.state.clients.enter(client.ip()).map_err(|full| Refusal::full(state::cause(full)))?;
        let crowded = place.as_ref().is_some_and(Place::is_crowded);
        let blocks = self.engine.admission.datagram_blocks(client.ip());
        let random = || self.random();
        let mapping = Rc::new(match self.protocol {
            Protocol::Icmp => Mapping::open_echo(&self.state, || self.raw(), address, crowded, random)?,
            Protocol::Tcp | Protocol::Udp => {
                Mapping::open(&self.state, address, client.port(), crowded, blocks.as_ref(), random)?
            }
        });
        // A part that is being dropped has no clients.
        let part = self.this.upgrade().ok_or(Refusal::CLOSED)?;
        let task = if let Some(identifier) = &mapping.identifier {
            identifier.raw.enter(identifier.number, client);
            None
        } else {
            let listening = part.listen(Rc::clone(endpoint), Rc::clone(&mapping));
            Some(spawn_local(listening).abort_handle())
        };
        let socket = Socket { mapping: Rc::clone(&mapping), back: RouteBack::default(), task, _place: place };
        endpoint.sockets.borrow_mut().push(socket);
        Ok(mapping)
    }

    /// The client's identifier that has an identifier of the raw socket, and its mapping.
    pub(crate) fn owner(&self, identifier: u16) -> Option<(Rc<Endpoint>, Rc<Mapping>)> {
        let client = self.raw.get()?.as_ref()?.client_of(identifier)?;
        let endpoint = Rc::clone(self.endpoints.borrow().get(&client)?);
        let has_it =
            |socket: &&Socket| socket.mapping.identifier.as_ref().is_some_and(|own| own.number == identifier);
        let mapping = Rc::clone(&endpoint.sockets.borrow().iter().find(has_it)?.mapping);
        Some((endpoint, mapping))
    }

    /// The raw socket of this worker, if there is one. Its task receives for as long as the part lives.
    fn raw(&self) -> Option<Rc<Raw>> {
        let open = || {
            let (worker, workers) = (self.outlet.worker(), self.state.workers);
            let raw = Raw::new(self.state.take_raw(worker)?, worker, workers).ok()?;
            spawn_local(Self::listen_raw(Weak::clone(&self.this), Rc::clone(&raw)));
            Some(raw)
        };
        self.raw.get_or_init(open).clone()
    }

    pub(crate) fn answer(&self, refusal: &Refusal, frame: &[u8]) {
        match refusal.answer {
            SynAnswer::Unreachable(code) => self.outlet.unreachable(code, frame),
            // There is no reset of datagrams. Echo requests have no port.
            SynAnswer::Reset
                if refusal.reason == RefusalReason::Refused && self.protocol == Protocol::Udp =>
            {
                self.outlet.unreachable(Unreachable::PortUnreachable, frame);
            }
            SynAnswer::Reset => self.outlet.unreachable(Unreachable::AddressUnreachable, frame),
            // A datagram's refusal is never the error of a router, which comes later.
            SynAnswer::Error { .. } | SynAnswer::Silence => {}
        }
    }

    /// Removes a session that ends, and its mapping if that has no other.
    fn end(&self, endpoint: &Rc<Endpoint>, session: &Rc<Session>) {
        let mut sessions = endpoint.sessions.borrow_mut();
        sessions.remove(&session.destination);
        let empty = endpoint.at(&session.mapping, |back| {
            back.remove(session, sessions.values());
            back.is_empty()
        });
        if empty != Some(true) {
            return;
        }
        let mut sockets = endpoint.sockets.borrow_mut();
        for socket in sockets.extract_if(.., |socket| Rc::ptr_eq(&socket.mapping, &session.mapping)) {
            if let Some(task) = socket.task {
                task.abort();
            }
            self.counters().dropped.add(socket.mapping.wire.new_drops());
        }
        if sockets.is_empty() {
            self.endpoints.borrow_mut().remove(&endpoint.client);
        }
    }
}

impl Datagrams for Part {
    fn receive(&self, frame: &[u8]) {
        let parsed = match self.protocol {
            Protocol::Icmp => echo::parse(frame).map(|(datagram, sequence)| (datagram, Some(sequence))),
            Protocol::Tcp | Protocol::Udp => Datagram::parse(frame).map(|datagram| (datagram, None)),
        };
        let datagram = match parsed {
            Ok(datagram) => datagram,
            Err(Fault::Checksum) => return self.outlet.dropped(DropReason::Checksum),
            Err(Fault::Malformed) => return self.outlet.dropped(DropReason::Malformed),
        };
        let flow = datagram.0.flow;
        // Nothing can be sent to port 0.
        let portless = flow.client.port() == 0 || flow.destination.port() == 0;
        if portless && self.protocol == Protocol::Udp {
            return self.outlet.dropped(DropReason::Malformed);
        }
        let now = Instant::now();
        let session = self.session(&flow).or_else(|| self.begin(&flow, frame, now));
        if let Some((endpoint, session)) = session {
            self.up(&endpoint, &session, &datagram, frame, now);
        }
    }

    fn flush(&self) {
        self.flush_up();
    }

    fn error(&self, flow: &Flow, packet: &[u8]) {
        self.learn_from(flow, packet);
    }
}

/// The way of a session's datagrams.
pub(crate) struct Opened {
    endpoint: Rc<Endpoint>,
    server: SocketAddrV4,
    mapping: Rc<Mapping>,
}

/// A session that has begun. Dropping it ends the session: it is over, or another thread has ended its task.
pub(crate) struct Begun {
    part: Rc<Part>,
    endpoint: Rc<Endpoint>,
    pub(crate) session: Rc<Session>,
}

impl Begun {
    /// Resolves when the session has ended by itself.
    pub(crate) async fn over(self) {
        let state = &self.part.state;
        self.session.over(|| state.is_pressed()).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.part.end(&self.endpoint, &self.session);
    }
}
