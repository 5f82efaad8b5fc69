//! The decisions and settings that hold at the moment of a query.

use std::net::{IpAddr, Ipv6Addr};

use faith_dns64::Options;
use faith_packet::cidr::Ipv6Prefix;

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
}

/// The settings that may change while the server runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) synthesis: Options,
    /// The same, without a prefix.
    pub(crate) closed: Options,
    pub(crate) limits: Limits,
    clients: Vec<Ipv6Prefix>,
}

impl Settings {
    pub(crate) fn new(synthesis: Options, limits: Limits, clients: Vec<Ipv6Prefix>) -> Self {
        let closed = Options { prefixes: Vec::new(), ..synthesis.clone() };
        Self { synthesis, closed, limits, clients }
    }

    /// Returns true if the client gets answers.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let address = match client {
            IpAddr::V6(client) => client,
            IpAddr::V4(client) => client.to_ipv6_mapped(),
        };
        self.clients.is_empty() || self.clients.iter().any(|network| network.contains(address))
    }
}
