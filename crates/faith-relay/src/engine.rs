//! A relay: its workers, its sessions and what it keeps of them, until its end.
//!
//! The engine knows workers by number and sockets by descriptor, and nothing of how either came to be, so
//! that its tests run over loopback sockets.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faith_packet::access::AccessList;
use faith_stack::{Captured, HeldSyn, Service};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::admission::{Admission, Router};
use crate::counters::{Counters, RelayStats};
use crate::live::LiveSession;
use crate::options::RelayOptions;
use crate::pairing::{Pairing, Tuple};
use crate::record::{Observer, SessionRecord};
use crate::reports::Reports;
use crate::shortage::Shortages;
use crate::spares::Spares;
use crate::tally::End;
use crate::tasks::{Peers, Tasks};

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
    pub(crate) options: RelayOptions,
    pub(crate) admission: Admission,
    observer: Option<Arc<dyn Observer>>,
    workers: Box<[Worker]>,
    pub(crate) pairing: Pairing,
    next_id: AtomicU64,
    active: AtomicU64,
    stage: AtomicU8,
    pub(crate) spares: Spares,
    reports: Reports,
    shortages: Arc<Shortages>,
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
        let epoch = Instant::now();
        let spares = Spares::new(options.connect_first);
        let shortages = Arc::new(Shortages::new(epoch, observer.clone()));
        let admission = Admission::new(&mut options, router, Arc::clone(&shortages));
        Arc::new(Self {
            options,
            admission,
            observer,
            workers: (0..workers).map(|_| Worker::default()).collect(),
            pairing: Pairing::new(workers),
            next_id: AtomicU64::new(1),
            active: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Open as u8),
            spares,
            reports: Reports::new(epoch),
            shortages,
            empty: Notify::new(),
        })
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

    /// Begins a session or an attempt at one, and gives its id.
    pub(crate) fn enter(&self) -> u64 {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends a session or an attempt that began on this worker.
    pub(crate) fn leave(&self, worker: usize, tuple: &Tuple, record: SessionRecord, now: Instant) {
        let id = record.id;
        if self.options.connect_first {
            self.pairing.ended(tuple, id);
        }
        let Worker { counters, tasks } = self.worker(worker);
        tasks.remove(id);
        let end = End::from(&record);
        counters.ended(end);
        if let Some(observer) = &self.observer {
            let told = (record.joined || self.reports.admit(record.reason, now)) && observer.ended(record);
            if !told {
                counters.untold(end);
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
        self.shortages.ran_out(error);
    }

    /// Tells, once a minute, that connections cannot come from an address.
    pub(crate) fn cannot_use(&self, source: Ipv4Addr, error: &io::Error) {
        self.shortages.cannot_use(source, error);
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
        stats.source_fallbacks = self.admission.source_fallbacks();
        (stats.max_held, stats.max_sessions) = (self.options.hold.total, self.options.max_sessions);
        stats
    }

    /// Ends the relay; [`Relay::close`](crate::Relay::close) says how. `before_resets` is called before sessions are
    /// aborted.
    pub(crate) async fn close(&self, drain: Duration, before_resets: impl FnOnce()) {
        self.advance_to(Stage::Draining);
        self.workers.iter().for_each(|worker| worker.tasks.abort_attempts());
        if timeout(drain, self.drained()).await.is_ok() {
            return;
        }
        before_resets();
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
        self.ran_out(error);
        self.spares.spend()
    }
}
