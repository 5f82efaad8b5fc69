//! The state of datagrams that the workers of a relay share: settings, limits, and the ports of clients.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use faith_stack::{Allowance, Rate};
use faith_sys::local_ports::LocalPorts;
use faith_sys::udp::UdpSocket;
use parking_lot::Mutex;

use super::options::UdpOptions;
use super::path::Paths;
use super::stats::{Counters, UdpStats};
use crate::cause::Cause;
use crate::clients::{ClientLimits, Clients, Full, Place};
use crate::refusal::Refusal;

/// The most destinations of a client's port, as a mean of all that there may be. The limits of mappings bound the first one
/// of each port, and so this bounds memory: a session takes 1.6 KB, and a client begins one by each datagram.
const DESTINATIONS: u32 = 8;

/// The part of a relay of datagrams that no worker owns.
pub(crate) struct State {
    options: ArcSwap<UdpOptions>,
    /// The clients and their mappings.
    pub(crate) clients: Arc<Clients>,
    /// The clients and the destinations of their ports beyond the first of each.
    destinations: Arc<Clients>,
    /// The sessions that all clients together may still begin.
    allowance: Allowance,
    /// The ports that this host gives to sockets.
    pub(crate) ports: LocalPorts,
    counters: Box<[Counters]>,
    /// The addresses and ports of the mappings. Locked when a mapping begins or ends, and for a client that sends to an
    /// address of the router.
    mapped: Mutex<HashSet<SocketAddrV4>>,
    /// Paths that routers called narrow.
    pub(crate) paths: Paths,
    /// True once no session may begin any more.
    stopped: AtomicBool,
    /// The raw sockets for echo requests, one for each worker, until the workers take them. `None` without `CAP_NET_RAW`.
    raw: Mutex<Vec<Option<UdpSocket>>>,
    pub(crate) workers: usize,
    /// Warns once that a way takes no superframes.
    pub(crate) without_superframes: Once,
}

impl State {
    pub(crate) fn new(options: UdpOptions, client_prefix_length: u8, workers: usize) -> Arc<Self> {
        let clients = Clients::new(Some(options.max_mappings), limits(&options, client_prefix_length));
        let (most, limits) = destinations(&options, client_prefix_length);
        // Opened now, because the process may give up its privileges.
        let shares = if options.icmp { 0..workers.max(1) } else { 0..0 };
        let open =
            |worker| UdpSocket::raw_echo(u32::try_from(worker).ok()?, u32::try_from(workers).ok()?).ok();
        Arc::new(Self {
            raw: Mutex::new(shares.map(open).collect()),
            workers,
            options: ArcSwap::from_pointee(options),
            clients,
            destinations: Clients::new(Some(most), limits),
            allowance: Allowance::default(),
            ports: LocalPorts::read(),
            counters: (0..workers.max(1)).map(|_| Counters::default()).collect(),
            mapped: Mutex::default(),
            paths: Paths::default(),
            stopped: AtomicBool::new(false),
            without_superframes: Once::new(),
        })
    }

    /// Takes a worker's raw socket for echo requests.
    pub(crate) fn take_raw(&self, worker: usize) -> Option<UdpSocket> {
        self.raw.lock().get_mut(worker)?.take()
    }

    /// The error for which echo requests cannot be relayed, if this process may have neither raw nor ping sockets.
    pub(crate) fn no_echo(&self) -> Option<io::Error> {
        let raw = self.raw.lock();
        if raw.first()?.is_some() { None } else { UdpSocket::ping().err() }
    }

    /// Treats sessions that begin by other options from now on.
    pub(crate) fn update(&self, options: UdpOptions, client_prefix_length: u8) {
        self.clients.limit(Some(options.max_mappings), limits(&options, client_prefix_length));
        let (most, limits) = destinations(&options, client_prefix_length);
        self.destinations.limit(Some(most), limits);
        self.options.store(Arc::new(options));
    }

    /// Lets no session begin any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn options(&self) -> Guard<Arc<UdpOptions>> {
        self.options.load()
    }

    /// Takes a session from the rate of all clients.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn take_session(&self, now: Instant) -> Result<(), Refusal> {
        let rate = Rate::per_second(self.options().max_rate);
        if self.allowance.take(rate, now) { Ok(()) } else { Err(Refusal::full(Cause::MaxRate)) }
    }

    /// Takes a place for one more destination of a client's port.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn take_destination(&self, client: &Ipv6Addr) -> Result<Option<Place>, Refusal> {
        self.destinations.enter(client).map_err(|_| Refusal::full(Cause::MaxDestinations))
    }

    /// Tells whether mappings or destinations run short.
    pub(crate) fn is_pressed(&self) -> bool {
        self.clients.is_pressed() || self.destinations.is_pressed()
    }

    pub(crate) fn add(&self, mapped: SocketAddrV4) {
        self.mapped.lock().insert(mapped);
    }

    pub(crate) fn remove(&self, mapped: SocketAddrV4) {
        self.mapped.lock().remove(&mapped);
    }

    /// Tells whether an address and port of the router are those of a client.
    pub(crate) fn is_mapped(&self, address: SocketAddrV4) -> bool {
        let anywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, address.port());
        let mapped = self.mapped.lock();
        mapped.contains(&address) || mapped.contains(&anywhere)
    }

    /// The counters of a worker.
    pub(crate) fn counters(&self, worker: usize) -> &Counters {
        &self.counters[worker % self.counters.len()]
    }

    pub(crate) fn stats(&self) -> UdpStats {
        let mut stats = UdpStats {
            mappings: self.clients.taken(),
            max_mappings: self.options().max_mappings,
            ..UdpStats::default()
        };
        self.counters.iter().for_each(|worker| worker.add_to(&mut stats));
        stats
    }
}

/// The cause of a refused mapping.
pub(crate) fn cause(full: Full) -> Cause {
    match full {
        Full::Relay => Cause::MaxMappings,
        Full::Sessions => Cause::MaxMappingsPerClient,
        Full::Rate => Cause::MaxRatePerClient,
    }
}

/// The most destinations beyond the first of each port: in all, and of each client.
fn destinations(options: &UdpOptions, prefix_length: u8) -> (u32, ClientLimits) {
    let most = |mappings: u32| mappings.saturating_mul(DESTINATIONS);
    let max_sessions = options.max_mappings_per_client.map(most);
    (most(options.max_mappings), ClientLimits { prefix_length, max_sessions, per_second: None })
}

fn limits(options: &UdpOptions, prefix_length: u8) -> ClientLimits {
    ClientLimits {
        prefix_length,
        max_sessions: options.max_mappings_per_client,
        per_second: options.max_rate_per_client,
    }
}
