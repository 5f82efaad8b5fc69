//! The decisions and settings that hold at the moment of a query.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use faith_dns64::Options;
use faith_packet::cidr::Ipv6Prefix;
use faith_packet::prefix::FaithPrefix;

use crate::clients::Limits;

/// The decisions that synthesis depends on at the moment of a query.
pub trait Gate: Send + Sync + 'static {
    /// Returns true while addresses of the prefixes lead anywhere. Otherwise nothing is synthesised.
    fn is_open(&self) -> bool;

    /// Returns true if `client` may connect to this address of a prefix.
    fn permits(&self, client: IpAddr, address: Ipv6Addr) -> bool;

    /// Learns that `client` gets these addresses for a name, in lower case and without the dot at its end, and may keep
    /// them for `ttl` seconds.
    fn gave(&self, client: IpAddr, name: &str, addresses: &[Ipv6Addr], ttl: u32) {
        let _ = (client, name, addresses, ttl);
    }

    /// Returns true if `client` is in a network of this host. Such clients get answers where no networks are given.
    fn is_local(&self, client: IpAddr) -> bool;

    /// Hears of a fault that the operator can mend. Called on the server's thread; it must not block.
    fn warn_of(&self, fault: Fault);
}

/// The faults that a server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This client is in none of the networks that get answers. Told for one client, until the networks change.
    Refused(IpAddr),
    /// This upstream is the server itself, so it is not asked. Told once for each.
    OwnUpstream(SocketAddr),
    /// This upstream, an address or URL, asks this server what this server asks it. Told once for each.
    Loop(String),
    /// This upstream cannot be asked; told for each other reason. Without one it answers again.
    Upstream {
        /// The address or URL.
        upstream: String,
        /// The reason, in words that fit behind the upstream.
        trouble: Option<String>,
    },
}

/// The settings that may change while the server runs.
#[derive(Debug)]
pub(crate) struct Settings {
    synthesis: Options,
    /// The same, without a prefix.
    pub(crate) closed: Options,
    pub(crate) limits: Limits,
    /// The networks that get answers; without any, those of this host do.
    pub(crate) clients: Vec<Ipv6Prefix>,
    /// The settings of synthesis for networks that have prefixes of their own.
    own: Vec<(Ipv6Prefix, Options)>,
}

/// The networks that get answers, and the prefixes of some.
#[derive(Clone, Debug, Default)]
pub struct ClientNetworks {
    /// The networks whose clients get answers; without any, those of this host ([`Gate::is_local`]). A client with an IPv4
    /// address counts as its IPv4-mapped one.
    pub admitted: Vec<Ipv6Prefix>,
    /// The prefixes for the clients of a network, in place of [`Options::prefixes`]. The first network that has a client
    /// counts.
    pub prefixes: Vec<(Ipv6Prefix, Vec<FaithPrefix>)>,
}

impl Settings {
    pub(crate) fn new(synthesis: Options, limits: Limits, clients: ClientNetworks) -> Self {
        let with = |prefixes| Options { prefixes, ..synthesis.clone() };
        let closed = with(Vec::new());
        let own = clients.prefixes.into_iter().map(|(network, prefixes)| (network, with(prefixes))).collect();
        Self { synthesis, closed, limits, clients: clients.admitted, own }
    }

    /// The settings of synthesis for a client.
    pub(crate) fn synthesis_for(&self, client: IpAddr) -> &Options {
        let client = mapped(client);
        let own = self.own.iter().find(|(network, _)| network.contains(client));
        own.map_or(&self.synthesis, |(_, options)| options)
    }

    /// Returns true if the client gets answers.
    pub(crate) fn admits(&self, client: IpAddr, gate: &dyn Gate) -> bool {
        if self.clients.is_empty() {
            return gate.is_local(client);
        }
        let address = mapped(client);
        self.clients.iter().any(|network| network.contains(address))
    }
}

fn mapped(client: IpAddr) -> Ipv6Addr {
    match client {
        IpAddr::V6(client) => client,
        IpAddr::V4(client) => client.to_ipv6_mapped(),
    }
}
