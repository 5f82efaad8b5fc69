//! A second implementation of the access list's decision: a scan of the rules.

use std::cell::LazyCell;
use std::net::{Ipv6Addr, SocketAddrV4};

use faith_packet::access::{Action, Decision, DenyReason, Rule};
use faith_packet::cidr::Ipv4Prefix;
use faith_packet::protocol::Protocol;

/// A block inside another comes before it.
const SPECIAL: [&str; 15] = [
    "255.255.255.255/32",
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

pub(crate) fn decide(
    rules: &[Rule],
    allow_loopback: bool,
    protocol: Protocol,
    client: Ipv6Addr,
    destination: SocketAddrV4,
    is_own: impl FnOnce() -> bool,
) -> Decision {
    let address = *destination.ip();
    let loopback = address.is_loopback() || address.is_unspecified();
    if loopback && !allow_loopback {
        return Decision::Deny(DenyReason::Loopback);
    }
    let blocks = SPECIAL.iter().filter_map(|text| text.parse::<Ipv4Prefix>().ok());
    let block = blocks.into_iter().find(|block| !loopback && block.contains(address));
    let is_own = LazyCell::new(|| !loopback && is_own());

    for rule in rules {
        let ports = rule.ports.as_ref();
        let matches = rule.source.contains(client)
            && rule.destination.contains(address)
            && rule.protocol.is_none_or(|only| only == protocol)
            && ports.is_none_or(|ports| ports.contains(destination.port()));
        if !matches {
            continue;
        }
        let Action::Permit { outgoing } = rule.action else {
            return Decision::Deny(DenyReason::Rule);
        };
        let length = rule.destination.length();
        let names_block = block.is_none_or(|block| length >= block.length());
        if names_block && (length == 32 || !*is_own) {
            return Decision::Permit { outgoing };
        }
    }

    match block {
        _ if *is_own => Decision::Deny(DenyReason::OwnAddress),
        Some(_) => Decision::Deny(DenyReason::SpecialPurpose),
        None if rules.is_empty() => Decision::Permit { outgoing: None },
        None => Decision::Deny(DenyReason::NoMatch),
    }
}
