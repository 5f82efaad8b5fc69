//! The cause of a refusal, which is more precise than its [`RefusalReason`](crate::RefusalReason), and of an aborted
//! session.

use faith_packet::access::DenyReason;

/// The cause that turned an attempt away, or that had a session aborted. There is none if the reason says all, as when
/// the server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// A rule of the access list denies the destination.
    DeniedByRule,
    /// No rule of the access list permits the destination.
    DeniedNoMatch,
    /// The destination is a special-purpose address that no rule opens.
    SpecialPurpose,
    /// The destination is an address of the router itself, or one that this process captures, which no rule opens.
    OwnAddress,
    /// The destination is the router's loopback, and loopback is not allowed.
    Loopback,
    /// This host's own firewall or routing table prohibits the connection (`EACCES`, `EPERM`).
    ProhibitedByHost,
    /// The [`Route`](crate::Route) rejected the connection.
    RejectedByRoute,
    /// The [`Route`](crate::Route) gave no verdict.
    NoVerdict,
    /// The destination maps to no IPv4 address.
    NoMapping,
    /// The connection cannot come from the source address chosen for it, usually because this host does not have it.
    NoSource,
    /// The relay has as many sessions as it may have.
    MaxSessions,
    /// The client has as many sessions as it may have.
    MaxSessionsPerClient,
    /// The client begins sessions faster than it may: its allowance, which refills bit by bit, is used up.
    MaxRatePerClient,
    /// The blocks of source ports that the client may have leave no port towards the server.
    MaxPortsPerClient,
    /// No block of source ports is left for the client.
    NoPortBlock,
    /// As many ports of clients have datagrams relayed as may.
    MaxMappings,
    /// As many ports of the client have datagrams relayed as may.
    MaxMappingsPerClient,
    /// The port of the client, the ports of its network, or those of all clients have as many destinations as they may.
    MaxDestinations,
    /// All clients together begin sessions of datagrams faster than they may.
    MaxRate,
    /// The limit of connections that wait for the [`Route`](crate::Route) is reached.
    MaxUndecided,
    /// The client gave up before it was answered.
    ClientGaveUp,
    /// The client did not complete its handshake after it was answered.
    NoHandshake,
    /// A new access list denies the session or the attempt, and was told to end those that it denies.
    EndDenied,
    /// The relay was closed before the end.
    RelayClosed,
    /// An operator or the program ended the session by its id.
    EndedOnRequest,
}

impl Cause {
    /// Number of causes.
    pub const COUNT: usize = Self::ALL.len();

    /// Every cause, in the order of [`index`](Self::index).
    pub const ALL: [Self; 25] = [
        Self::DeniedByRule,
        Self::DeniedNoMatch,
        Self::SpecialPurpose,
        Self::OwnAddress,
        Self::Loopback,
        Self::ProhibitedByHost,
        Self::RejectedByRoute,
        Self::NoVerdict,
        Self::NoMapping,
        Self::NoSource,
        Self::MaxSessions,
        Self::MaxSessionsPerClient,
        Self::MaxRatePerClient,
        Self::MaxPortsPerClient,
        Self::NoPortBlock,
        Self::MaxMappings,
        Self::MaxMappingsPerClient,
        Self::MaxDestinations,
        Self::MaxRate,
        Self::MaxUndecided,
        Self::ClientGaveUp,
        Self::NoHandshake,
        Self::EndDenied,
        Self::RelayClosed,
        Self::EndedOnRequest,
    ];

    /// The cause's name in statistics and logs, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeniedByRule => "denied-by-rule",
            Self::DeniedNoMatch => "denied-no-match",
            Self::SpecialPurpose => "special-purpose",
            Self::OwnAddress => "own-address",
            Self::Loopback => "loopback",
            Self::ProhibitedByHost => "prohibited-by-host",
            Self::RejectedByRoute => "rejected-by-route",
            Self::NoVerdict => "no-verdict",
            Self::NoMapping => "no-mapping",
            Self::NoSource => "no-source",
            Self::MaxSessions => "max-sessions",
            Self::MaxSessionsPerClient => "max-sessions-per-client",
            Self::MaxRatePerClient => "max-rate-per-client",
            Self::MaxPortsPerClient => "max-ports-per-client",
            Self::NoPortBlock => "no-port-block",
            Self::MaxMappings => "max-mappings",
            Self::MaxMappingsPerClient => "max-mappings-per-client",
            Self::MaxDestinations => "max-destinations",
            Self::MaxRate => "max-rate",
            Self::MaxUndecided => "max-undecided",
            Self::ClientGaveUp => "client-gave-up",
            Self::NoHandshake => "no-handshake",
            Self::EndDenied => "end-denied",
            Self::RelayClosed => "relay-closed",
            Self::EndedOnRequest => "ended-on-request",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl From<DenyReason> for Cause {
    fn from(reason: DenyReason) -> Self {
        match reason {
            DenyReason::Rule => Self::DeniedByRule,
            DenyReason::NoMatch => Self::DeniedNoMatch,
            DenyReason::SpecialPurpose => Self::SpecialPurpose,
            DenyReason::OwnAddress => Self::OwnAddress,
            DenyReason::Loopback => Self::Loopback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_at_its_own_place() {
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), place, "{}", cause.name());
        }
    }
}
