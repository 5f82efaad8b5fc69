//! Sessions of connections that JavaScript has accepted, read from and given back.
//!
//! JavaScript has decided where they go, so the relay maps, holds and pairs nothing, and no access list denies them. A
//! server that JavaScript names is judged like one that a route names, unless it allows any address. A ledger of their own
//! counts them, keeps their tasks and reports their ends.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use faith_packet::access::{AccessList, Basis, Decision, DenyReason};
use faith_packet::protocol::Protocol;
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
use crate::source::{Address, Ports, Source};
use crate::upstream::{Target, open};

/// Takes connected TCP sockets back from JavaScript, all of them or none. It duplicates these descriptors; JavaScript then
/// closes its own, and the connections go on.
///
/// # Errors
/// `EMFILE`; `EBADF` or `EOPNOTSUPP` for a descriptor that is no TCP socket.
pub fn take_back(descriptors: &[RawFd]) -> io::Result<Vec<Connection>> {
    let duplicates = descriptors.iter().map(|fd| tcp::duplicate(*fd)).collect::<io::Result<Vec<_>>>()?;
    // Sets options only when all descriptors are there: the options would stay with a socket that is not taken.
    duplicates.iter().try_for_each(|duplicate| {
        tcp::prepare_leg(duplicate)?;
        tcp::send_at_once(duplicate)
    })?;
    Ok(duplicates.into_iter().map(Connection::new).collect())
}

/// A server to connect to.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Its address and port.
    pub address: SocketAddr,
    /// True lets it be a special-purpose address, one of the router's own or a loopback one.
    pub allow_any: bool,
    /// The address that the connection comes from, of the server's family; `None` lets the routing table choose.
    pub source: Option<IpAddr>,
    /// The PROXY header that it gets first, if any.
    pub header: Option<Header>,
    /// Longest time that it may take to answer.
    pub connect_timeout: Duration,
}

/// The error of a splice that has no server.
#[derive(Debug)]
pub enum NoServer {
    /// The server's address is denied, and [`Server::allow_any`] is off.
    Denied(DenyReason),
    /// The connection to the server failed.
    Failed(ConnectError),
}

/// Two connections to be spliced.
#[derive(Debug)]
pub struct Splice {
    /// The client.
    pub source: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The client's connection.
    pub client: Connection,
    /// The server's connection.
    pub server: Connection,
    /// Bytes that were read from the client already, for the server.
    pub up: Vec<u8>,
    /// Bytes that were read from the server already, for the client.
    pub down: Vec<u8>,
    /// Longest time that no byte may pass; `None` is no limit.
    pub idle_timeout: Option<Duration>,
    /// Declare a silent peer dead after this long.
    pub keep_alive: Duration,
}

/// The handle of one splice, valid from before its server is connected until after its end.
#[derive(Debug, Clone, Default)]
pub struct SpliceHandle(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    stop: Notify,
    /// The session's shared state, set when the splice begins.
    live: OnceLock<Arc<Live>>,
}

impl SpliceHandle {
    /// Ends the splice, or the connecting for it. If neither has begun, it ends as soon as it begins.
    pub fn stop(&self) {
        self.0.stop.notify_one();
    }

    /// Bytes passed from the client to the server so far; all of them after the end.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.0.live.get().map_or(0, |live| live.bytes_up())
    }

    /// Bytes passed from the server to the client, likewise.
    #[must_use]
    pub fn bytes_down(&self) -> u64 {
        self.0.live.get().map_or(0, |live| live.bytes_down())
    }

    pub(crate) async fn stopped(&self) {
        self.0.stop.notified().await;
    }
}

/// The splices of an interface. They run on its workers and end with it.
pub struct Splices {
    ledger: Arc<Ledger>,
    interface: Weak<FaithInterface>,
    ends: Arc<Ends>,
}

impl Splices {
    /// Makes an empty list of splices.
    #[must_use]
    pub fn new(interface: &Arc<FaithInterface>) -> Self {
        let ends = Arc::new(Ends::default());
        let observer: Arc<dyn Observer> = Arc::clone(&ends) as _;
        let ledger = Ledger::new(interface.workers(), Some(observer));
        Self { ledger, interface: Arc::downgrade(interface), ends }
    }

    /// Connects to a server from the thread of a worker. Resolves to `None` if the interface is closed, or the handle stopped,
    /// before the connection is made or fails.
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
                    Source { address: source.map_or(Address::Any, Address::Fixed), ports: Ports::Any };
                let target =
                    Target { server: address, source, traffic_class: None, probed_hops: None, header };
                tokio::select! {
                    opened = open(&target, connect_timeout) => {
                        // A connection for which no caller waits is closed.
                        let opened = opened.map(|opened| opened.connection.into_inner());
                        let _ = decided.send(opened.map_err(NoServer::Failed));
                    }
                    () = handle.stopped() => {}
                }
            });
        });
        async { connected.await.ok() }
    }

    /// Splices two connections on the thread of a worker, until they end. Stopping the handle or closing the interface resets
    /// both ([`SessionEnd::Aborted`]). Resolves to the record, or to `None` if the interface was closed before, which resets
    /// both too.
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

/// Judges a server that a program names, without an access list that could open it.
fn judge(server: &Server, guide: &Guide) -> Result<(), DenyReason> {
    if server.allow_any {
        return Ok(());
    }
    let is_own = |address| guide.is_own(address);
    // The client does not matter, because the list has no rules.
    let client = Ipv6Addr::UNSPECIFIED;
    match AccessList::default().judge(Protocol::Tcp, Basis::Named, client, server.address, is_own).decision {
        Decision::Permit { .. } => Ok(()),
        Decision::Deny(reason) => Err(reason),
    }
}

impl Splice {
    /// Splices on this worker's thread. Calls `begun` with the id of the record before the record can be written.
    pub(crate) fn begin(
        self,
        ledger: &Arc<Ledger>,
        worker: usize,
        handle: SpliceHandle,
        begun: impl FnOnce(u64),
    ) {
        let Self { source, destination, client, server, up, down, idle_timeout, keep_alive } = self;
        let mut attempt = Attempt::new(ledger, worker, Protocol::Tcp, source, destination);
        begun(attempt.id());
        // Cannot fail, because each splice has a handle of its own.
        let _ = handle.0.live.set(attempt.shared());
        attempt.join(None);
        match Leg::register(client).and_then(|client| Ok((client, Leg::register(server)?))) {
            Ok((client, server)) => {
                let peers = attempt.peers();
                let clock = Clock::new(idle_timeout, keep_alive, None);
                let session = Session::new(client, server, attempt, clock).beginning_with(up, down);
                ledger.spawn(worker, peers, true, async move {
                    tokio::select! {
                        // Polls the session first, because a stop is rare.
                        biased;
                        () = session => {}
                        () = handle.stopped() => {}
                    }
                });
            }
            // JavaScript has given the sockets up, so there is no way back.
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
