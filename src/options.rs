//! Options as JavaScript gives them, and their parsers.

use std::net::{IpAddr, Ipv6Addr};

use faith_packet::excerpt::excerpt;
use faith_packet::ports::PortSet;
use faith_packet::prefix::FaithPrefix;
use napi_derive::napi;

use crate::failure::NativeFailure;

/// The options of a faith interface.
#[napi(object)]
pub struct NativeInterfaceOptions {
    /// A legal interface name.
    pub name: String,
    /// The prefixes to capture.
    pub prefixes: Vec<String>,
    /// The MTU in bytes.
    pub mtu: u32,
    /// True routes the prefixes to the interface.
    pub routes: bool,
    /// The answer to unsupported packets: `unreachable` or `drop`.
    pub unsupported: String,
    /// Number of worker threads; one per core by default.
    pub workers: Option<u32>,
    /// The way listeners on many ports get their connections: `auto` or `on-demand`.
    pub steering: String,
    /// True lets established connections bypass the pump if the kernel supports it.
    pub shortcut: bool,
}

/// Ports from `first` to `last`.
#[napi(object)]
pub struct NativePortRange {
    /// The lowest.
    pub first: u32,
    /// The highest.
    pub last: u32,
}

/// Destinations whose connections JavaScript serves itself.
#[napi(object)]
pub struct NativeLocalService {
    /// The IPv4 address; every address of the host by default, but loopback ones.
    pub address: Option<String>,
    /// The ports.
    pub ports: Vec<NativePortRange>,
}

/// The options of a listener.
#[napi(object)]
pub struct NativeListenOptions {
    /// Its ports.
    pub ports: Vec<NativePortRange>,
    /// Its address; every address by default.
    pub address: Option<String>,
    /// Length of the accept queue.
    pub backlog: u32,
    /// `rfc6052` or `low32`.
    pub mapping: String,
    /// Explicit mappings, as `2001:db8:64::80=198.51.100.80:8080`.
    pub mappings: Vec<String>,
}

/// The settings of a relay for datagrams.
#[napi(object)]
pub struct NativeUdpOptions {
    /// True relays datagrams of UDP.
    pub udp: bool,
    /// True relays echo requests.
    pub icmp: bool,
    /// `endpoint-independent`, `address-dependent` or `address-and-port-dependent`.
    pub filtering: String,
    /// `fragment` or `drop`.
    pub oversize: String,
    /// Time without a datagram of the client after which a session ends, in milliseconds.
    pub timeout_ms: u32,
    /// The same for single ports of servers.
    pub port_timeouts: Vec<NativePortTimeout>,
    /// Most ports of clients at a time.
    pub max_mappings: u32,
    /// Most ports of one client at a time; 0 is no limit.
    pub max_mappings_per_client: u32,
    /// New ports of one client per second; 0 is no limit.
    pub max_rate_per_client: u32,
    /// New sessions of all clients per second.
    pub max_rate: u32,
}

/// The timeout of sessions with a port of servers.
#[napi(object)]
pub struct NativePortTimeout {
    /// The port.
    pub port: u16,
    /// The time in milliseconds.
    pub timeout_ms: u32,
}

/// The options of a relay.
#[napi(object)]
pub struct NativeRelayOptions {
    /// Its ports.
    pub ports: Vec<NativePortRange>,
    /// True relays connections of TCP.
    pub tcp: bool,
    /// The settings for datagrams of UDP and for echo requests; absent relays none.
    pub udp: Option<NativeUdpOptions>,
    /// Its address; every address by default.
    pub address: Option<String>,
    /// Length of the accept queue.
    pub backlog: u32,
    /// `rfc6052` or `low32`.
    pub mapping: String,
    /// Explicit mappings, as `2001:db8:64::80=198.51.100.80:8080`.
    pub mappings: Vec<String>,
    /// The access list, in the grammar of faithd.conf(5).
    pub access_list: String,
    /// The name of the list in errors.
    pub access_list_name: String,
    /// True permits loopback addresses as destinations, under the rules.
    pub allow_loopback: bool,
    /// True holds SYNs until the server is connected.
    pub connect_first: bool,
    /// Most SYNs held at a time.
    pub max_held: u32,
    /// Most SYNs of one client held at a time.
    pub max_held_per_client: u32,
    /// Longest time that a server may take to answer, in milliseconds.
    pub connect_timeout_ms: u32,
    /// Longest time that a session may pass no byte, in milliseconds; 0 is no limit.
    pub idle_timeout_ms: u32,
    /// Time after which a silent peer counts as dead, in milliseconds.
    pub keep_alive_timeout_ms: u32,
    /// Most sessions at a time; 0 is no limit.
    pub max_sessions: u32,
    /// Address bits that identify one client.
    pub client_prefix_length: u8,
    /// Most sessions of one client at a time; 0 is no limit.
    pub max_sessions_per_client: u32,
    /// New sessions of one client per second; 0 is no limit.
    pub max_rate_per_client: u32,
    /// The version of the PROXY protocol, 1 or 2; 0 is none.
    pub proxy_protocol: u8,
    /// Addresses to connect from. A client keeps one of each family.
    pub local_addresses: Vec<String>,
    /// Ports of a client's block; 0 gives clients no blocks.
    pub port_block_size: u16,
    /// Most blocks of one client.
    pub port_blocks_per_client: u16,
    /// Time for which a block without connections stays its client's, in milliseconds.
    pub port_block_rest_ms: u32,
    /// True connects from privileged ports.
    pub privileged_local_port: bool,
    /// True gives packets to the server the DSCP of the client's SYN.
    pub copy_dscp: bool,
    /// Destinations whose connections go to `onConnections`.
    pub local_services: Vec<NativeLocalService>,
    /// True connects other connections to the host's own addresses.
    pub local_host: bool,
    /// True calls `onSessions` and `onRefusals`.
    pub session_events: bool,
    /// Longest time that an answer of `onQuestions` may take, in milliseconds; default 5000.
    pub route_timeout_ms: Option<u32>,
    /// Most open questions; default 1024.
    pub max_undecided: Option<u32>,
    /// The ports about whose connections the route is asked; all by default.
    pub route_ports: Option<Vec<NativePortRange>>,
}

pub(crate) fn prefix(text: &str) -> Result<FaithPrefix, NativeFailure> {
    text.parse().map_err(|error| {
        let mut failure =
            NativeFailure::new("ERR_FAITH_PREFIX", format!("prefix `{}`: {error}", excerpt(text)));
        failure.hint = Some("a prefix of RFC 6052 has 32, 40, 48, 56, 64 or 96 bits, as 64:ff9b::/96".into());
        failure
    })
}

pub(crate) fn ports(ranges: &[NativePortRange]) -> Result<PortSet, NativeFailure> {
    let mut narrowed = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (Ok(first), Ok(last)) = (u16::try_from(range.first), u16::try_from(range.last)) else {
            let message = format!("port {} is outside 1-65535", range.first.max(range.last));
            return Err(NativeFailure::new("ERR_FAITH_PORT", message));
        };
        narrowed.push((first, last));
    }
    PortSet::from_ranges(narrowed).map_err(|error| NativeFailure::new("ERR_FAITH_PORT", error))
}

pub(crate) fn address(text: Option<&String>) -> Result<Option<Ipv6Addr>, NativeFailure> {
    text.map(|text| ipv6(text)).transpose()
}

pub(crate) fn ipv6(text: &str) -> Result<Ipv6Addr, NativeFailure> {
    text.parse().map_err(|_| {
        NativeFailure::new("ERR_FAITH_ARGUMENT", format!("`{}` is not an IPv6 address", excerpt(text)))
    })
}

pub(crate) fn ip(text: &str) -> Result<IpAddr, NativeFailure> {
    text.parse().map_err(|_| {
        NativeFailure::new("ERR_FAITH_ARGUMENT", format!("`{}` is not an IP address", excerpt(text)))
    })
}

pub(crate) fn one_of<T: Copy>(what: &str, given: &str, choices: &[(&str, T)]) -> Result<T, NativeFailure> {
    choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("{what} is one of {}, not `{}`", names.join(", "), excerpt(given));
        NativeFailure::new("ERR_FAITH_ARGUMENT", message)
    })
}
