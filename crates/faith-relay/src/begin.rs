//! What becomes of an offered SYN and of an accepted connection.
//!
//! Connect-first: the SYN waits while the server is connected to. A refusal goes back as the network would
//! say it. Otherwise the attempt takes the 4-tuple, where the accepted connection will look for it, *then* the
//! SYN goes on to the kernel, and the attempt waits for that connection, or drops the server's socket
//! after [`PAIRING_TIMEOUT`], and at once when the client has given up. An accepted connection that no attempt waits for
//! (accept-first, a SYN past the bounds of holding, or one of a dead server's client that dialled again) is
//! connected now, and reset if that fails.
//!
//! Limits of sessions count clients that were accepted. A SYN is refused at once when they are used up; a client that
//! finds them used up when it is accepted is reset.
//!
//! A connection that the route wants to have takes the same way without a server: its SYN goes on, and what is
//! accepted is handed over. It is none of the relay's then: no session, no record, and no place among those that are
//! limited.

use std::future::Future;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Flow;
use faith_stack::{Captured, HeldSyn, Service, SynAnswer};
use faith_sys::source;
use faith_sys::tcp::Connection;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::admission::Way;
use crate::alarm::Alarm;
use crate::attempt::Attempt;
use crate::began::Began;
use crate::clock::Clock;
use crate::course::Course;
use crate::engine::Engine;
use crate::ledger::Stage;
use crate::leg::{self, Leg};
use crate::refusal::Refusal;
use crate::session::Session;
use crate::upstream::{Target, connect};

/// How long a connected server waits for the client's handshake to complete. A client whose SYN-ACK or ACK
/// was lost tries again after 1, 3, 7 and 15 s.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(30);

/// The far end that answers a client.
enum Far {
    /// A server, connected from this thread.
    Server(AsyncFd<Connection>),
    /// The route, which is given the client's connection.
    Route,
}

impl Engine {
    /// Decides on a SYN.
    pub(crate) fn offer(self: &Arc<Self>, worker: usize, syn: HeldSyn) {
        if self.ledger.is_at(Stage::Draining) {
            return syn.reset();
        }
        let (client, destination) = (syn.client(), syn.destination());
        if self.pairing.knows(&Flow { client, destination }) {
            // A retransmission, or a client that has forgotten its connection: the kernel knows what to say.
            drop(syn.release());
            return;
        }
        // Counted from here on, so that the next SYN of a burst goes by it.
        let question = match self.admission.questions() {
            Some(questions) => match questions.enter(Began::WithSyn, client.ip()) {
                None => return drop(syn.release()),
                question => question,
            },
            None => None,
        };
        let mut attempt = Attempt::new(&self.ledger, worker, client, destination);
        attempt.question = question;
        // A flood of denied SYNs is not worth a task each, so only who must wait for the answer does.
        let admitted = if attempt.question.is_some() {
            None
        } else {
            let class = || Some(syn.traffic_class());
            match self.admission.admit(&mut attempt, class) {
                Ok(target) => Some(target),
                Err(refusal) => return refuse(syn, attempt, refusal),
            }
        };
        let peers = attempt.peers();
        let attempt = Arc::clone(self).attempt(worker, syn, attempt, admitted);
        self.ledger.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Connects for a client whose SYN is held, and waits for it then; its session.
    async fn attempt(
        self: Arc<Self>,
        worker: usize,
        syn: HeldSyn,
        mut attempt: Attempt,
        admitted: Option<Target>,
    ) -> Option<Session> {
        let class = || Some(syn.traffic_class());
        let mut given_up = pin!(syn.given_up());
        let reached = tokio::select! {
            reached = self.reach(&mut attempt, admitted, class) => reached,
            () = &mut given_up => Err(Refusal::GIVEN_UP),
        };
        match reached {
            Ok((far, alarm)) => self.pair(worker, syn, far, alarm, attempt, given_up).await,
            Err(refusal) => {
                refuse(syn, attempt, refusal);
                None
            }
        }
    }

    /// Connects to where the attempt goes, if that is a server; `admitted` says where when that is known already. The
    /// alarm is for what comes of it.
    async fn reach(
        &self,
        attempt: &mut Attempt,
        admitted: Option<Target>,
        traffic_class: impl FnOnce() -> Option<u8>,
    ) -> Result<(Far, Alarm), Refusal> {
        let way = match admitted {
            Some(target) => Way::Server(target),
            None => self.admission.decide(attempt, traffic_class).await?,
        };
        match way {
            Way::Server(target) => connect(&target, self.options.connect_timeout)
                .await
                .map(|(upstream, alarm)| (Far::Server(upstream), alarm)),
            Way::HandOver => Ok((Far::Route, Alarm::new(Instant::now() + PAIRING_TIMEOUT))),
        }
    }

    /// Waits for the client of a connected server, or of the route; the client may still give up. Its session, if one comes
    /// of it.
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
                refuse(syn, attempt, Refusal::from_error(&error));
                return None;
            }
        };
        let accepted = attempt.wait(&self.pairing);
        // The place among the held SYNs is kept as long as the server waits.
        let _place = syn.release();
        let mut accepted = accepted?;
        let refusal = tokio::select! {
            // If accept and reset race, there is a session, which is reset.
            biased;
            client = &mut accepted => return self.meet(worker, client.ok()?, far, attempt, alarm),
            () = alarm.until(Instant::now() + PAIRING_TIMEOUT) => Refusal::NO_HANDSHAKE,
            () = given_up => Refusal::GIVEN_UP,
        };
        if attempt.withdraw() {
            attempt.fail(&refusal);
            return None;
        }
        self.meet(worker, accepted.await.ok()?, far, attempt, alarm)
    }

    /// Joins a client that has been accepted with its server, or hands it over; its session, if one comes of it.
    fn meet(
        &self,
        worker: usize,
        client: Connection,
        far: Far,
        mut attempt: Attempt,
        alarm: Alarm,
    ) -> Option<Session> {
        let server = match far {
            Far::Server(server) => server,
            Far::Route => {
                self.hand_over(worker, client, attempt);
                return None;
            }
        };
        let client = Leg::register(client).map_err(|error| Refusal::from_error(&error));
        match client.and_then(|client| self.admission.enter(&mut attempt).map(|()| client)) {
            Ok(client) => Some(self.session(client, server, attempt, alarm)),
            Err(refusal) => {
                attempt.fail(&refusal);
                None
            }
        }
    }

    /// Serves an accepted connection, whose socket is prepared as a leg.
    pub(crate) fn accept(self: &Arc<Self>, worker: usize, captured: Captured) {
        let Captured { socket, client, destination } = captured;
        self.ledger.counters(worker).accepted();
        let connection = Connection::new(socket);
        if self.ledger.is_at(Stage::Draining) {
            return;
        }
        match self.pairing.take(&Flow { client, destination }) {
            // An attempt that was ended in the meantime takes it no more, which resets it.
            Some(waits) => drop(waits.send(connection)),
            None => self.accept_first(worker, connection, client, destination),
        }
    }

    /// Connects for a client that has been told already that it is connected.
    fn accept_first(
        self: &Arc<Self>,
        worker: usize,
        connection: Connection,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) {
        let mut attempt = Attempt::new(&self.ledger, worker, client, destination);
        // The client has reset it in the meantime, and has said nothing that a server should hear.
        if leg::is_spent(&connection) {
            return attempt.fail(&Refusal::GIVEN_UP);
        }
        let leg = match Leg::register(connection) {
            Ok(leg) => leg,
            Err(error) => return attempt.fail(&Refusal::from_error(&error)),
        };
        attempt.began = Began::Accepted;
        let engine = Arc::clone(self);
        let peers = attempt.peers();
        let attempt = async move {
            let class = || source::saved_traffic_class(&leg);
            let reached = if engine.admission.questions().is_none() {
                engine.reach(&mut attempt, None, class).await
            } else {
                // A route may take its time, and is told when its client has gone.
                tokio::select! {
                    biased;
                    reached = engine.reach(&mut attempt, None, class) => reached,
                    () = leg.spent() => Err(Refusal::GIVEN_UP),
                }
            };
            match reached {
                Ok((Far::Server(server), alarm)) => {
                    if engine.options.connect_first {
                        attempt.live(&engine.pairing);
                    }
                    return Some(engine.session(leg, server, attempt, alarm));
                }
                Ok((Far::Route, _)) => engine.hand_over(worker, leg.into_connection(), attempt),
                Err(refusal) => attempt.fail(&refusal),
            }
            None
        };
        self.ledger.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Joins a client that has been accepted with its server.
    fn session(
        &self,
        client: Leg,
        server: AsyncFd<Connection>,
        mut attempt: Attempt,
        alarm: Alarm,
    ) -> Session {
        attempt.join();
        let idle_timeout = attempt.idle_timeout(self.options.idle_timeout);
        let clock = Clock::new(idle_timeout, self.options.keep_alive, Some(alarm));
        Session::new(client, Leg::new(server), attempt, clock)
    }

    /// Gives a client's connection to the route.
    fn hand_over(&self, worker: usize, connection: Connection, attempt: Attempt) {
        // The client has reset it in the meantime, and has said nothing before.
        if leg::is_spent(&connection) {
            return attempt.fail(&Refusal::GIVEN_UP);
        }
        let (client, destination) = (*attempt.client(), *attempt.destination());
        match connection.give_up() {
            Ok(socket) => {
                attempt.hand_over();
                self.admission.hand_over(worker, Captured { socket, client, destination });
            }
            Err(error) => attempt.fail(&Refusal::from_error(&error)),
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

/// Ends an attempt and tells its client.
fn refuse(syn: HeldSyn, attempt: Attempt, refusal: Refusal) {
    attempt.fail(&refusal);
    match refusal.answer {
        SynAnswer::Silence => syn.ignore(),
        SynAnswer::Reset => syn.reset(),
        SynAnswer::Unreachable(code) => syn.unreachable(code),
    }
}
