//! The ledger of a relay's sessions: their ids, tasks, counts and ends, and the end of the relay itself.
//!
//! An attempt enters when it begins. It leaves when it is dropped, or when its session is dropped. The ledger does not know
//! how connections come in or go out.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faith_packet::protocol::Protocol;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::counters::{Counters, RelayStats};
use crate::detail::Inspected;
use crate::live::LiveSession;
use crate::record::{Observer, RefusalRecord, SessionBegin, SessionRecord};
use crate::reports::Reports;
use crate::shortage::Shortages;
use crate::tasks::{Peers, Tasks};

/// Progress of a relay's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Open,
    /// Sessions go on, no attempt begins.
    Draining,
    /// Every session is aborted.
    Aborting,
}

#[derive(Default)]
struct Worker {
    counters: Counters,
    tasks: Tasks,
}

/// The sessions of a relay and the attempts at them.
pub(crate) struct Ledger {
    observer: Option<Arc<dyn Observer>>,
    workers: Box<[Worker]>,
    next_id: AtomicU64,
    /// Sessions and attempts that have not ended.
    active: AtomicU64,
    /// Those of them that carry datagrams, which no side ever ends.
    datagrams: AtomicU64,
    stage: AtomicU8,
    reports: Reports,
    pub(crate) shortages: Arc<Shortages>,
    /// Wakes [`close`](Self::close) when the last session or attempt has ended, or the last that carries a connection.
    empty: Notify,
}

impl Ledger {
    pub(crate) fn new(workers: usize, observer: Option<Arc<dyn Observer>>) -> Arc<Self> {
        Arc::new(Self {
            shortages: Arc::new(Shortages::new(observer.clone())),
            observer,
            workers: (0..workers.max(1)).map(|_| Worker::default()).collect(),
            next_id: AtomicU64::new(1),
            active: AtomicU64::new(0),
            datagrams: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Open as u8),
            reports: Reports::default(),
            empty: Notify::new(),
        })
    }

    /// Enters an attempt, and returns its id.
    pub(crate) fn enter(&self, protocol: Protocol) -> u64 {
        if protocol != Protocol::Tcp {
            self.datagrams.fetch_add(1, Ordering::Relaxed);
        }
        self.active.fetch_add(1, Ordering::Relaxed);
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a session of this worker that begins, and reports it to an observer that follows begins.
    pub(crate) fn began(&self, worker: usize, protocol: Protocol, session: impl FnOnce() -> SessionBegin) {
        self.counters(worker).begun(protocol);
        if let Some(observer) = self.observer.as_ref().filter(|observer| observer.follows_begins()) {
            observer.began(session());
        }
    }

    /// Tells whether the observer wants the sources of sessions.
    pub(crate) fn follows_sources(&self) -> bool {
        self.observer.as_ref().is_some_and(|observer| observer.follows_sources())
    }

    /// Counts and reports the end of a session of this worker.
    pub(crate) fn ended(&self, worker: usize, record: SessionRecord) {
        let protocol = record.protocol;
        let counters = self.counters(worker);
        counters.ended(protocol, record.reason, record.cause);
        if let Some(observer) = &self.observer
            && !observer.ended(record)
        {
            counters.untold_session();
        }
        self.vacate(protocol);
    }

    /// Counts and reports an attempt of this worker that ended without a session.
    pub(crate) fn refused(&self, worker: usize, record: RefusalRecord, now: Instant) {
        let RefusalRecord { protocol, reason, cause, .. } = record;
        let counters = self.counters(worker);
        counters.refused(reason, cause);
        if let Some(observer) = &self.observer {
            let told = if self.reports.admit(reason, now) {
                observer.refused(record)
            } else {
                observer.passed_over(&record);
                false
            };
            if !told {
                counters.untold_refusal(reason, cause);
            }
        }
        self.vacate(protocol);
    }

    /// Counts an attempt of this worker whose connection was handed over.
    pub(crate) fn handed_over(&self, worker: usize) {
        self.counters(worker).handed_over();
        self.vacate(Protocol::Tcp);
    }

    fn vacate(&self, protocol: Protocol) {
        if protocol != Protocol::Tcp {
            self.datagrams.fetch_sub(1, Ordering::AcqRel);
        }
        let left = self.active.fetch_sub(1, Ordering::AcqRel) - 1;
        if left <= self.datagrams.load(Ordering::Acquire) {
            self.empty.notify_waiters();
        }
    }

    /// Runs the task of a session (`relaying`) or of an attempt. Must be called on this worker's thread.
    pub(crate) fn spawn(
        &self,
        worker: usize,
        peers: Peers,
        relaying: bool,
        task: impl Future<Output = ()> + 'static,
    ) {
        let (id, tasks) = (peers.live.id, self.tasks(worker));
        tasks.insert(peers, spawn_local(task).abort_handle(), relaying);
        // close() moves the stage on before it looks for tasks. So either close() sees this task, or this check sees the stage.
        if self.is_at(if relaying { Stage::Aborting } else { Stage::Draining }) {
            tasks.abort_late(id);
        }
    }

    pub(crate) fn counters(&self, worker: usize) -> &Counters {
        &self.worker(worker).counters
    }

    pub(crate) fn tasks(&self, worker: usize) -> &Tasks {
        &self.worker(worker).tasks
    }

    /// The tasks of every worker.
    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = &Tasks> {
        self.workers.iter().map(|worker| &worker.tasks)
    }

    /// The state of a worker. A number past the end would be a bug of the stack; it costs speed, but no sessions.
    fn worker(&self, worker: usize) -> &Worker {
        &self.workers[worker % self.workers.len()]
    }

    /// The active sessions with ids above `after`, in the order of their ids, `most` of them at most.
    pub(crate) fn sessions(&self, after: u64, most: usize) -> Vec<LiveSession> {
        let now = Instant::now();
        let mut sessions = Vec::new();
        for tasks in self.all_tasks() {
            tasks.list(after, most, now, &mut sessions);
        }
        sessions.sort_unstable_by_key(|session| session.id);
        sessions.truncate(most);
        sessions
    }

    /// Looks at an active session and its sockets, if there is one with this id.
    pub(crate) fn inspect(&self, id: u64) -> Option<Inspected> {
        let now = Instant::now();
        self.all_tasks().find_map(|tasks| tasks.inspect(id, now))
    }

    /// The id of the last session or attempt that began; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed) - 1
    }

    /// Ends an active session; tells whether there is one with this id.
    pub(crate) fn end(&self, id: u64) -> bool {
        self.all_tasks().any(|tasks| tasks.abort(id))
    }

    /// The counters at this moment. Limits and sources, which the ledger does not know, keep their defaults.
    pub(crate) fn stats(&self) -> RelayStats {
        let mut stats = RelayStats::default();
        for worker in &self.workers {
            worker.counters.add_to(&mut stats);
        }
        stats.settle(self.newest());
        stats
    }

    /// Ends the relay; see [`Relay::close`](crate::Relay::close). Calls `before_resets` before it aborts sessions.
    pub(crate) async fn close(&self, drain: Duration, before_resets: impl FnOnce()) {
        self.advance_to(Stage::Draining);
        self.all_tasks().for_each(Tasks::abort_attempts);
        // Sessions of datagrams go on as long as connections do: neither side says when it has ended.
        let ended = timeout(drain, self.drained(|datagrams| datagrams)).await.is_ok();
        if ended && self.active.load(Ordering::Acquire) == 0 {
            return;
        }
        if !ended {
            before_resets();
        }
        self.advance_to(Stage::Aborting);
        self.all_tasks().for_each(Tasks::abort_all);
        self.drained(|_| 0).await;
    }

    /// Waits until no more sessions and attempts are left than `most` makes of the number that carry datagrams.
    async fn drained(&self, most: impl Fn(u64) -> u64) {
        loop {
            let mut ended = pin!(self.empty.notified());
            ended.as_mut().enable();
            if self.active.load(Ordering::Acquire) <= most(self.datagrams.load(Ordering::Acquire)) {
                return;
            }
            ended.await;
        }
    }

    /// Tells whether the relay's end has come this far.
    pub(crate) fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) >= stage as u8
    }

    fn advance_to(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::SeqCst);
    }

    /// Number of sessions that have both of their sides.
    #[cfg(test)]
    pub(crate) fn relaying(&self) -> usize {
        self.all_tasks().map(Tasks::relaying).sum()
    }
}
