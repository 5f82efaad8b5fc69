//! What becomes of an offered SYN and of an accepted connection.
//!
//! Connect-first: the SYN waits while the server is connected to. A refusal goes back as the network would
//! say it. Otherwise the server's socket is put where the accepted connection will look for it, *then* the
//! SYN goes on to the kernel, and this task stays with both until they have met, or drops the server's socket
//! after [`PAIRING_TIMEOUT`], and at once when the client has given up. An accepted connection for which nothing
//! waits (accept-first, a SYN past the bounds of holding, or one of a dead server's client that dialled again) is
//! connected now, and reset if that fails.
//!
//! A connection that whoever routes wants to have takes the same way without a server: its SYN goes on, and what is
//! accepted is given away.
//!
//! The engine knows workers by number and sockets by descriptor, and nothing of how either came to be, so
//! that its tests run over loopback sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddrV6;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faith_packet::access::AccessList;
use faith_stack::{Captured, HeldSyn, Service};
use faith_sys::tcp::Connection;
use faith_sys::{reactor, source, tcp};
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::admission::{Admission, Router, Way};
use crate::attempt::Attempt;
use crate::clock::Clock;
use crate::counters::{Counters, RelayStats};
use crate::held::Held;
use crate::leg::Leg;
use crate::live::LiveSession;
use crate::options::RelayOptions;
use crate::pairing::{Far, Pairing, Tuple, Waiting};
use crate::record::{EndReason, Observer, SessionRecord};
use crate::session::Session;
use crate::spares::Spares;
use crate::tasks::{Peers, Tasks};
use crate::upstream::{Answer, Refusal, Target, connect};

/// How long a connected server waits for the client's handshake to complete. A client whose SYN-ACK or ACK
/// was lost tries again after 1, 3, 7 and 15 s.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer timeouts are this long: sums of times must not overflow.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// How far a relay's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Open,
    /// Sessions go on, nothing new begins.
    Draining,
    /// Nothing goes on.
    Aborting,
}

#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) counters: Counters,
    pub(crate) tasks: Tasks,
}

/// A relay without the interface that feeds it.
pub(crate) struct Engine {
    options: RelayOptions,
    pub(crate) admission: Admission,
    observer: Option<Arc<dyn Observer>>,
    workers: Box<[Worker]>,
    pairing: Pairing,
    epoch: Instant,
    next_id: AtomicU64,
    active: AtomicU64,
    stage: AtomicU8,
    spares: Spares,
    /// The minute in which the lack of descriptors or memory was last told.
    exhausted_in: AtomicU64,
    /// Told when the last session of a relay that is closing has ended.
    empty: Notify,
}

impl Engine {
    pub(crate) fn new(
        mut options: RelayOptions,
        router: impl Router,
        workers: usize,
        observer: Option<Arc<dyn Observer>>,
    ) -> Arc<Self> {
        options.connect_timeout = options.connect_timeout.min(FAR);
        options.idle_timeout = options.idle_timeout.map(|timeout| timeout.min(FAR));
        options.keep_alive = options.keep_alive.min(FAR);
        let workers = workers.max(1);
        let spares = Spares::new(options.connect_first);
        let admission = Admission::new(&mut options, router);
        Arc::new(Self {
            options,
            admission,
            observer,
            workers: (0..workers).map(|_| Worker::default()).collect(),
            pairing: Pairing::new(workers),
            epoch: Instant::now(),
            next_id: AtomicU64::new(1),
            active: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Open as u8),
            spares,
            exhausted_in: AtomicU64::new(0),
            empty: Notify::new(),
        })
    }

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
        let mut attempt = Attempt::new(self, worker, client, destination);
        // A flood of denied SYNs is not worth a task each, so only who must wait for the answer does.
        let admitted = if self.admission.asks() {
            None
        } else {
            let class = || Some(syn.traffic_class());
            match self.admission.admit(&mut attempt, self.active(), class) {
                Ok(target) => Some(target),
                Err(refusal) => return refuse(syn, attempt, refusal),
            }
        };
        let engine = Arc::clone(self);
        self.spawn(worker, attempt.peers(), false, async move {
            let class = || Some(syn.traffic_class());
            let mut given_up = pin!(syn.given_up());
            let reached = tokio::select! {
                reached = engine.reach(&mut attempt, admitted, class) => reached,
                () = &mut given_up => Err(Refusal::GIVEN_UP),
            };
            match reached {
                Ok(far) => engine.pair(worker, syn, far, attempt, given_up).await,
                Err(refusal) => refuse(syn, attempt, refusal),
            }
        });
    }

    /// Connects to where the attempt goes, if that is a server; `admitted` says where when that is known already.
    async fn reach(
        &self,
        attempt: &mut Attempt,
        admitted: Option<Target>,
        traffic_class: impl FnOnce() -> Option<u8>,
    ) -> Result<Far, Refusal> {
        let way = match admitted {
            Some(target) => Way::Server(target),
            None => self.admission.decide(attempt, self.active(), traffic_class).await?,
        };
        match way {
            Way::Server(target) => connect(&target, self.options.connect_timeout).await.map(Far::Server),
            Way::HandOver => Ok(Far::Route),
        }
    }

    fn active(&self) -> u64 {
        self.active.load(Ordering::Relaxed)
    }

    /// Lets a connected server, or whoever routes, wait for the client, who may still give up.
    async fn pair<H: Held>(
        &self,
        worker: usize,
        syn: H,
        far: Far,
        attempt: Attempt,
        given_up: impl Future<Output = ()>,
    ) {
        let _spare = match self.spares.keep() {
            Ok(spare) => spare,
            Err(error) => return refuse(syn, attempt, Refusal::from_error(&error)),
        };
        let (id, tuple) = (attempt.id(), attempt.tuple());
        let (paired, met) = oneshot::channel();
        let waiting = Box::new(Waiting { far, worker, attempt, paired });
        let taken = self.pairing.wait(tuple, waiting);
        let _withdrawal = Withdrawal { pairing: &self.pairing, tuple, id };
        // The place among the held SYNs is kept as long as the server waits.
        let _place = syn.release();
        if taken.is_ok() {
            tokio::select! {
                // However it ends there is nothing left to do: what was not paired is withdrawn.
                _ = timeout(PAIRING_TIMEOUT, met) => {}
                () = given_up => {
                    if let Some(waiting) = self.pairing.withdraw(&tuple, id) {
                        waiting.attempt.end(EndReason::ClientReset);
                    }
                }
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
            // Accepted, and reset in the meantime: not worth a server's while.
            None if tcp::has_error(&leg) => {
                Attempt::new(self, worker, client, destination).end(EndReason::ClientReset);
            }
            None => self.accept_first(worker, leg, client, destination),
        }
    }

    /// Begins the session of a client whose server is connected, or gives the client to whoever waits for it.
    fn join(self: &Arc<Self>, worker: usize, client: Leg, waiting: Waiting) {
        let Waiting { far, worker: owner, mut attempt, paired } = waiting;
        drop(paired);
        if owner == worker {
            return self.serve(worker, client, far, attempt);
        }
        attempt.move_to(worker);
        let upstream = match far {
            Far::Server(upstream) => upstream.into_inner(),
            Far::Route => return self.hand_over(worker, client, attempt),
        };
        match leg_of(upstream) {
            Ok(server) => self.relay(worker, client, server, attempt),
            Err(refusal) => attempt.fail(&refusal),
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
        let engine = Arc::clone(self);
        self.spawn(worker, attempt.peers(), false, async move {
            match engine.reach(&mut attempt, None, || source::saved_traffic_class(&leg)).await {
                Ok(far) => engine.serve(worker, leg, far, attempt),
                Err(refusal) => attempt.fail(&refusal),
            }
        });
    }

    /// Joins a client with what answers for it on this worker.
    fn serve(self: &Arc<Self>, worker: usize, client: Leg, far: Far, attempt: Attempt) {
        match far {
            Far::Server(upstream) => self.relay(worker, client, Leg::new(upstream, false), attempt),
            Far::Route => self.hand_over(worker, client, attempt),
        }
    }

    fn relay(self: &Arc<Self>, worker: usize, client: Leg, server: Leg, mut attempt: Attempt) {
        attempt.joined = true;
        let peers = attempt.peers();
        if self.options.connect_first {
            self.pairing.live(attempt.tuple(), attempt.id());
        }
        let clock = Clock::new(self.options.idle_timeout, self.options.keep_alive);
        let session = Session::new(client, server, attempt, clock);
        self.spawn(worker, peers, true, session);
    }

    /// Judges by `access` from now on. With `end_denied`, sessions that it does not permit are ended.
    pub(crate) fn set_access(&self, access: AccessList, end_denied: bool) {
        self.admission.set_access(access);
        if end_denied {
            for worker in &self.workers {
                worker.tasks.abort_unless(|client, server| self.admission.permits(client, server));
            }
        }
    }

    /// The sessions after `after` that go on, in the order of their ids, `most` of them.
    pub(crate) fn sessions(&self, after: u64, most: usize) -> Vec<LiveSession> {
        let now = Instant::now();
        let mut sessions = Vec::new();
        for worker in &self.workers {
            worker.tasks.list(after, most, now, &mut sessions);
        }
        sessions.sort_unstable_by_key(|session| session.id);
        sessions.truncate(most);
        sessions
    }

    /// The id of the last session or attempt that began; 0 before there is one.
    pub(crate) fn newest(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed) - 1
    }

    /// Ends a session that goes on; whether there is one.
    pub(crate) fn end(&self, id: u64) -> bool {
        self.workers.iter().any(|worker| worker.tasks.abort(id))
    }

    pub(crate) fn spawn(
        &self,
        worker: usize,
        peers: Peers,
        relaying: bool,
        task: impl Future<Output = ()> + 'static,
    ) {
        let handle = spawn_local(task).abort_handle();
        self.worker(worker).tasks.insert(peers, handle.clone(), relaying);
        // Whoever moves the stage on looks for tasks afterwards, so one of us two sees the other.
        if self.is_at(if relaying { Stage::Aborting } else { Stage::Draining }) {
            handle.abort();
        }
    }

    /// Begins a session's place in the relay, and gives its id.
    pub(crate) fn enter(&self) -> u64 {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends the place of a session that began on this worker.
    pub(crate) fn leave(&self, worker: usize, tuple: &Tuple, record: SessionRecord, now: Instant) {
        let id = record.id;
        if self.options.connect_first {
            self.pairing.ended(tuple, id);
        }
        let Worker { counters, tasks } = self.worker(worker);
        tasks.remove(id);
        counters.ended(record.reason);
        if let Some(observer) = &self.observer {
            let cheap = matches!(record.reason, EndReason::Denied | EndReason::Limit);
            if !cheap || counters.may_report(self.epoch, now) {
                observer.ended(record);
            }
        }
        self.vacate();
    }

    pub(crate) fn vacate(&self) {
        if self.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }

    /// Forgets the task of a session that goes on on another worker.
    pub(crate) fn forget_task(&self, worker: usize, id: u64) {
        self.worker(worker).tasks.remove(id);
    }

    /// Tells, once a minute, that this host has run out of something.
    pub(crate) fn ran_out(&self, error: &io::Error) {
        // Counted from 1, as 0 is never.
        let minute = self.epoch.elapsed().as_secs() / 60 + 1;
        if self.exhausted_in.swap(minute, Ordering::Relaxed) != minute {
            let what = tcp::exhaustion(error).unwrap_or("resources");
            tracing::warn!(%error, "out of {what}: new connections wait or are refused");
            if let Some(observer) = &self.observer {
                observer.exhausted(what, error);
            }
        }
    }

    pub(crate) fn counters(&self, worker: usize) -> &Counters {
        &self.worker(worker).counters
    }

    pub(crate) fn stats(&self) -> RelayStats {
        let mut stats = RelayStats::default();
        for worker in &self.workers {
            worker.counters.add_to(&mut stats);
        }
        stats.active = self.active.load(Ordering::Relaxed);
        stats
    }

    /// Ends the relay; [`Relay::close`](crate::Relay::close) says how.
    pub(crate) async fn close(&self, drain: Duration) {
        self.advance_to(Stage::Draining);
        self.workers.iter().for_each(|worker| worker.tasks.abort_attempts());
        if timeout(drain, self.drained()).await.is_ok() {
            return;
        }
        self.advance_to(Stage::Aborting);
        self.workers.iter().for_each(|worker| worker.tasks.abort_all());
        self.drained().await;
    }

    async fn drained(&self) {
        loop {
            let mut ended = pin!(self.empty.notified());
            ended.as_mut().enable();
            if self.active.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Whether the relay's end has come this far.
    pub(crate) fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) >= stage as u8
    }

    fn advance_to(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
    }

    /// The state of a worker. A number past the end would be the stack's mistake; it costs speed, not
    /// sessions.
    pub(crate) fn worker(&self, worker: usize) -> &Worker {
        &self.workers[worker % self.workers.len()]
    }

    #[cfg(test)]
    pub(crate) fn pairing(&self) -> &Pairing {
        &self.pairing
    }

    /// How many sessions have both of their sides.
    #[cfg(test)]
    pub(crate) fn relaying(&self) -> usize {
        self.workers.iter().map(|worker| worker.tasks.relaying()).sum()
    }
}

impl Service for Engine {
    fn offered(self: Arc<Self>, worker: usize, syn: HeldSyn) {
        self.offer(worker, syn);
    }

    fn accepted(self: Arc<Self>, worker: usize, connection: Captured) {
        self.accept(worker, connection);
    }

    fn closing(&self) {
        self.admission.closing();
    }

    fn exhausted(&self, error: &io::Error) -> bool {
        self.ran_out(error);
        self.spares.spend()
    }
}

/// Takes a server's socket out of the table again, unless its client has come for it.
struct Withdrawal<'a> {
    pairing: &'a Pairing,
    tuple: Tuple,
    id: u64,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        drop(self.pairing.withdraw(&self.tuple, self.id));
    }
}

/// Ends an attempt and tells its client.
fn refuse<H: Held>(syn: H, attempt: Attempt, refusal: Refusal) {
    attempt.fail(&refusal);
    match refusal.answer {
        Answer::Silence => drop(syn),
        Answer::Reset => syn.reset(),
        Answer::Unreachable(code) => syn.unreachable(code),
    }
}

/// Registers a connection with this thread's runtime.
pub(crate) fn leg_of(connection: Connection) -> Result<Leg, Refusal> {
    reactor::register(connection).map(|fd| Leg::new(fd, false)).map_err(|error| Refusal::from_error(&error))
}
