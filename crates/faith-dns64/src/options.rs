//! The settings of synthesis.

use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::access::is_global;
use faith_packet::cidr::Ipv6Prefix;
use faith_packet::mapping::Mappings;
use faith_packet::prefix::FaithPrefix;

/// The IPv4-mapped addresses, which no IPv6-only client can reach.
const IPV4_MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

/// 64:ff9b::/96, which RFC 6052 section 3.1 reserves for global IPv4 addresses.
const WELL_KNOWN: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// The reading of an upstream that answers an AAAA query with an error other than NXDOMAIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failures {
    /// The name has no AAAA record, so the A records decide (RFC 6147 section 5.1.2). A SERVFAIL
    /// whose extended error says that DNSSEC validation failed is passed to the client regardless.
    #[default]
    Synthesise,
    /// The error passes to the client.
    Pass,
}

/// The settings of synthesis.
#[derive(Clone, Debug)]
pub struct Options {
    /// The prefixes of synthesised addresses; each A record gives one AAAA record per prefix. Without
    /// a prefix, nothing is synthesised, and ipv4only.arpa has no AAAA record.
    pub prefixes: Vec<FaithPrefix>,
    /// The way in which the relay reads addresses. An address that the relay would take for another
    /// server is not synthesised.
    pub mappings: Mappings,
    /// AAAA records inside these prefixes count as absent. Default: ::ffff:0:0/96.
    pub exclude: Vec<Ipv6Prefix>,
    /// The reading of errors. Default: [`Failures::Synthesise`].
    pub failures: Failures,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefixes: Vec::new(),
            mappings: Mappings::default(),
            exclude: Ipv6Prefix::new(IPV4_MAPPED, 96).into_iter().collect(),
            failures: Failures::default(),
        }
    }
}

impl Options {
    pub(crate) fn excludes(&self, address: Ipv6Addr) -> bool {
        self.exclude.iter().any(|prefix| prefix.contains(address))
    }

    /// The address that a client may dial for `server` in each prefix, in their order; `None` where there is none.
    pub(crate) fn addresses_of(&self, server: Ipv4Addr) -> impl Iterator<Item = Option<Ipv6Addr>> {
        let global = is_global(server);
        let usable = move |prefix: &&FaithPrefix| global || prefix.address() != WELL_KNOWN;
        self.prefixes.iter().map(move |prefix| self.mappings.embed(Some(prefix).filter(usable)?, server))
    }
}
