//! Sessions of connections that somebody else has accepted, read from and given up.
//!
//! Where they go was decided there, so nothing is mapped, admitted, held or paired. An engine without a listener
//! counts them, keeps their tasks, and tells their ends.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use faith_packet::ports::PortSet;
use faith_packet::proxy::Header;
use faith_stack::FaithInterface;
use faith_sys::tcp;
pub use faith_sys::tcp::Connection;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;

use crate::attempt::Attempt;
use crate::begin::leg_of;
use crate::clock::Clock;
use crate::connect_error::ConnectError;
use crate::counters::RelayStats;
use crate::engine::Engine;
use crate::options::RelayOptions;
use crate::record::{Observer, SessionRecord};
use crate::session::Session;
use crate::source::{Address, Source};
use crate::upstream::{Target, open};

/// Takes connected TCP sockets from whoever has these descriptors, and closes them next: the connections go on. All of
/// them are taken or none.
///
/// # Errors
/// `EMFILE`; `EBADF` or `EOPNOTSUPP` for what is no TCP socket.
pub fn take(descriptors: &[RawFd]) -> io::Result<Vec<Connection>> {
    let duplicates = descriptors.iter().map(|fd| tcp::duplicate(*fd)).collect::<io::Result<Vec<_>>>()?;
    // Not before there is nothing left to run out of: these options stay with a socket that is not taken.
    duplicates.iter().try_for_each(|duplicate| {
        tcp::prepare_leg(duplicate)?;
        tcp::send_at_once(duplicate)
    })?;
    Ok(duplicates.into_iter().map(Connection::new).collect())
}

/// A server that is to be connected to.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddrV4,
    /// Where the connection comes from; `None` is the routing table's choice.
    pub source: Option<Ipv4Addr>,
    /// What it is told first.
    pub header: Option<Header>,
    /// How long it may take to answer.
    pub connect_timeout: Duration,
}

/// Two connections that are to be one.
#[derive(Debug)]
pub struct Splice {
    /// Who connected.
    pub source: SocketAddrV6,
    /// What the client dialled.
    pub destination: SocketAddrV6,
    /// The client's connection.
    pub client: Connection,
    /// The server's, whatever server that is.
    pub server: Connection,
    /// What the client has said already, for the server.
    pub up: Vec<u8>,
    /// What the server has said already, for the client.
    pub down: Vec<u8>,
    /// How long no byte may pass; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may be silent to keep-alive probes before it counts as gone.
    pub keep_alive: Duration,
}

/// Ends one splice, or the connecting for it, before the end that it would have. What is told before there is something
/// to end is kept.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Notify>);

impl Stop {
    /// Ends it.
    pub fn stop(&self) {
        self.0.notify_one();
    }

    async fn stopped(&self) {
        self.0.notified().await;
    }
}

/// The splices of an interface. They run on its workers, and end with it.
pub struct Splices {
    engine: Arc<Engine>,
    interface: Weak<FaithInterface>,
    ends: Arc<Ends>,
}

impl Splices {
    /// None yet.
    #[must_use]
    pub fn new(interface: &Arc<FaithInterface>) -> Self {
        let ends = Arc::new(Ends::default());
        let observer: Arc<dyn Observer> = Arc::clone(&ends) as _;
        let options = RelayOptions { connect_first: false, ..RelayOptions::new(PortSet::all()) };
        let engine = Engine::new(options, interface.guide(), interface.workers(), Some(observer));
        Self { engine, interface: Arc::downgrade(interface), ends }
    }

    /// Connects to a server from the thread of a worker; `None` when the interface is closed before that is decided, or it
    /// is stopped.
    pub fn connect(
        &self,
        worker: usize,
        server: Server,
        stop: Stop,
    ) -> impl Future<Output = Option<Result<Connection, ConnectError>>> + Send + use<> {
        let (decided, connected) = oneshot::channel();
        self.run_on(worker, move || {
            spawn_local(async move {
                let Server { address, source, header, connect_timeout } = server;
                let source =
                    Source { address: source.map_or(Address::Any, Address::Fixed), privileged: None };
                let target = Target { server: address, source, traffic_class: None, header };
                tokio::select! {
                    opened = open(&target, connect_timeout) => {
                        // When nobody waits for it any more it is closed.
                        let _ = decided.send(opened.map(|(connection, _)| connection.into_inner()));
                    }
                    () = stop.stopped() => {}
                }
            });
        });
        async { connected.await.ok() }
    }

    /// Splices on the thread of a worker until either of them or the interface ends, or it is stopped, which resets both
    /// ([`EndReason::Aborted`](crate::EndReason::Aborted)). The record is told; `None`, and both are reset, when the
    /// interface was closed before.
    pub fn begin(
        &self,
        worker: usize,
        splice: Splice,
        stop: Stop,
    ) -> impl Future<Output = Option<SessionRecord>> + Send + use<> {
        let (ended, record) = oneshot::channel();
        let (engine, ends) = (Arc::clone(&self.engine), Arc::clone(&self.ends));
        self.run_on(worker, move || engine.splice(worker, splice, stop, |id| ends.expect(id, ended)));
        async { record.await.ok() }
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        self.engine.stats()
    }

    fn run_on(&self, worker: usize, job: impl FnOnce() + Send + 'static) {
        if let Some(interface) = self.interface.upgrade() {
            interface.run_on(worker, job);
        }
    }
}

impl Engine {
    /// Splices on this worker's thread. `begun` is told the id of its record before that can be written.
    pub(crate) fn splice(
        self: &Arc<Self>,
        worker: usize,
        splice: Splice,
        stop: Stop,
        begun: impl FnOnce(u64),
    ) {
        let Splice { source, destination, client, server, up, down, idle_timeout, keep_alive } = splice;
        let mut attempt = Attempt::new(self, worker, source, destination);
        attempt.joined = true;
        begun(attempt.id());
        match leg_of(client).and_then(|client| Ok((client, leg_of(server)?))) {
            Ok((client, server)) => {
                let peers = attempt.peers();
                let clock = Clock::new(idle_timeout, keep_alive, None);
                let session = Session::new(client, server, attempt, clock).beginning_with(up, down);
                self.spawn(worker, peers, true, async move {
                    tokio::select! {
                        // Asked first, as it is hardly ever stopped.
                        biased;
                        () = session => {}
                        () = stop.stopped() => {}
                    }
                });
            }
            Err(refusal) => attempt.fail(&refusal),
        }
    }
}

/// Who waits for the end of which splice.
#[derive(Default)]
struct Ends(Mutex<HashMap<u64, oneshot::Sender<SessionRecord>>>);

impl Ends {
    fn expect(&self, id: u64, ended: oneshot::Sender<SessionRecord>) {
        self.lock().insert(id, ended);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<SessionRecord>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Ends {
    fn ended(&self, record: SessionRecord) -> bool {
        let ended = self.lock().remove(&record.id);
        // No caller waits when the environment of JavaScript is gone.
        ended.is_some_and(|ended| ended.send(record).is_ok())
    }
}
