//! The records of sessions and of refused attempts, and the observer that gets them.
//!
//! The two are disjoint. A session begins when its client and its server are joined. An attempt that ends before that is a
//! refusal, and is neither counted nor reported as a session.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use faith_packet::protocol::Protocol;
use faith_sys::tcp::Resource;

use crate::cause::Cause;
use crate::denying_rule::DenyingRule;
use crate::port_block::PortBlockRecord;

/// The reason for which a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SessionEnd {
    /// Both sides ended their streams, and every byte was passed on.
    Closed,
    /// The client reset the connection.
    ClientReset,
    /// The server reset the connection.
    ServerReset,
    /// No byte moved for the idle timeout.
    IdleTimeout,
    /// The session has passed more bytes than its route allows.
    MaxBytes,
    /// The client vanished: it answers neither data nor keep-alive probes, or a router reports it unreachable.
    ClientGone,
    /// The server vanished, likewise.
    ServerGone,
    /// The relay ended the session: the relay was closed, or was told to end it.
    Aborted,
    /// Any other error.
    Error,
}

impl SessionEnd {
    /// Number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::ClientReset,
        Self::ServerReset,
        Self::IdleTimeout,
        Self::MaxBytes,
        Self::ClientGone,
        Self::ServerGone,
        Self::Aborted,
        Self::Error,
    ];

    /// The reason's name in statistics and logs, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClientReset => "client-reset",
            Self::ServerReset => "server-reset",
            Self::IdleTimeout => "idle-timeout",
            Self::MaxBytes => "max-bytes",
            Self::ClientGone => "client-gone",
            Self::ServerGone => "server-gone",
            Self::Aborted => "aborted",
            Self::Error => "error",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason for which an attempt ended without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RefusalReason {
    /// The server, or the [`Route`](crate::Route), refused the connection.
    Refused,
    /// No route leads to the server, or a router said that it cannot be reached.
    Unreachable,
    /// Policy, or this host's own firewall, forbids the destination.
    Denied,
    /// The hop limit of the client's SYN, which was small, ran out at a router on the way to the server: the client looks for
    /// the routers, as traceroute does.
    HopLimit,
    /// The server did not answer.
    ConnectTimeout,
    /// A limit of sessions, of their rate or of connections that wait for the [`Route`](crate::Route) was reached.
    Limit,
    /// This host ran out of descriptors, memory or source ports.
    Exhausted,
    /// The client gave up before it had a server.
    ClientReset,
    /// The relay ended the attempt: the relay was closed, a new access list ended it, or the client never completed its
    /// handshake.
    Aborted,
    /// Any other error.
    Error,
}

impl RefusalReason {
    /// Number of reasons.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::Unreachable,
        Self::Denied,
        Self::HopLimit,
        Self::ConnectTimeout,
        Self::Limit,
        Self::Exhausted,
        Self::ClientReset,
        Self::Aborted,
        Self::Error,
    ];

    /// The reason's name in statistics and logs, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::HopLimit => "hop-limit",
            Self::ConnectTimeout => "connect-timeout",
            Self::Limit => "limit",
            Self::Exhausted => "exhausted",
            Self::ClientReset => "client-reset",
            Self::Aborted => "aborted",
            Self::Error => "error",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Unique within its relay among sessions and refusals, ascending in the order in which attempts began.
    pub id: u64,
    /// The protocol of both sides.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server; `None` for a splice.
    pub server: Option<SocketAddr>,
    /// The address and port from which the relay connected to the server; `None` unless the observer
    /// [follows sources](Observer::follows_sources).
    pub source: Option<SocketAddr>,
    /// Bytes passed from the client to the server.
    pub bytes_up: u64,
    /// Bytes passed from the server to the client.
    pub bytes_down: u64,
    /// Time at which its attempt began, with the client's SYN or the accepted connection.
    pub started: SystemTime,
    /// Time from then to its end.
    pub duration: Duration,
    /// The reason for its end.
    pub reason: SessionEnd,
    /// The cause, if it was aborted: [`Cause::EndDenied`], [`Cause::RelayClosed`] or [`Cause::EndedOnRequest`]; `None` if
    /// the interface went without the relay having been closed.
    pub cause: Option<Cause>,
    /// The mark that the [`Route`](crate::Route) gave it.
    pub tag: Option<Arc<str>>,
    /// The name for which the client got the address that it dialled, if a DNS server of this process
    /// [gave it](crate::names::remember).
    pub name: Option<Arc<str>>,
}

/// An attempt that ended without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRecord {
    /// The same as in a [`SessionRecord`].
    pub id: u64,
    /// The protocol that the client used.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server; `None` if the destination maps to none, or none was chosen yet.
    pub server: Option<SocketAddr>,
    /// Time at which it began, with the client's SYN or the accepted connection.
    pub started: SystemTime,
    /// Time from then to its end.
    pub duration: Duration,
    /// The reason for the refusal.
    pub reason: RefusalReason,
    /// The cause, if the reason leaves it open.
    pub cause: Option<Cause>,
    /// The rule that denied it, if one did.
    pub rule: Option<DenyingRule>,
    /// The error (errno(3)), if the kernel reported one.
    pub errno: Option<i32>,
    /// The same as in a [`SessionRecord`].
    pub tag: Option<Arc<str>>,
}

/// A session that begins: its client and its server are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBegin {
    /// The id that its [`SessionRecord`] will have.
    pub id: u64,
    /// The protocol of both sides.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server.
    pub server: Option<SocketAddr>,
    /// The same as in a [`SessionRecord`].
    pub source: Option<SocketAddr>,
    /// The same as in a [`SessionRecord`].
    pub tag: Option<Arc<str>>,
    /// The same as in a [`SessionRecord`].
    pub name: Option<Arc<str>>,
}

/// Gets ended sessions, refused attempts and shortages. The relay calls the methods on a worker's thread, between packets:
/// they must return in microseconds and never block.
///
/// [`ended`](Self::ended) and [`refused`](Self::refused) return whether the record was taken; one that was not counts as [untold](crate::RelayStats::untold).
pub trait Observer: Send + Sync {
    /// Reports that a session ended. The relay reports every session.
    fn ended(&self, session: SessionRecord) -> bool;

    /// Reports that an attempt ended without a session. An attempt costs its sender one packet, so the relay reports a bounded
    /// number of each [`RefusalReason`] per second. The rest counts as untold too.
    fn refused(&self, refusal: RefusalRecord) -> bool;

    /// Notes a refusal beyond that number, which is not reported.
    fn passed_over(&self, refusal: &RefusalRecord) {
        let _ = refusal;
    }

    /// Tells whether [`began`](Self::began) has a use for sessions that begin. The relay asks before each.
    fn follows_begins(&self) -> bool {
        false
    }

    /// Tells whether records are to have the source of a session, for which the relay asks the kernel. The relay asks before
    /// each session.
    fn follows_sources(&self) -> bool {
        false
    }

    /// Reports that a session begins.
    fn began(&self, session: SessionBegin) {
        let _ = session;
    }

    /// Reports that a client network got a block of source ports, with the first connection that comes from it, or gave one
    /// back. The relay reports every assignment and every release.
    fn port_block(&self, block: PortBlockRecord) {
        let _ = block;
    }

    /// Reports that this host has run out of `what`, at most once a minute for each. New connections wait in the kernel's queue
    /// or are refused. Sessions go on.
    fn exhausted(&self, what: Resource, error: &io::Error) {
        let _ = (what, error);
    }

    /// Reports that connections cannot come from `source`, usually because this host does not have that address; at most once
    /// a minute for each address. A connection for which no other address is left is refused.
    fn unusable_source(&self, source: IpAddr, error: &io::Error) {
        let _ = (source, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_own_place() {
        for (place, end) in SessionEnd::ALL.into_iter().enumerate() {
            assert_eq!(end.index(), place, "{end}");
        }
        for (place, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{reason}");
        }
    }
}
