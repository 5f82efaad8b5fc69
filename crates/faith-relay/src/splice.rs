//! Sessions of connections that come back from JavaScript, which has accepted them, read from them and given them up.
//!
//! JavaScript has decided where they go, so nothing is mapped, held or paired, and no access list denies it. A server that
//! it names is judged as one that a route names, unless it says otherwise. A ledger of their own counts them, keeps their
//! tasks, and tells their ends.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use faith_packet::access::{AccessList, Basis, Decision, DenyReason};
use faith_packet::proxy::Header;
use faith_stack::{FaithInterface, Guide};
use faith_sys::tcp;
pub use faith_sys::tcp::Connection;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;

use crate::attempt::Attempt;
use crate::clock::Clock;
use crate::connect_error::ConnectError;
use crate::counters::SessionStats;
use crate::ledger::Ledger;
use crate::leg::Leg;
use crate::live::Live;
use crate::record::{Observer, RefusalRecord, SessionEnd, SessionRecord};
use crate::session::Session;
use crate::source::{Address, Source};
use crate::upstream::{Target, open};

/// Takes back connected TCP sockets from JavaScript, which has these descriptors and closes them next: the connections
/// go on. All of them are taken or none.
///
/// # Errors
/// `EMFILE`; `EBADF` or `EOPNOTSUPP` for what is no TCP socket.
pub fn take_back(descriptors: &[RawFd]) -> io::Result<Vec<Connection>> {
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
    pub address: SocketAddr,
    /// Whether it may be a special-purpose address, one of the router's own or a loopback one.
    pub allow_any: bool,
    /// The address that the connection comes from, of the server's family; `None` is the routing table's choice.
    pub source: Option<IpAddr>,
    /// What it is told first.
    pub header: Option<Header>,
    /// How long it may take to answer.
    pub connect_timeout: Duration,
}

/// Why a splice has no server.
#[derive(Debug)]
pub enum NoServer {
    /// The server may not be connected to, and [`Server::allow_any`] is off.
    Denied(DenyReason),
    /// The server could not be connected to.
    Failed(ConnectError),
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

/// Holds one splice from before its server is connected until after its end.
#[derive(Debug, Clone, Default)]
pub struct SpliceHandle(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    stop: Notify,
    /// Set when it begins.
    live: OnceLock<Arc<Live>>,
}

impl SpliceHandle {
    /// Ends the splice, or the connecting for it. Where neither has begun it will end as soon as it does.
    pub fn stop(&self) {
        self.0.stop.notify_one();
    }

    /// Bytes passed from the client to the server so far, and after the end in all.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.0.live.get().map_or(0, |live| live.bytes_up())
    }

    /// Bytes passed from the server to the client, likewise.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.0.live.get().map_or(0, |live| live.bytes_down())
    }

    async fn stopped(&self) {
        self.0.stop.notified().await;
    }
}

/// The splices of an interface. They run on its workers, and end with it.
pub struct Splices {
    ledger: Arc<Ledger>,
    interface: Weak<FaithInterface>,
    ends: Arc<Ends>,
}

impl Splices {
    /// None yet.
    #[must_use]
    pub fn new(interface: &Arc<FaithInterface>) -> Self {
        let ends = Arc::new(Ends::default());
        let observer: Arc<dyn Observer> = Arc::clone(&ends) as _;
        let ledger = Ledger::new(interface.workers(), Some(observer));
        Self { ledger, interface: Arc::downgrade(interface), ends }
    }

    /// Connects to a server from the thread of a worker; `None` when the interface is closed before that is decided, or it
    /// is stopped.
    pub fn connect(
        &self,
        worker: usize,
        server: Server,
        handle: SpliceHandle,
    ) -> impl Future<Output = Option<Result<Connection, NoServer>>> + Send + use<> {
        let (decided, connected) = oneshot::channel();
        self.run_on(worker, move |guide| {
            if let Err(reason) = judge(&server, guide) {
                let _ = decided.send(Err(NoServer::Denied(reason)));
                return;
            }
            spawn_local(async move {
                let Server { address, source, header, connect_timeout, .. } = server;
                let source =
                    Source { address: source.map_or(Address::Any, Address::Fixed), privileged: None };
                let target = Target { server: address, source, traffic_class: None, header };
                tokio::select! {
                    opened = open(&target, connect_timeout) => {
                        // When nobody waits for it any more it is closed.
                        let opened = opened.map(|(connection, _)| connection.into_inner());
                        let _ = decided.send(opened.map_err(NoServer::Failed));
                    }
                    () = handle.stopped() => {}
                }
            });
        });
        async { connected.await.ok() }
    }

    /// Splices on the thread of a worker until either of them or the interface ends, or it is stopped, which resets both
    /// ([`SessionEnd::Aborted`](crate::SessionEnd::Aborted)). The record is told; `None`, and both are reset, when the
    /// interface was closed before.
    pub fn begin(
        &self,
        worker: usize,
        splice: Splice,
        handle: SpliceHandle,
    ) -> impl Future<Output = Option<SessionRecord>> + Send + use<> {
        let (ended, record) = oneshot::channel();
        let (ledger, ends) = (Arc::clone(&self.ledger), Arc::clone(&self.ends));
        self.run_on(worker, move |_| splice.begin(&ledger, worker, handle, |id| ends.expect(id, ended)));
        async { record.await.ok() }
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.ledger.stats().sessions
    }

    fn run_on(&self, worker: usize, job: impl FnOnce(&Guide) + Send + 'static) {
        if let Some(interface) = self.interface.upgrade() {
            let guide = interface.guide();
            interface.run_on(worker, move || job(&guide));
        }
    }
}

/// Judges a server that a program names, where there is no access list to open it.
fn judge(server: &Server, guide: &Guide) -> Result<(), DenyReason> {
    if server.allow_any {
        return Ok(());
    }
    let is_own = |address| guide.is_own(address);
    // Rules tell clients apart, and there are none.
    let client = Ipv6Addr::UNSPECIFIED;
    match AccessList::default().judge(Basis::Named, client, server.address, is_own).decision {
        Decision::Permit { .. } => Ok(()),
        Decision::Deny(reason) => Err(reason),
    }
}

impl Splice {
    /// Splices on this worker's thread. `begun` is told the id of its record before that can be written.
    pub(crate) fn begin(
        self,
        ledger: &Arc<Ledger>,
        worker: usize,
        handle: SpliceHandle,
        begun: impl FnOnce(u64),
    ) {
        let Self { source, destination, client, server, up, down, idle_timeout, keep_alive } = self;
        let mut attempt = Attempt::new(ledger, worker, source, destination);
        begun(attempt.id());
        // It is not set yet: a handle is of one splice.
        let _ = handle.0.live.set(attempt.shared());
        attempt.join();
        match Leg::register(client).and_then(|client| Ok((client, Leg::register(server)?))) {
            Ok((client, server)) => {
                let peers = attempt.peers();
                let clock = Clock::new(idle_timeout, keep_alive, None);
                let session = Session::new(client, server, attempt, clock).beginning_with(up, down);
                ledger.spawn(worker, peers, true, async move {
                    tokio::select! {
                        // Asked first, as it is hardly ever stopped.
                        biased;
                        () = session => {}
                        () = handle.stopped() => {}
                    }
                });
            }
            // The sockets have left JavaScript, so there is no way back.
            Err(_) => attempt.end(SessionEnd::Error),
        }
    }
}

/// The callers that wait for the end of a splice, by its id.
#[derive(Default)]
struct Ends(Mutex<HashMap<u64, oneshot::Sender<SessionRecord>>>);

impl Ends {
    fn expect(&self, id: u64, ended: oneshot::Sender<SessionRecord>) {
        self.0.lock().insert(id, ended);
    }
}

impl Observer for Ends {
    fn ended(&self, record: SessionRecord) -> bool {
        let ended = self.0.lock().remove(&record.id);
        // No caller waits when the environment of JavaScript is gone.
        ended.is_some_and(|ended| ended.send(record).is_ok())
    }

    fn refused(&self, _: RefusalRecord) -> bool {
        // A splice begins with both sides, so there is no attempt at one.
        true
    }
}
