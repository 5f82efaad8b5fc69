//! A relay on a faith interface.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use faith_packet::access::AccessList;
use faith_packet::mapping::Mappings;
use faith_packet::prefix::FaithPrefix;
use faith_packet::protocol::Protocol;
use faith_stack::{
    Accepting, BeginDatagrams, Carried, DatagramsHandle, FaithInterface, Guide, HoldLimits, HostSockets,
    ListenOptions, ListenerHandle, StackError,
};
use faith_sys::local_ports::LocalPorts;
use faith_sys::{descriptors, source, tcp};
use parking_lot::Mutex;

use crate::admission::Router;
use crate::cause::Cause;
use crate::clients::Place;
use crate::connect_error::ConnectError;
use crate::counters::RelayStats;
use crate::detail::SessionDetail;
use crate::engine::Engine;
use crate::live::LiveSession;
use crate::networks::{ClientNetwork, count_blocks};
use crate::options::RelayOptions;
use crate::permission::Permission;
use crate::port_blocks::PortBlockOptions;
use crate::port_claims::blocks_of;
use crate::record::Observer;
use crate::room::{PROMISED, Room};
use crate::source_use::SourceUse;
use crate::udp::{Part, UdpOptions};
use crate::upstream::check_source;

/// The guide is the router, not the interface: the interface holds the listener, which holds the engine.
impl Router for Guide {
    fn is_own(&self, address: IpAddr) -> bool {
        self.is_own(address)
    }

    fn owns(&self, address: Ipv4Addr) -> bool {
        self.owns(address)
    }

    fn prefix_of(&self, address: Ipv6Addr) -> Option<FaithPrefix> {
        self.prefix_of(&address)
    }
}

/// Sets the options that every accepted leg inherits.
fn prepare(listener: BorrowedFd<'_>) -> io::Result<()> {
    tcp::prepare_leg(listener)?;
    tcp::send_at_once(listener)
}

/// Sets the same options, and keeps the SYNs of accepted connections for a relay that copies their DSCP.
fn prepare_and_save_syn(listener: BorrowedFd<'_>) -> io::Result<()> {
    prepare(listener)?;
    source::save_syn(listener)
}

/// Checks that connections can come from each of the relay's own sources.
fn check_sources(options: &RelayOptions) -> Result<(), StackError> {
    let any = options.sources.is_empty().then_some(None);
    let mut sources = options.sources.iter().copied().map(Some).chain(any);
    sources.try_for_each(|source| check_source(source, options.privileged_source).map_err(unusable))
}

/// Checks that the host's ports make at least one block.
fn check_port_blocks(options: &RelayOptions) -> Result<(), StackError> {
    let Some(PortBlockOptions { size, .. }) = options.port_blocks else { return Ok(()) };
    let range = LocalPorts::read().range;
    if blocks_of(&range, size) > 0 {
        return Ok(());
    }
    Err(StackError::System {
        what: format!("give clients blocks of {size} ports"),
        syscall: "connect",
        source: io::Error::other(format!("net.ipv4.ip_local_port_range has {} ports", range.len())),
        hint: Some("choose smaller blocks, or widen net.ipv4.ip_local_port_range"),
    })
}

fn protocols_of(options: &RelayOptions) -> Vec<Protocol> {
    let (udp, icmp) = options.udp.as_ref().map_or((false, false), |udp| (udp.udp, udp.icmp));
    let carried = [(options.tcp, Protocol::Tcp), (udp, Protocol::Udp), (icmp, Protocol::Icmp)];
    carried.into_iter().filter_map(|(carries, protocol)| carries.then_some(protocol)).collect()
}

fn unusable(error: ConnectError) -> StackError {
    let missing = match error {
        ConnectError::Source { address: IpAddr::V6(_), .. } => {
            "this host does not have that address: give it to an interface, or let net.ipv6.ip_nonlocal_bind have it used"
        }
        _ => {
            "this host does not have that address: give it to an interface, or let net.ipv4.ip_nonlocal_bind have it used"
        }
    };
    let (what, syscall, source) = match error {
        ConnectError::Source { address, error } if address.is_unspecified() => {
            ("connect from a privileged port".to_owned(), "bind", error)
        }
        ConnectError::Source { address, error } => (format!("connect from {address}"), "bind", error),
        ConnectError::Prohibited(error)
        | ConnectError::Reported { error, .. }
        | ConnectError::Ports { error, .. }
        | ConnectError::Other(error) => ("make a socket for servers".to_owned(), "socket", error),
    };
    let hint = match source.kind() {
        io::ErrorKind::AddrNotAvailable => Some(missing),
        io::ErrorKind::PermissionDenied => Some("run as root, or give CAP_NET_BIND_SERVICE"),
        _ => None,
    };
    StackError::System { what, syscall, source, hint }
}

/// An open relay. It carries the connections of its ports to the IPv4 servers that their addresses map to, or to the
/// servers that its route names.
///
/// Dropping the relay stops its listener. Sessions go on until they end or the interface is closed.
/// [`close`](Self::close) ends them too.
pub struct Relay {
    engine: Arc<Engine>,
    feed: Feed,
    room: Mutex<Room<'static>>,
    /// Descriptors that were left when it was opened. Those that its sessions have by now are its own.
    left: u32,
    /// The protocols that it carries.
    protocols: Vec<Protocol>,
    /// True until it takes no more connections.
    accepts: AtomicBool,
}

/// The origin of a relay's connections.
enum Feed {
    Faith {
        /// `None` if the relay carries no TCP.
        listener: Option<ListenerHandle>,
        /// One each for UDP and for echo requests, if the relay carries them.
        datagrams: Vec<DatagramsHandle>,
    },
    Host(Accepting),
}

impl Feed {
    fn close(&self) {
        match self {
            Self::Faith { listener, datagrams } => {
                if let Some(listener) = listener {
                    listener.close();
                }
                datagrams.iter().for_each(DatagramsHandle::release);
            }
            Self::Host(accepting) => accepting.close(),
        }
    }

    fn limit_held(&self, limits: HoldLimits) {
        if let Self::Faith { listener: Some(listener), .. } = self {
            listener.limit_held(limits);
        }
    }

    /// Ends the sessions of datagrams.
    fn close_datagrams(&self) {
        if let Self::Faith { datagrams, .. } = self {
            datagrams.iter().for_each(DatagramsHandle::close);
        }
    }

    // The host's own TCP delivers last bytes and resets also after the process has ended.

    fn before_resets(&self) {
        if let Self::Faith { listener: Some(listener), .. } = self {
            listener.before_resets();
        }
    }

    async fn delivered(&self, within: Duration) {
        if let Self::Faith { listener: Some(listener), .. } = self {
            listener.delivered(within).await;
        }
    }
}

impl Relay {
    /// Starts a relay. `observer` gets the record of every session. Lowers limits for which the process has too few
    /// descriptors, not counting those promised to held SYNs of its other relays ([`RelayStats::max_held`]). Blocks for a short
    /// time, while the listener opens.
    ///
    /// # Errors
    ///
    /// Those of [`FaithInterface::listen`]: keepfaith is off, a port is taken, the address is in no prefix,
    /// the interface is closed, or the kernel refuses. `EADDRNOTAVAIL` if the host lacks one of the sources, `EACCES`
    /// if a privileged port needs a capability.
    #[expect(clippy::needless_pass_by_value, reason = "callers share it as an Arc")]
    pub fn start(
        interface: Arc<FaithInterface>,
        mut options: RelayOptions,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, StackError> {
        let left = descriptors::left();
        let room = PROMISED.fit(&mut options, left);
        let listen = ListenOptions {
            ports: options.ports.clone(),
            address: options.address,
            backlog: options.backlog,
            prepare: if options.copy_dscp { prepare_and_save_syn } else { prepare },
            hold: options.connect_first.then_some(options.hold),
        };
        check_sources(&options)?;
        check_port_blocks(&options)?;
        let workers = interface.workers();
        let (tcp, ports, address) = (options.tcp, options.ports.clone(), options.address);
        let protocols = protocols_of(&options);
        let engine = Engine::new(options, interface.guide(), workers, observer);
        let listener = tcp.then(|| interface.listen(listen, Arc::clone(&engine) as _)).transpose()?;
        let mut datagrams = Vec::new();
        if let Some(state) = &engine.udp {
            let UdpOptions { udp, icmp, .. } = **state.options();
            let carried = [
                udp.then_some((Protocol::Udp, Carried::Udp(ports))),
                icmp.then_some((Protocol::Icmp, Carried::Echo)),
            ];
            for (protocol, carried) in carried.into_iter().flatten() {
                let (engine, state) = (Arc::clone(&engine), Arc::clone(state));
                let begin: BeginDatagrams =
                    Arc::new(move |outlet| Part::new(protocol, &engine, &state, outlet));
                datagrams.push(interface.receive_datagrams(carried, address, &begin)?);
            }
            if let Some(error) = state.no_echo().filter(|_| icmp) {
                interface.warn_of_no_echo(error);
            }
        }
        let (feed, room) = (Feed::Faith { listener, datagrams }, Mutex::new(room));
        Ok(Self { engine, feed, room, left, protocols, accepts: AtomicBool::new(true) })
    }

    /// Starts a relay for sockets of the host, which other programs have made: connected ones, and those that listening ones
    /// accept. Their local addresses are what the clients dialled. The clients are accepted already, so `connect_first` is off;
    /// ports, address, backlog, `udp` and `copy_dscp` do not apply. Otherwise as [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// A descriptor is not a TCP socket of IPv6; those of [`start`](Self::start) about sources.
    pub fn start_on(
        host: &HostSockets,
        mut options: RelayOptions,
        sockets: Vec<OwnedFd>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, StackError> {
        options.connect_first = false;
        options.copy_dscp = false;
        options.udp = None;
        let left = descriptors::left();
        let room = PROMISED.fit(&mut options, left);
        check_sources(&options)?;
        let protocols = protocols_of(&options);
        let engine = Engine::new(options, host.guide(), 1, observer);
        let accepting = host.serve(sockets, prepare, Arc::clone(&engine) as _)?;
        let (feed, room) = (Feed::Host(accepting), Mutex::new(room));
        Ok(Self { engine, feed, room, left, protocols, accepts: AtomicBool::new(true) })
    }

    /// Treats connections by other options from now on; sessions go on as they began. Ports, address, backlog, access list,
    /// routing, taker, `connect_first` and `copy_dscp` stay as they are. A session that began without a limit does not count
    /// towards one. Limits are lowered as by [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// `EADDRNOTAVAIL` where the host lacks one of the sources, `EACCES` where a privileged one needs a capability. Nothing
    /// has changed then.
    pub fn update(&self, mut options: RelayOptions) -> Result<(), StackError> {
        check_sources(&options)?;
        check_port_blocks(&options)?;
        let now = self.engine.options();
        options.connect_first = now.connect_first;
        options.copy_dscp = now.copy_dscp;
        drop(now);
        let mut room = self.room.lock();
        room.give_back();
        *room = PROMISED.fit(&mut options, self.left);
        self.feed.limit_held(options.hold);
        self.engine.update(options);
        Ok(())
    }

    /// Takes no more connections: their ports are free when this returns. Attempts and sessions go on, until
    /// [`close`](Self::close). Blocks shortly.
    pub fn stop(&self) {
        self.close_ports();
        self.room.lock().give_back();
    }

    fn close_ports(&self) {
        self.accepts.store(false, Ordering::Relaxed);
        if let Some(state) = &self.engine.udp {
            state.stop();
        }
        self.feed.close();
    }

    /// Judges new connections by `access` from now on. Sessions go on. With `end_denied` the relay resets both sides of those
    /// that the list does not permit ([`SessionEnd::Aborted`](crate::SessionEnd::Aborted)), but of none whose server the route
    /// named.
    pub fn set_access(&self, access: AccessList, end_denied: bool) {
        self.engine.set_access(access, end_denied);
    }

    /// Tells the relay's present decision about a client and a destination by a protocol: an address that the client dials, or
    /// the IPv4 server for which that stands. The port is 0 for echo requests. Ignores limits and the route, and has no effect.
    #[must_use]
    pub fn permission(&self, protocol: Protocol, client: Ipv6Addr, destination: SocketAddr) -> Permission {
        self.engine.admission.permission(protocol, client, destination)
    }

    /// Takes a place among the sessions of the relay and of `client`, for a connection that the caller carries itself. The limits
    /// count it until it is dropped. `None` if nothing is limited.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take_place(&self, client: &Ipv6Addr) -> Result<Option<Place>, Cause> {
        self.engine.admission.take_place(client)
    }

    /// Returns true until the relay is told to take no more connections, by [`stop`](Self::stop) or
    /// [`close`](Self::close).
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.accepts.load(Ordering::Relaxed)
    }

    /// Tells whether `client` may now reach some port of the address that it dials, by one of the relay's protocols.
    /// Ignores limits, the route, and the ports of the relay, as [`permission`](Self::permission) does.
    #[must_use]
    pub fn permits_any_port(&self, client: Ipv6Addr, dialled: Ipv6Addr) -> bool {
        self.engine.admission.permits_any_port(self.protocols.iter().copied(), client, dialled)
    }

    /// The present way of reading addresses.
    #[must_use]
    pub fn mappings(&self) -> Mappings {
        self.engine.admission.mappings()
    }

    /// The active sessions with ids above `after`, in the order of their ids, `most` of them at most. A caller that passes the
    /// last id it got gets the next sessions, and no session twice.
    ///
    /// Attempts, which have no server yet, are not among them.
    #[must_use]
    pub fn sessions(&self, after: u64, most: usize) -> Vec<LiveSession> {
        self.engine.ledger.sessions(after, most)
    }

    /// An active session in detail, if there is one with this id: that of a connection with both sides as the kernel describes
    /// them. Takes a
    /// dozen system calls, and delays sessions of the same worker that begin or end meanwhile.
    #[must_use]
    pub fn session(&self, id: u64) -> Option<SessionDetail> {
        self.engine.detail(id)
    }

    /// Sums up the active sessions by networks of `prefix_length` bits, those with most sessions first. Takes some
    /// milliseconds for 20000 sessions, and delays each worker by a page of its sessions at a time.
    #[must_use]
    pub fn networks(&self, prefix_length: u8) -> Vec<ClientNetwork> {
        let mut networks = self.engine.ledger.networks(prefix_length);
        count_blocks(&mut networks, prefix_length, self.engine.admission.blocks.owners());
        networks
    }

    /// The use of each address that connections to servers come from: those of [`RelayOptions::sources`], and others that have
    /// sessions or blocks. Takes some milliseconds for 20000 sessions, and delays each worker by a page of its sessions at a
    /// time.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceUse> {
        self.engine.sources()
    }

    /// The id of the last session or attempt that began; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.engine.ledger.newest()
    }

    /// Resets both sides of an active session ([`SessionEnd::Aborted`](crate::SessionEnd::Aborted)); tells whether there is one
    /// with this id.
    pub fn end(&self, id: u64) -> bool {
        self.engine.ledger.end(id)
    }

    /// The counters at this moment.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        self.engine.stats()
    }

    /// Ends the relay. It takes no new connection and gives up attempts. Sessions have up to `drain` to end by themselves; then
    /// the relay resets the rest on both sides ([`SessionEnd::Aborted`](crate::SessionEnd::Aborted)). Resolves when every
    /// session has ended and either the clients have acknowledged all their bytes or `drain` is over. The stack goes on sending
    /// unacknowledged bytes while the interface is open.
    ///
    /// The caller may call this again, even while it runs. The shortest `drain` counts, and each call resolves likewise. It
    /// needs any tokio runtime with time enabled, and the interface's workers must run.
    pub async fn close(&self, drain: Duration) {
        let begun = Instant::now();
        self.close_ports();
        self.engine.ledger.close(drain, || self.feed.before_resets()).await;
        self.feed.close_datagrams();
        self.engine.admission.blocks.close();
        self.room.lock().give_back();
        self.feed.delivered(drain.saturating_sub(begun.elapsed())).await;
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
