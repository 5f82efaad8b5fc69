//! One line of an access list.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::cidr::{CidrError, Ipv4Prefix, Ipv6Prefix};
use crate::excerpt::excerpt;
use crate::ports::{PortListError, PortSet};
use crate::protocol::Protocol;

/// The action of a rule on the connections it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The relay may take them.
    Permit {
        /// The router's IPv4 address from which the relay connects; `None` leaves it to the routing
        /// table.
        outgoing: Option<Ipv4Addr>,
    },
    /// The relay refuses them.
    Deny,
}

/// One line of an access list: `SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]`.
///
/// ```
/// use faith_packet::access::Rule;
/// let rule: Rule = "2001:db8:1::/48 permit 198.51.100.0/24 port 25,8000-8999 192.0.2.1".parse()?;
/// assert_eq!(rule.ports.unwrap().to_string(), "25,8000-8999");
/// # Ok::<(), faith_packet::access::RuleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The clients it matches.
    pub source: Ipv6Prefix,
    /// The action on their connections.
    pub action: Action,
    /// The destinations it matches.
    pub destination: Ipv4Prefix,
    /// The protocol it matches; `None` means every protocol.
    pub protocol: Option<Protocol>,
    /// The ports it matches; `None` means every port. A rule with ports matches no echo request.
    pub ports: Option<PortSet>,
}

impl Rule {
    /// A rule that lets every client reach any port of a destination.
    #[must_use]
    pub fn permit(destination: Ipv4Prefix) -> Self {
        let action = Action::Permit { outgoing: None };
        Self { source: Ipv6Prefix::all(), action, destination, protocol: None, ports: None }
    }

    /// A rule that lets no client reach any port of a destination.
    #[must_use]
    pub fn deny(destination: Ipv4Prefix) -> Self {
        let action = Action::Deny;
        Self { source: Ipv6Prefix::all(), action, destination, protocol: None, ports: None }
    }
}

/// Errors of reading a [`Rule`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// The line ends too early.
    #[error("{0} is missing; write SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]")]
    Missing(&'static str),
    /// The first word is not an IPv6 prefix.
    #[error("source: {0}")]
    Source(#[source] CidrError<Ipv6Addr>),
    /// The second word is neither `permit` nor `deny`.
    #[error("expected `permit` or `deny`, found {0:?}")]
    Action(String),
    /// The third word is not an IPv4 prefix.
    #[error("destination: {0}")]
    Destination(#[source] CidrError<Ipv4Addr>),
    /// The word behind `port` is not a list of ports.
    #[error("port: {0}")]
    Ports(#[source] PortListError),
    /// Echo requests have no ports.
    #[error("`icmp` has no ports; leave `port` out")]
    NoPorts,
    /// The word behind the destination is neither a protocol, nor `port`, nor an IPv4 address.
    #[error(
        "expected `tcp`, `udp`, `icmp`, `port LIST` or an outgoing IPv4 address without a length, found {0:?}"
    )]
    Outgoing(String),
    /// A connection cannot come from this address.
    #[error("{0} cannot be an outgoing address; write one of the router's own")]
    NoSource(Ipv4Addr),
    /// A deny rule has an outgoing address.
    #[error("a `deny` has no outgoing address; remove {0}, or write `permit`")]
    DenyOutgoing(Ipv4Addr),
    /// The line has more words behind the rule.
    #[error("expected the end of the line, found {0:?}")]
    Trailing(String),
    /// The line has a carriage return inside.
    #[error("there is a carriage return inside the line; end lines with line feeds")]
    CarriageReturn,
}

/// Reads the words of a line without a comment. `permit`, `deny`, `tcp`, `udp`, `icmp` and `port` ignore case; a prefix may
/// be a lone address.
impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_ascii_whitespace();
        let mut need = |what| words.next().ok_or(RuleError::Missing(what));

        let source = need("a source")?.parse().map_err(RuleError::Source)?;
        let action = need("`permit` or `deny`")?;
        let permit = action.eq_ignore_ascii_case("permit");
        if !permit && !action.eq_ignore_ascii_case("deny") {
            return Err(RuleError::Action(excerpt(action)));
        }
        let destination = need("a destination")?.parse().map_err(RuleError::Destination)?;

        let mut next = words.next();
        let protocol = next.and_then(|word| word.parse().ok());
        if protocol.is_some() {
            next = words.next();
        }
        let mut ports = None;
        if next.is_some_and(|word| word.eq_ignore_ascii_case("port")) {
            if protocol == Some(Protocol::Icmp) {
                return Err(RuleError::NoPorts);
            }
            let list = words.next().ok_or(RuleError::Missing("a list of ports"))?;
            ports = Some(list.parse().map_err(RuleError::Ports)?);
            next = words.next();
        }
        let outgoing = next.map(outgoing).transpose()?;
        if let Some(word) = words.next() {
            return Err(RuleError::Trailing(excerpt(word)));
        }
        let action = match (permit, outgoing) {
            (true, outgoing) => Action::Permit { outgoing },
            (false, None) => Action::Deny,
            (false, Some(address)) => return Err(RuleError::DenyOutgoing(address)),
        };
        Ok(Self { source, action, destination, protocol, ports })
    }
}

fn outgoing(word: &str) -> Result<Ipv4Addr, RuleError> {
    let address: Ipv4Addr = word.parse().map_err(|_| RuleError::Outgoing(excerpt(word)))?;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return Err(RuleError::NoSource(address));
    }
    Ok(address)
}

/// Writes the line from which the rule can be read, with `/32` and `/128` for single addresses.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, outgoing) = match self.action {
            Action::Permit { outgoing } => ("permit", outgoing),
            Action::Deny => ("deny", None),
        };
        write!(f, "{} {action} {}", self.source, self.destination)?;
        if let Some(protocol) = self.protocol {
            write!(f, " {protocol}")?;
        }
        if let Some(ports) = &self.ports {
            write!(f, " port {ports}")?;
        }
        if let Some(outgoing) = outgoing {
            write!(f, " {outgoing}")?;
        }
        Ok(())
    }
}
