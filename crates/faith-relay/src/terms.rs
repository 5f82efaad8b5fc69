//! A route's settings for one connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::proxy::Version;

/// A route's settings for one connection. Each `None` leaves the relay's own setting in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The address that the connection to the server comes from, of the server's family.
    pub source: Option<IpAddr>,
    /// True connects to the server from a privileged port (rresvport(3)).
    pub privileged: Option<bool>,
    /// The version of the PROXY protocol that tells the server the client's address.
    pub proxy: Option<Version>,
    /// Longest time that the session may pass no byte; zero is no limit.
    pub idle_timeout: Option<Duration>,
    /// Most bytes that the session may pass, in both directions together. A session that passes more ends as
    /// [`SessionEnd::MaxBytes`](crate::SessionEnd::MaxBytes).
    pub max_bytes: Option<u64>,
    /// A mark in the record of the session or of the refused attempt.
    pub tag: Option<Arc<str>>,
    /// True puts the route between client and server: it gets every byte of either, and passes on what it wants to.
    pub between: bool,
}

impl Terms {
    /// Tells whether these can be settings of a session of datagrams, which has no handshake and no stream.
    pub(crate) fn suit_datagrams(&self) -> bool {
        let Self { source, privileged, proxy, between, .. } = self;
        source.is_none_or(|source| source.is_ipv4())
            && *privileged != Some(true)
            && proxy.is_none()
            && !between
    }
}
