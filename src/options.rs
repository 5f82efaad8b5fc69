//! Options as JavaScript gives them, and what they mean.

use std::net::IpAddr;

use faith_packet::ports::PortSet;
use faith_packet::prefix::FaithPrefix;
use napi_derive::napi;

use crate::failure::NativeFailure;

/// How a faith interface is made.
#[napi(object)]
pub struct NativeInterfaceOptions {
    /// A legal interface name.
    pub name: String,
    /// What it captures.
    pub prefixes: Vec<String>,
    /// In bytes.
    pub mtu: u32,
    /// Whether to route the prefixes to it.
    pub routes: bool,
    /// `unreachable` or `drop`.
    pub unsupported: String,
    /// Worker threads; one per core unless given.
    pub workers: Option<u32>,
    /// `auto` or `on-demand`.
    pub steering: String,
    /// Whether established TCP goes past the pump where that is possible.
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

/// What a listener takes.
#[napi(object)]
pub struct NativeListenOptions {
    /// Its ports.
    pub ports: Vec<NativePortRange>,
    /// Its address; every one unless given.
    pub address: Option<String>,
    /// Length of the accept queue.
    pub backlog: u32,
    /// `rfc6052` or `low32`.
    pub mapping: String,
    /// Explicit mappings, as `2001:db8:64::80=198.51.100.80:8080`.
    pub mappings: Vec<String>,
}

/// How a relay works.
#[napi(object)]
pub struct NativeRelayOptions {
    /// Its ports.
    pub ports: Vec<NativePortRange>,
    /// Its address; every one unless given.
    pub address: Option<String>,
    /// Length of the accept queue.
    pub backlog: u32,
    /// `rfc6052` or `low32`.
    pub mapping: String,
    /// Explicit mappings, as `2001:db8:64::80=198.51.100.80:8080`.
    pub mappings: Vec<String>,
    /// The access list, as faithd.conf(5) has it.
    pub access_list: String,
    /// What errors call it.
    pub access_list_name: String,
    /// Whether 127/8 may be relayed to.
    pub allow_loopback: bool,
    /// Whether SYNs are held until the server is connected.
    pub connect_first: bool,
    /// How many SYNs may be held.
    pub max_held: u32,
    /// How many SYNs of one client /64 may be held.
    pub max_held_per_client: u32,
    /// In milliseconds.
    pub connect_timeout_ms: u32,
    /// In milliseconds; 0 is never.
    pub idle_timeout_ms: u32,
    /// In milliseconds.
    pub keep_alive_timeout_ms: u32,
    /// 0 is no limit.
    pub max_sessions: u32,
    /// Bits of an address that make one client.
    pub client_prefix_length: u8,
    /// 0 is no limit.
    pub max_sessions_per_client: u32,
    /// New sessions per second; 0 is no limit.
    pub max_rate_per_client: u32,
    /// 0 is none; or version 1 or 2.
    pub proxy_protocol: u8,
    /// Addresses that connections come from, of which a client keeps one of each family.
    pub local_addresses: Vec<String>,
    /// Whether connections come from privileged ports.
    pub privileged_local_port: bool,
    /// Whether the server's side gets the DSCP of the client's.
    pub copy_dscp: bool,
    /// How long an answer of `onQuestions` may take, in milliseconds; 5000.
    pub route_timeout_ms: Option<u32>,
    /// How many questions may be open; 1024.
    pub max_undecided: Option<u32>,
}

pub(crate) fn prefix(text: &str) -> Result<FaithPrefix, NativeFailure> {
    text.parse().map_err(|error| {
        let mut failure = NativeFailure::new("ERR_FAITH_PREFIX", format!("prefix `{text}`: {error}"));
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

pub(crate) fn address(text: Option<&String>) -> Result<Option<std::net::Ipv6Addr>, NativeFailure> {
    text.map(|text| {
        text.parse()
            .map_err(|_| NativeFailure::new("ERR_FAITH_ARGUMENT", format!("`{text}` is not an IPv6 address")))
    })
    .transpose()
}

pub(crate) fn ip(text: &str) -> Result<IpAddr, NativeFailure> {
    text.parse()
        .map_err(|_| NativeFailure::new("ERR_FAITH_ARGUMENT", format!("`{text}` is not an IP address")))
}

pub(crate) fn one_of<T: Copy>(what: &str, given: &str, choices: &[(&str, T)]) -> Result<T, NativeFailure> {
    choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let message = format!("{what} is one of {}, not `{given}`", names.join(", "));
        NativeFailure::new("ERR_FAITH_ARGUMENT", message)
    })
}
