//! The server: its sockets, its thread, and its settings.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use faith_dns64::Options;
use faith_sys::asked;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::certificate::Certificate;
use crate::clients::Limits;
use crate::counters::{Counters, Stats};
use crate::forwarder::Forwarder;
use crate::hook::Hook;
use crate::peers::Around;
use crate::record::{Records, UpstreamState};
use crate::resolver::Pace;
use crate::secure::{SecureUpstream, TLS_PORT};
use crate::settings::{ClientNetworks, Gate, Settings};
use crate::tcp::Secret;
use crate::tls::{NoRoots, Roots, Trust};
use crate::upstream::Upstreams;
use crate::{naming, tcp, udp};

/// The length of the queue of connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The ports that are tried where the kernel chooses one.
const PORT_ATTEMPTS: usize = 100;

/// The settings of a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// The addresses at which it answers, over UDP and TCP. An address may be `::` or `0.0.0.0`: an answer leaves from
    /// the address that was asked. A port of 0 lets the kernel choose one, the same for UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// The certificate with which it answers over TLS at the same addresses, too (RFC 7858). Default: none.
    pub certificate: Option<Certificate>,
    /// The port for TLS. 0 lets the kernel choose one for each address. Default: 853.
    pub tls_port: u16,
    /// The servers that it asks.
    pub upstreams: Upstreams,
    /// The time that each upstream has to answer. Each further round gives it twice as long, and the client gets an error
    /// after 4.5 seconds, or this time if it is longer. The next upstream is asked as well when one takes longer
    /// than usual. Default: 0.8 seconds.
    pub upstream_timeout: Duration,
    /// All upstreams are asked at once, and the first answer counts. Default: false.
    pub all_servers: bool,
    /// The settings of synthesis.
    pub synthesis: Options,
    /// The networks of clients.
    pub clients: ClientNetworks,
    /// The limits of clients.
    pub limits: Limits,
    /// The memory of the cache in bytes, about. 0 is no cache. Default: 16 MiB.
    pub cache_bytes: usize,
    /// The program's own names, if it has any.
    pub hook: Option<Hook>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            certificate: None,
            tls_port: TLS_PORT,
            upstreams: Upstreams::default(),
            upstream_timeout: Duration::from_millis(800),
            all_servers: false,
            synthesis: Options::default(),
            clients: ClientNetworks::default(),
            limits: Limits::default(),
            cache_bytes: 16 << 20,
            hook: None,
        }
    }
}

/// Errors of starting a server.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A socket could not be made or bound.
    #[error("cannot answer DNS queries at {address} over {protocol}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `UDP`, `TCP` or `TLS`.
        protocol: &'static str,
        /// The failure.
        #[source]
        error: io::Error,
    },
    /// No upstream can look up the name of this one.
    #[error("cannot look up {0}: none of the upstreams is an address")]
    Unreachable(Box<SecureUpstream>),
    /// Upstreams are to be asked over TLS, and this host has no root certificates to trust them by.
    #[error("cannot trust any upstream over TLS: {0}")]
    NoRoots(#[source] NoRoots),
    /// The thread or its runtime could not be made.
    #[error("cannot start the DNS server's thread: {0}")]
    Thread(#[source] io::Error),
}

/// A DNS server that synthesises. Dropping it closes its sockets and ends its thread.
pub struct Server {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    secret: Option<Secret>,
    roots: Roots,
    settings: Arc<ArcSwap<Settings>>,
    counters: Arc<Counters>,
    records: Records,
    /// Dropped to end the thread.
    running: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The sockets of one address.
struct Sockets {
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
}

impl Server {
    /// Binds the sockets in the calling thread, with its privileges and in its network namespace, and answers from a
    /// thread of the server's own.
    ///
    /// # Errors
    ///
    /// [`ServerError`].
    pub fn start(options: ServerOptions, gate: Arc<dyn Gate>) -> Result<Self, ServerError> {
        let ServerOptions { listen, upstreams, upstream_timeout, certificate, tls_port, .. } = options;
        let ServerOptions { synthesis, clients, limits, cache_bytes, hook, all_servers, .. } = options;
        if let Some(upstream) = upstreams.unreachable() {
            return Err(ServerError::Unreachable(Box::new(upstream.clone())));
        }
        // They are read with the privileges of the caller.
        let trust = upstreams.has_secure().then(Trust::read).transpose().map_err(ServerError::NoRoots)?;
        let trust = trust.map(|trust| Arc::new(ArcSwap::from_pointee(trust)));
        let sockets: Vec<Sockets> = listen.into_iter().map(Sockets::bind).collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> =
            sockets.iter().filter_map(|sockets| sockets.udp.local_addr().ok()).collect();
        let secret = certificate.map(|Certificate(config)| Arc::new(ArcSwap::new(config)));
        let secure = if secret.is_some() { bind_tls(&addresses, tls_port)? } else { Vec::new() };
        let tls_addresses: Vec<SocketAddr> =
            secure.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let settings = Arc::new(ArcSwap::from_pointee(Settings::new(synthesis, limits, clients)));
        let counters = Arc::new(Counters::default());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Thread)?;
        let (running, ended) = oneshot::channel();
        let own = [&addresses[..], &tls_addresses[..]].concat();
        let pace = Pace { timeout: upstream_timeout, all_servers };
        let (shared, counted, certified) = (Arc::clone(&settings), Arc::clone(&counters), secret.clone());
        let records = Records::default();
        let (shown, roots) = (Arc::clone(&records), Roots(trust.clone()));
        let run = move || {
            let (told, counters) = (Arc::clone(&gate), Arc::clone(&counted));
            let around = Rc::new(Around { own, gate: told, counters, records: shown });
            let resolver = naming::resolver(upstreams, trust.as_ref(), &around, pace);
            let forwarder = Rc::new(Forwarder::new(shared, gate, hook, resolver, cache_bytes, counted));
            LocalSet::new().block_on(&runtime, serve(sockets, secure, certified, forwarder, ended));
        };
        let thread = std::thread::Builder::new().name("faith/dns64".to_owned()).spawn(run);
        let thread = Some(thread.map_err(ServerError::Thread)?);
        let running = Some(running);
        Ok(Self { addresses, tls_addresses, secret, roots, settings, counters, records, running, thread })
    }

    /// The addresses at which the server answers.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses at which the server answers over TLS.
    #[must_use]
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// Answers with another certificate from now on, over TLS. Connections that are open keep theirs.
    pub fn renew(&self, Certificate(config): Certificate) {
        if let Some(secret) = &self.secret {
            secret.store(config);
        }
    }

    /// The root certificates that upstreams over TLS are trusted by.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots.clone()
    }

    /// Changes the settings of synthesis, the limits, and the networks of clients. Queries that are under way keep theirs.
    pub fn update(&self, synthesis: Options, limits: Limits, clients: ClientNetworks) {
        self.settings.store(Arc::new(Settings::new(synthesis, limits, clients)));
    }

    /// The upstreams that are named now, in their order.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamState> {
        self.records.load().iter().map(|record| record.state()).collect()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until the other end of `ended` is dropped.
async fn serve(
    sockets: Vec<Sockets>,
    secure: Vec<std::net::TcpListener>,
    secret: Option<Secret>,
    forwarder: Rc<Forwarder>,
    ended: oneshot::Receiver<()>,
) {
    for listener in secure {
        if let Ok(listener) = TcpListener::from_std(listener) {
            tokio::task::spawn_local(tcp::serve(listener, secret.clone(), Rc::clone(&forwarder)));
        }
    }
    for Sockets { udp, tcp } in sockets {
        // Registering with epoll fails only without memory; the other sockets go on.
        if let Ok(socket) = UdpSocket::from_std(udp) {
            tokio::task::spawn_local(udp::serve(Rc::new(socket), Rc::clone(&forwarder)));
        }
        if let Ok(listener) = TcpListener::from_std(tcp) {
            tokio::task::spawn_local(tcp::serve(listener, None, Rc::clone(&forwarder)));
        }
    }
    let _ = ended.await;
}

impl Sockets {
    fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let mut bound = Self::bind_once(address);
        // The kernel chose a port for UDP, and something else may have it for TCP.
        for _ in 0..PORT_ATTEMPTS {
            match &bound {
                Err(ServerError::Listen { protocol: "TCP", error, .. })
                    if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                _ => break,
            }
            bound = Self::bind_once(address);
        }
        bound
    }

    fn bind_once(address: SocketAddr) -> Result<Self, ServerError> {
        let failed = |protocol| move |error| ServerError::Listen { address, protocol, error };
        let udp = bind_udp(address).map_err(failed("UDP"))?;
        let mut bound = address;
        bound.set_port(udp.local_addr().map_err(failed("UDP"))?.port());
        let tcp = bind_tcp(bound).map_err(failed("TCP"))?;
        Ok(Self { udp, tcp })
    }
}

/// Binds the port of TLS at each of these addresses, whatever ports they have.
fn bind_tls(addresses: &[SocketAddr], port: u16) -> Result<Vec<std::net::TcpListener>, ServerError> {
    let mut wanted: Vec<SocketAddr> = addresses.to_vec();
    for address in &mut wanted {
        address.set_port(port);
    }
    wanted.sort_unstable();
    wanted.dedup();
    let bind =
        |address| bind_tcp(address).map_err(|error| ServerError::Listen { address, protocol: "TLS", error });
    wanted.into_iter().map(bind).collect()
}

fn bind_udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    asked::tell(&socket, address.is_ipv6())?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // Connections of an earlier process may still linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    if address.is_ipv6() {
        // IPv4 clients have addresses of their own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
