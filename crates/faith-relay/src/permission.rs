//! The decision that a relay would make about a connection, and its cause.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV4};

use faith_packet::access::{AccessList, Basis, Decision, Judgement, WrittenRule};
use faith_packet::protocol::Protocol;

use crate::cause::Cause;

/// The decision of the mappings and an access list about a connection that has not been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The cause that would turn the connection away; `None` permits it.
    pub cause: Option<Cause>,
    /// The rule that decides; `None` if a default does.
    pub rule: Option<WrittenRule>,
    /// The address that the connection to the server would come from; `None` is the routing table's choice.
    pub source: Option<IpAddr>,
}

impl Permission {
    /// Asks a list about a client and the server that it dials by this protocol. `is_own` returns true if an address is one of the router's
    /// own.
    #[must_use]
    pub fn of(
        list: &AccessList,
        protocol: Protocol,
        client: Ipv6Addr,
        server: SocketAddrV4,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Self {
        Self::new(list, list.judge(protocol, Basis::Dialled, client, server.into(), is_own))
    }

    /// Tells a judgement of a list.
    pub(crate) fn new(list: &AccessList, judgement: Judgement) -> Self {
        let rule = judgement.rule.and_then(|place| list.written(place));
        match judgement.decision {
            Decision::Permit { outgoing } => Self { cause: None, rule, source: outgoing.map(IpAddr::V4) },
            Decision::Deny(reason) => Self { cause: Some(reason.into()), rule, source: None },
        }
    }
}
