//! What becomes of an offered SYN and of an accepted connection.
//!
//! Connect-first: the SYN waits while the server is connected to. A refusal goes back as the network would
//! say it. Otherwise the server's socket is put where the accepted connection will look for it, *then* the
//! SYN goes on to the kernel, and this task stays with both until they have met, or drops the server's socket
//! after [`PAIRING_TIMEOUT`], and at once when the client has given up. An accepted connection for which nothing
//! waits (accept-first, a SYN past the bounds of holding, or one of a dead server's client that dialled again) is
//! connected now, and reset if that fails.
//!
//! Limits of sessions count clients that were accepted. A SYN is refused at once when they are used up; a client that
//! finds them used up when it is accepted is reset.
//!
//! A connection that whoever routes wants to have takes the same way without a server: its SYN goes on, and what is
//! accepted is given away.

use std::future::Future;
use std::net::SocketAddrV6;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use faith_stack::Captured;
use faith_sys::tcp::Connection;
use faith_sys::{reactor, source};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::Way;
use crate::alarm::Alarm;
use crate::attempt::Attempt;
use crate::began::Began;
use crate::clock::Clock;
use crate::course::Course;
use crate::engine::{Engine, Stage};
use crate::held::Held;
use crate::leg::Leg;
use crate::pairing::{Far, Met, Pairing, Tuple, Waiting};
use crate::session::Session;
use crate::upstream::{Answer, Refusal, Target, connect};

/// How long a connected server waits for the client's handshake to complete. A client whose SYN-ACK or ACK
/// was lost tries again after 1, 3, 7 and 15 s.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// Decides on a SYN.
    pub(crate) fn offer<H: Held>(self: &Arc<Self>, worker: usize, syn: H) {
        if self.is_at(Stage::Draining) {
            return syn.reset();
        }
        let (client, destination) = (syn.client(), syn.destination());
        if self.pairing.knows(&Tuple::new(&client, &destination)) {
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
        let mut attempt = Attempt::new(self, worker, client, destination);
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
        self.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Connects for a client whose SYN is held, and waits for it then; its session.
    async fn attempt<H: Held>(
        self: Arc<Self>,
        worker: usize,
        syn: H,
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

    /// Lets a connected server, or whoever routes, wait for the client, who may still give up. Its session, if that is
    /// this worker's.
    async fn pair<H: Held>(
        &self,
        worker: usize,
        syn: H,
        far: Far,
        mut alarm: Alarm,
        attempt: Attempt,
        given_up: impl Future<Output = ()>,
    ) -> Option<Session> {
        let _spare = match self.spares.keep() {
            Ok(spare) => spare,
            Err(error) => {
                refuse(syn, attempt, Refusal::from_error(&error));
                return None;
            }
        };
        let (id, tuple) = (attempt.id(), attempt.tuple());
        let (joined, met) = oneshot::channel();
        let waiting = Box::new(Waiting { far, worker, attempt, joined });
        let taken = self.pairing.wait(tuple, waiting);
        let mut withdrawal = Withdrawal { pairing: &self.pairing, tuple, id, is_needed: true };
        // The place among the held SYNs is kept as long as the server waits.
        let _place = syn.release();
        taken.ok()?;
        tokio::select! {
            // Who has been accepted, and gives up in the same moment, has a session that is reset.
            biased;
            met = met => {
                withdrawal.is_needed = false;
                let Met { client, server, attempt } = met.ok()?;
                Some(self.session(client, server, attempt, Some(alarm)))
            }
            () = alarm.until(Instant::now() + PAIRING_TIMEOUT) => {
                if let Some(waiting) = self.pairing.withdraw(&tuple, id) {
                    waiting.attempt.fail(&Refusal::NO_HANDSHAKE);
                }
                None
            }
            () = given_up => {
                if let Some(waiting) = self.pairing.withdraw(&tuple, id) {
                    waiting.attempt.fail(&Refusal::GIVEN_UP);
                }
                None
            }
        }
    }

    /// Serves an accepted connection, whose socket is prepared as a leg.
    pub(crate) fn accept(self: &Arc<Self>, worker: usize, captured: Captured) {
        let Captured { socket, client, destination } = captured;
        self.counters(worker).accepted();
        let connection = Connection::new(socket);
        if self.is_at(Stage::Draining) {
            return;
        }
        let leg = match leg_of(connection) {
            Ok(leg) => leg,
            Err(refusal) => {
                return Attempt::new(self, worker, client, destination).fail(&refusal);
            }
        };
        match self.pairing.take(&Tuple::new(&client, &destination)) {
            Some(waiting) => self.join(worker, leg, *waiting),
            // The client has reset it in the meantime, and has said nothing that a server should hear.
            None if leg.is_spent() => {
                Attempt::new(self, worker, client, destination).fail(&Refusal::GIVEN_UP);
            }
            None => self.accept_first(worker, leg, client, destination),
        }
    }

    /// Begins the session of a client whose server is connected, or gives the client to whoever waits for it.
    fn join(self: &Arc<Self>, worker: usize, client: Leg, waiting: Waiting) {
        let Waiting { far, worker: owner, mut attempt, joined } = waiting;
        if matches!(far, Far::Server(_))
            && let Err(refusal) = self.admission.enter(&mut attempt)
        {
            attempt.move_to(worker);
            return attempt.fail(&refusal);
        }
        match far {
            Far::Server(upstream) if owner == worker => {
                self.joined(worker, &mut attempt);
                // The task that waited goes on as the session; if it has been ended meanwhile, so is the session.
                drop(joined.send(Met { client, server: Leg::new(upstream, false), attempt }));
            }
            Far::Server(upstream) => {
                attempt.move_to(worker);
                match leg_of(upstream.into_inner()) {
                    Ok(server) => {
                        let peers = attempt.peers();
                        self.joined(worker, &mut attempt);
                        let session = self.session(client, server, attempt, None);
                        self.spawn(worker, peers, true, session);
                    }
                    Err(refusal) => attempt.fail(&refusal),
                }
            }
            Far::Route => {
                attempt.move_to(worker);
                self.hand_over(worker, client, attempt);
            }
        }
    }

    /// Connects for a client that has been told already that it is connected.
    fn accept_first(
        self: &Arc<Self>,
        worker: usize,
        leg: Leg,
        client: SocketAddrV6,
        destination: SocketAddrV6,
    ) {
        let mut attempt = Attempt::new(self, worker, client, destination);
        attempt.began = Began::Accepted;
        let engine = Arc::clone(self);
        let peers = attempt.peers();
        let attempt = async move {
            match engine.reach(&mut attempt, None, || source::saved_traffic_class(&leg)).await {
                Ok((Far::Server(upstream), alarm)) => {
                    if engine.options.connect_first {
                        engine.pairing.live(attempt.tuple(), attempt.id());
                    }
                    engine.joined(worker, &mut attempt);
                    return Some(engine.session(leg, Leg::new(upstream, false), attempt, Some(alarm)));
                }
                Ok((Far::Route, _)) => engine.hand_over(worker, leg, attempt),
                Err(refusal) => attempt.fail(&refusal),
            }
            None
        };
        self.spawn(worker, peers, false, Course::new(attempt));
    }

    /// Takes note that the server of an attempt is connected and its client accepted.
    fn joined(&self, worker: usize, attempt: &mut Attempt) {
        attempt.joined = true;
        self.worker(worker).tasks.relays(attempt.id(), attempt.server, attempt.routed);
    }

    /// The session of an attempt that is joined.
    fn session(&self, client: Leg, server: Leg, attempt: Attempt, alarm: Option<Alarm>) -> Session {
        let clock = Clock::new(self.options.idle_timeout, self.options.keep_alive, alarm);
        Session::new(client, server, attempt, clock)
    }
}

/// Takes a server's socket out of the table again, unless its client has come for it.
struct Withdrawal<'a> {
    pairing: &'a Pairing,
    tuple: Tuple,
    id: u64,
    is_needed: bool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if self.is_needed {
            drop(self.pairing.withdraw(&self.tuple, self.id));
        }
    }
}

/// Ends an attempt and tells its client.
fn refuse<H: Held>(syn: H, attempt: Attempt, refusal: Refusal) {
    attempt.fail(&refusal);
    match refusal.answer {
        Answer::Silence => syn.ignore(),
        Answer::Reset => syn.reset(),
        Answer::Unreachable(code) => syn.unreachable(code),
    }
}

/// Registers a connection with this thread's runtime.
pub(crate) fn leg_of(connection: Connection) -> Result<Leg, Refusal> {
    reactor::register(connection).map(|fd| Leg::new(fd, false)).map_err(|error| Refusal::from_error(&error))
}
