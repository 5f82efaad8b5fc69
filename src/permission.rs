//! The decision that a relay would make about a connection.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use faith_packet::access::WrittenRule;
use faith_packet::excerpt::excerpt;
use faith_packet::protocol::Protocol;
use faith_relay::Permission;
use napi_derive::napi;

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::relay_options::access_list;

/// A rule of an access list.
#[napi(object)]
pub struct NativeRule {
    /// The rule.
    pub text: String,
    /// Its file, if the list names one.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
}

impl From<WrittenRule> for NativeRule {
    fn from(rule: WrittenRule) -> Self {
        Self {
            text: rule.text,
            file: rule.file.as_deref().map(str::to_owned),
            line: rule.line.and_then(|line| u32::try_from(line).ok()),
        }
    }
}

/// The decision that a relay would make about a connection.
#[napi(object)]
pub struct NativePermission {
    /// The cause that would turn the connection away; none if it is permitted.
    pub cause: Option<String>,
    /// The rule that decides; none if a default does.
    pub rule: Option<NativeRule>,
    /// The IPv4 address that the connection would come from; none if the routing table chooses.
    pub local_address: Option<String>,
}

impl From<Permission> for NativePermission {
    fn from(permission: Permission) -> Self {
        let Permission { cause, rule, source } = permission;
        Self {
            cause: cause.map(|cause| cause.name().to_owned()),
            rule: rule.map(Into::into),
            local_address: source.as_ref().map(ToString::to_string),
        }
    }
}

/// Asks an access list about a client and a server. Errors call the list `name`.
#[napi(ts_return_type = "NativeFailure | NativePermission")]
#[must_use]
pub fn match_access_list(
    text: String,
    name: String,
    allow_loopback: bool,
    protocol: String,
    client: String,
    address: String,
    port: u16,
) -> Outcome<NativePermission> {
    let permission = ends(&client, &address, port).and_then(|(client, destination)| {
        let SocketAddr::V4(server) = destination else {
            return Err(wrong(format!("`{}` is not an IPv4 address", excerpt(&address))));
        };
        let list = access_list(&text, &name, allow_loopback)?;
        Ok(Permission::of(&list, protocol_of(&protocol)?, client, server, |_| false).into())
    });
    outcome(permission)
}

/// Parses the name of a protocol.
pub(crate) fn protocol_of(name: &str) -> Result<Protocol, NativeFailure> {
    name.parse().map_err(|_| wrong(format!("`{}` is not a protocol", excerpt(name))))
}

/// Parses a client's address and a destination.
pub(crate) fn ends(client: &str, address: &str, port: u16) -> Result<(Ipv6Addr, SocketAddr), NativeFailure> {
    let client = self::client(client)?;
    let address: IpAddr =
        address.parse().map_err(|_| wrong(format!("`{}` is not an IP address", excerpt(address))))?;
    Ok((client, SocketAddr::new(address, port)))
}

/// Parses a client's address.
pub(crate) fn client(client: &str) -> Result<Ipv6Addr, NativeFailure> {
    client.parse().map_err(|_| wrong(format!("`{}` is not an IPv6 address", excerpt(client))))
}

pub(crate) fn closed() -> NativeFailure {
    NativeFailure::new("ERR_FAITH_CLOSED", "the relay is closed")
}

fn wrong(message: impl Display) -> NativeFailure {
    NativeFailure::new("ERR_FAITH_ARGUMENT", message)
}
