//! The state of a link, as the owner of the sender gets it.

use std::net::Ipv6Addr;

/// The state of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The interface does not exist, is down or has no IPv6.
    Absent,
    /// The prefixes are advertised.
    Advertising,
    /// The kernel refuses to send.
    Failing(String),
    /// Another sender has the same address.
    Conflict,
}

/// The state and the counts of a link.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The name of the interface.
    pub name: String,
    /// Its state.
    pub state: LinkState,
    /// The address that advertisements come from.
    pub source: Option<Ipv6Addr>,
    /// Advertisements sent.
    pub sent: u64,
    /// Advertisements that the kernel refused.
    pub failed: u64,
    /// Solicitations heard.
    pub solicitations: u64,
}

/// A link whose state has changed.
#[derive(Clone, Debug)]
pub struct AdvertiserEvent {
    /// The link as it is now.
    pub link: LinkStatus,
}
