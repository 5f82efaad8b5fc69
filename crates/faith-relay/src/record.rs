//! The records of sessions and of refused attempts, and the observer that is told of them.
//!
//! The two are disjoint. A session begins when its client and its server are joined. An attempt that ends before is a
//! refusal, and is never counted or told as a session.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use faith_sys::tcp::Resource;

use crate::cause::Cause;

/// Why a session ended.
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
    /// The session has passed as many bytes as its route lets it.
    MaxBytes,
    /// The client vanished: it answers neither data nor keep-alive probes, or a router says it is gone.
    ClientGone,
    /// The server vanished, likewise.
    ServerGone,
    /// The relay ended it: the relay was closed, or was told to.
    Aborted,
    /// Anything else.
    Error,
}

impl SessionEnd {
    /// How many reasons there are.
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

/// Why an attempt came to no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RefusalReason {
    /// The server, or the [`Route`](crate::Route), refused the connection.
    Refused,
    /// No route leads to the server, or a router said that it cannot be reached.
    Unreachable,
    /// Policy, or this host's own firewall, forbids the destination.
    Denied,
    /// The server did not answer.
    ConnectTimeout,
    /// The relay or the client had as many sessions as it may have.
    Limit,
    /// This host ran out of descriptors, memory or source ports.
    Exhausted,
    /// The client gave up before it had a server.
    ClientReset,
    /// The relay gave it up: the relay was closed, or the client never completed its handshake.
    Aborted,
    /// Anything else.
    Error,
}

impl RefusalReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::Unreachable,
        Self::Denied,
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
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server; `None` for a splice of two sockets.
    pub server: Option<SocketAddr>,
    /// Bytes passed from the client to the server.
    pub bytes_up: u64,
    /// Bytes passed from the server to the client.
    pub bytes_down: u64,
    /// When its attempt began, with the client's SYN or the accepted connection.
    pub started: SystemTime,
    /// From then to its end.
    pub duration: Duration,
    /// How it ended.
    pub reason: SessionEnd,
    /// The mark that a [`Route`](crate::Route) has given it.
    pub tag: Option<Arc<str>>,
}

/// An attempt that came to no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRecord {
    /// As that of a [`SessionRecord`].
    pub id: u64,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server; `None` when the destination maps to none, or none was chosen yet.
    pub server: Option<SocketAddr>,
    /// When it began, with the client's SYN or the accepted connection.
    pub started: SystemTime,
    /// From then to its end.
    pub duration: Duration,
    /// Why there was no session.
    pub reason: RefusalReason,
    /// The cause, where the reason does not say all.
    pub cause: Option<Cause>,
    /// The error behind it (errno(3)), where the kernel reported one.
    pub errno: Option<i32>,
    /// As that of a [`SessionRecord`].
    pub tag: Option<Arc<str>>,
}

/// Hears of ended sessions, refused attempts and shortages. Its methods are called on a worker's thread, between packets:
/// they must return in microseconds and never block.
///
/// The first two return whether the record was taken; one that was not counts as [untold](crate::RelayStats::untold).
pub trait Observer: Send + Sync {
    /// A session ended. Every one is told.
    fn ended(&self, session: SessionRecord) -> bool;

    /// An attempt came to no session. Attempts cost their sender one packet, so a bounded number of each
    /// [`RefusalReason`] is told per second; the rest is untold too.
    fn refused(&self, refusal: RefusalRecord) -> bool;

    /// This host has run out of `what`. New connections wait in the
    /// kernel's queue, or are refused; sessions go on. Told once a minute at most.
    fn exhausted(&self, what: Resource, error: &io::Error) {
        let _ = (what, error);
    }

    /// Connections cannot come from `source`, as a rule because this host does not have that address (any more); those
    /// that were to are refused. Told likewise, for each address.
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
