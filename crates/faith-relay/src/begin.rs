//! Serves offered SYNs and accepted connections.
//!
//! Connect-first: the pump holds the SYN while the relay connects to the server. The client gets a refusal as the network
//! would have sent it: an error of ICMP comes from the router that sent it. A SYN with few hops left belongs to a client that
//! looks for the routers on the way, so the SYN to the server has no more. When the server is connected, the attempt takes the 4-tuple, by which the accepted connection will
//! find it. *Then* the SYN goes on to the kernel, and the attempt waits for that connection. It drops the server's socket
//! after [`PAIRING_TIMEOUT`], or at once when the client has given up.
//!
//! For some accepted connections no attempt waits: with accept-first, after a SYN beyond the bounds of holding, when the
//! client is to get its first block of ports, and when a client dials again on the 4-tuple that its last session still has.
//! The relay connects for them now, and resets the client if that fails.
//!
//! Session limits count accepted clients. When they are used up, the relay refuses a SYN at once, and resets a client that
//! is accepted.
//!
//! A connection that the program takes for itself, by its route or as a local service, goes the same way without a server:
//! its SYN goes on, and the relay hands the accepted connection over. The relay then neither counts it as a session, nor
//! records it, nor limits it. A program that stands between client and server gets its ends when the session begins
//! (`between`).

use std::future::Future;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Flow;
use faith_packet::protocol::Protocol;
use faith_stack::{Captured, HeldSyn, Service, SynAnswer};
use faith_sys::info::SocketNumber;
use faith_sys::tcp::Connection;
use faith_sys::{reactor, source};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::admission::Way;
use crate::alarm::Alarm;
use crate::attempt::Attempt;
use crate::began::Began;
use crate::between::Between;
use crate::clock::Clock;
use crate::course::Course;
use crate::detail::Sockets;
use crate::engine::Engine;
use crate::ledger::Stage;
use crate::leg::{self, Leg};
use crate::offender;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::upstream::{Opened, connect};

/// Longest time a connected server waits for the client's handshake to complete. A client whose SYN-ACK or ACK was lost
/// tries again after 1, 3, 7 and 15 s.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(30);

/// The far end of a client's connection.
enum Far {
    /// A server, connected from this thread.
    Server(AsyncFd<Connection>),
    /// A server with the program before it.
    Between(AsyncFd<Connection>, Between),
    /// The taker, which gets the client's connection.
    Taker,
}

impl Engine {
    /// Decides on a SYN.
    pub(crate) fn offer(self: &Arc<Self>, worker: usize, syn: HeldSyn) {
        if self.ledger.is_at(Stage::Draining) {
            return syn.reset();
        }
        let (client, destination) = (syn.client(), syn.destination());
        if self.pairing.knows(&Flow { client, destination }) {
            // A retransmission, or a client that has forgotten its connection. The kernel answers both.
            drop(syn.release());
            return;
        }
        if self.admission.awaits_handshake(client.ip(), destination) {
            drop(syn.release());
            return;
        }
        // Counts the question now, so that the next SYN of a burst sees it.
        let question = match self.admission.questions(destination.port()) {
            Some(questions) => match questions.enter(Began::WithSyn, client.ip()) {
                None => return drop(syn.release()),
                question => question,
            },
            None => None,
        };
        let mut attempt = Attempt::new(&self.ledger, worker, Protocol::Tcp, client, destination);
        attempt.question = question;
        // Spawns no task for a SYN that is denied at once: a flood of these must stay cheap.
        let admitted = if attempt.question.is_some() {
            None
        } else {
            let class = || Some(syn.traffic_class());
            match self.admission.admit(&mut attempt, class) {
                Ok(way) => Some(way),
                Err(refusal) => return self.refuse(syn, attempt, refusal),
            }
        };
        let peers = attempt.peers();
        let attempt = Arc::clone(self).attempt(worker, syn, attempt, admitted);
        self.ledger.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Connects for a client whose SYN is held, then waits for the client. Returns its session, if there is one.
    async fn attempt(
        self: Arc<Self>,
        worker: usize,
        syn: HeldSyn,
        mut attempt: Attempt,
        admitted: Option<Way>,
    ) -> Option<Session> {
        let class = || Some(syn.traffic_class());
        let mut given_up = pin!(syn.given_up());
        let reached = tokio::select! {
            reached = self.reach(&mut attempt, admitted, class, syn.probed_hops()) => reached,
            () = &mut given_up => Err(Refusal::GIVEN_UP),
        };
        match reached {
            Ok((far, alarm)) => self.pair(worker, syn, far, alarm, attempt, given_up).await,
            Err(refusal) => {
                self.refuse(syn, attempt, refusal);
                None
            }
        }
    }

    /// Connects to the attempt's server, or leaves the client to the taker. `admitted` is the way if it is known already.
    /// The returned alarm times the next step.
    async fn reach(
        &self,
        attempt: &mut Attempt,
        admitted: Option<Way>,
        traffic_class: impl FnOnce() -> Option<u8>,
        probed_hops: Option<u8>,
    ) -> Result<(Far, Alarm), Refusal> {
        let way = match admitted {
            Some(way) => way,
            None => self.admission.decide(attempt, traffic_class).await?,
        };
        match way {
            Way::Server(mut target) => {
                target.probed_hops = probed_hops;
                let timeout = self.options().connect_timeout;
                let Opened { connection, alarm, lease } = connect(&target, timeout).await?;
                attempt.lease = lease;
                attempt.connected();
                if attempt.terms().is_none_or(|terms| !terms.between) {
                    return Ok((Far::Server(connection), alarm));
                }
                let between = async {
                    let (inner, between) = Between::new(connection).await?;
                    Ok((reactor::register(inner)?, between))
                };
                let (inner, between) =
                    between.await.map_err(|error: io::Error| Refusal::from_error(&error))?;
                Ok((Far::Between(inner, between), alarm))
            }
            Way::HandOver => Ok((Far::Taker, Alarm::new(Instant::now() + PAIRING_TIMEOUT))),
        }
    }

    /// Waits for the client of a connected server or of the taker, which may still give up. Returns the session, if there is
    /// one.
    async fn pair(
        &self,
        worker: usize,
        syn: HeldSyn,
        far: Far,
        mut alarm: Alarm,
        mut attempt: Attempt,
        given_up: impl Future<Output = ()>,
    ) -> Option<Session> {
        let _spare = match self.spares.keep() {
            Ok(spare) => spare,
            Err(error) => {
                self.refuse(syn, attempt, Refusal::from_error(&error));
                return None;
            }
        };
        let accepted = attempt.wait(&self.pairing);
        // Keeps the place among the held SYNs while the server waits.
        let _place = syn.release();
        let mut accepted = accepted?;
        let refusal = tokio::select! {
            // If accept and reset race, a session begins and is reset.
            biased;
            client = &mut accepted => return self.meet(worker, client.ok()?, far, attempt, alarm),
            () = alarm.until(Instant::now() + PAIRING_TIMEOUT) => Refusal::NO_HANDSHAKE,
            () = given_up => Refusal::GIVEN_UP,
        };
        if attempt.withdraw() {
            attempt.fail(refusal);
            return None;
        }
        self.meet(worker, accepted.await.ok()?, far, attempt, alarm)
    }

    /// Joins an accepted client with its server, or hands the client over. Returns the session, if there is one.
    fn meet(
        &self,
        worker: usize,
        client: Connection,
        far: Far,
        mut attempt: Attempt,
        alarm: Alarm,
    ) -> Option<Session> {
        let (server, between) = match far {
            Far::Server(server) => (server, None),
            Far::Between(inner, between) => (inner, Some(between)),
            Far::Taker => {
                self.hand_over(worker, client, attempt);
                return None;
            }
        };
        let client = Leg::register(client).map_err(|error| Refusal::from_error(&error));
        match client.and_then(|client| self.admission.enter(&mut attempt).map(|()| client)) {
            Ok(client) => self.session(worker, client, server, between, attempt, alarm),
            Err(refusal) => {
                attempt.fail(refusal);
                None
            }
        }
    }

    /// Serves an accepted connection. Its socket must be prepared as a leg.
    pub(crate) fn accept(self: &Arc<Self>, worker: usize, captured: Captured) {
        let Captured { socket, client, destination } = captured;
        self.ledger.counters(worker).accepted();
        let connection = Connection::new(socket);
        if self.ledger.is_at(Stage::Draining) {
            return;
        }
        match self.pairing.take(&Flow { client, destination }) {
            // If the attempt has ended meanwhile, the send fails and drops the connection, which resets it.
            Some(waits) => drop(waits.send(connection)),
            None => self.accept_first(worker, connection, client, destination),
        }
    }

    /// Connects for a client whose own handshake is complete.
    fn accept_first(
        self: &Arc<Self>,
        worker: usize,
        connection: Connection,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) {
        let mut attempt = Attempt::new(&self.ledger, worker, Protocol::Tcp, client, destination);
        // The client has reset the connection meanwhile, and left no bytes for a server.
        if leg::is_spent(&connection) {
            return attempt.fail(Refusal::GIVEN_UP);
        }
        let leg = match Leg::register(connection) {
            Ok(leg) => leg,
            Err(error) => return attempt.fail(Refusal::from_error(&error)),
        };
        attempt.began = Began::Accepted;
        let engine = Arc::clone(self);
        let peers = attempt.peers();
        let attempt = async move {
            let class = || source::saved_traffic_class(&leg);
            let reached = if engine.admission.questions(destination.port()).is_none() {
                engine.reach(&mut attempt, None, class, None).await
            } else {
                // A route may take its time, so the relay tells it when the client is gone.
                tokio::select! {
                    biased;
                    reached = engine.reach(&mut attempt, None, class, None) => reached,
                    () = leg.spent() => Err(Refusal::GIVEN_UP),
                }
            };
            let (server, between, alarm) = match reached {
                Ok((Far::Server(server), alarm)) => (server, None, alarm),
                Ok((Far::Between(inner, between), alarm)) => (inner, Some(between), alarm),
                Ok((Far::Taker, _)) => {
                    engine.hand_over(worker, leg.into_connection(), attempt);
                    return None;
                }
                Err(refusal) => {
                    attempt.fail(refusal);
                    return None;
                }
            };
            if engine.options().connect_first {
                attempt.live(&engine.pairing);
            }
            engine.session(worker, leg, server, between, attempt, alarm)
        };
        self.ledger.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Joins an accepted client with its connected server, or with the program `between` them. Returns the session, if there is
    /// one.
    fn session(
        &self,
        worker: usize,
        client: Leg,
        server: AsyncFd<Connection>,
        between: Option<Between>,
        mut attempt: Attempt,
        alarm: Alarm,
    ) -> Option<Session> {
        match &between {
            Some(between) => attempt.note_source(between.server()),
            None => attempt.note_source(&server),
        }
        if let Some(between) = between {
            match between.give_up(*attempt.client(), *attempt.destination()) {
                Ok((client, server)) => self.admission.stand_between(worker, client, server),
                Err(error) => {
                    attempt.fail(Refusal::from_error(&error));
                    return None;
                }
            }
        }
        let sockets = Sockets { client: SocketNumber::of(&client), server: SocketNumber::of(&server) };
        attempt.join(Some(sockets));
        let options = self.options();
        let idle_timeout = attempt.idle_timeout(options.idle_timeout);
        let clock = Clock::new(idle_timeout, options.keep_alive, Some(alarm));
        Some(Session::new(client, Leg::new(server), attempt, clock))
    }

    /// Ends an attempt and answers its client.
    fn refuse(&self, syn: HeldSyn, attempt: Attempt, refusal: Refusal) {
        let answer = self.answer(&attempt, &refusal);
        attempt.fail(refusal);
        match answer {
            SynAnswer::Silence => syn.ignore(),
            SynAnswer::Reset => syn.reset(),
            SynAnswer::Unreachable(code) => syn.unreachable(code),
            SynAnswer::Error { error, from } => syn.error(error, from),
        }
    }

    /// The answer to a client. The error of a router comes from the address that means the router.
    fn answer(&self, attempt: &Attempt, refusal: &Refusal) -> SynAnswer {
        let reported = || {
            let ((error, offender), Some(SocketAddr::V4(server))) = (refusal.report?, attempt.server) else {
                return None;
            };
            let from = offender::shown(&self.admission, &attempt.flow(), *server.ip(), offender)?;
            Some(SynAnswer::Error { error, from })
        };
        reported().unwrap_or(refusal.answer)
    }

    /// Gives a client's connection to the taker.
    fn hand_over(&self, worker: usize, connection: Connection, attempt: Attempt) {
        // The client has reset the connection meanwhile, and left no bytes.
        if leg::is_spent(&connection) {
            return attempt.fail(Refusal::GIVEN_UP);
        }
        let (client, destination) = (*attempt.client(), *attempt.destination());
        match connection.give_up() {
            Ok(socket) => {
                attempt.hand_over();
                self.admission.hand_over(worker, Captured { socket, client, destination });
            }
            Err(error) => attempt.fail(Refusal::from_error(&error)),
        }
    }
}

impl Service for Engine {
    fn offered(self: Arc<Self>, worker: usize, syn: HeldSyn) {
        self.offer(worker, syn);
    }

    fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        self.admission.waits(client, held)
    }

    fn accepted(self: Arc<Self>, worker: usize, connection: Captured) {
        self.accept(worker, connection);
    }

    fn closing(&self) {
        self.admission.closing();
    }

    fn exhausted(&self, error: &io::Error) -> bool {
        self.ledger.shortages.ran_out(error);
        self.spares.spend()
    }
}
