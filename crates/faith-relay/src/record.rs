//! How sessions end, and who is told.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use faith_sys::tcp::Resource;

use crate::cause::Cause;

/// Why a session, or the attempt at one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// Both sides ended their streams, and every byte was passed on.
    Closed,
    /// The client reset the connection.
    ClientReset,
    /// The server reset the connection.
    ServerReset,
    /// No byte moved for the idle timeout.
    IdleTimeout,
    /// The server did not answer.
    ConnectTimeout,
    /// The server refused the connection.
    Refused,
    /// No route leads to the server, or a router said that it cannot be reached.
    Unreachable,
    /// Policy, or this host's own firewall, forbids the destination.
    Denied,
    /// The relay or the client had as many sessions as it may have, or the session has passed as many bytes as it may.
    Limit,
    /// This host ran out of descriptors, memory or source ports.
    Exhausted,
    /// The client vanished: it answers neither data nor keep-alive probes, or a router says it is gone.
    ClientGone,
    /// The server vanished, likewise.
    ServerGone,
    /// The relay ended it: it was closed, or the client never completed its handshake.
    Aborted,
    /// Anything else.
    Error,
}

impl EndReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`index`](Self::index).
    pub const ALL: [Self; 14] = [
        Self::Closed,
        Self::ClientReset,
        Self::ServerReset,
        Self::IdleTimeout,
        Self::ConnectTimeout,
        Self::Refused,
        Self::Unreachable,
        Self::Denied,
        Self::Limit,
        Self::Exhausted,
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
            Self::ConnectTimeout => "connect-timeout",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::Exhausted => "exhausted",
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

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A session that ended, or an attempt at one that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Unique within its relay, ascending in the order in which sessions began.
    pub id: u64,
    /// Who connected.
    pub client: SocketAddrV6,
    /// What the client dialled.
    pub destination: SocketAddrV6,
    /// The server; `None` when the destination maps to none.
    pub server: Option<SocketAddrV4>,
    /// Bytes passed from the client to the server.
    pub bytes_up: u64,
    /// Bytes passed from the server to the client.
    pub bytes_down: u64,
    /// When it began, with the client's SYN or the accepted connection.
    pub started: SystemTime,
    /// How long it lasted.
    pub duration: Duration,
    /// How it ended.
    pub reason: EndReason,
    /// The cause that turned an attempt away or cut a session off, where the reason does not say all.
    pub cause: Option<Cause>,
    /// The error that turned an attempt away (errno(3)), where the kernel reported one.
    pub errno: Option<i32>,
    /// Whether it was a session: client and server had been joined.
    pub joined: bool,
    /// The mark that a [`Route`](crate::Route) has given it.
    pub tag: Option<Arc<str>>,
}

/// Who is told how sessions ended.
pub trait Observer: Send + Sync {
    /// A session or an attempt at one ended. Called on the worker's thread, between packets: it must return
    /// in microseconds and never block. Whether it was taken: what was not counts as
    /// [untold](crate::RelayStats::untold).
    ///
    /// Every session is told. Attempts, which cost their sender one packet, are told a bounded number of times a second
    /// for each [`EndReason`]; the rest is untold too.
    fn ended(&self, record: SessionRecord) -> bool;

    /// This host has run out of `what`. New connections wait in the
    /// kernel's queue, or are refused; sessions go on. Told once a minute at most, on the worker's thread.
    fn exhausted(&self, what: Resource, error: &io::Error) {
        let _ = (what, error);
    }

    /// Connections cannot come from `source`, as a rule because this host does not have that address (any more); those
    /// that were to are refused. Told likewise, for each address.
    fn unusable_source(&self, source: Ipv4Addr, error: &io::Error) {
        let _ = (source, error);
    }
}
