//! Answers a relay's questions about an interface, for each connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use faith_packet::prefix::FaithPrefix;

use crate::capturing::{self, Capture};
use crate::own_addresses::OwnAddresses;

/// The host's own addresses and the prefixes of an interface, always current.
///
/// It keeps no other part of the interface alive. So tasks on the interface's workers may own one: they cannot become the
/// last owner of the interface, whose drop would wait for the very worker it runs on.
#[derive(Clone)]
pub struct Guide {
    pub(crate) own: Arc<OwnAddresses>,
    pub(crate) classifier: Capture,
}

impl Guide {
    /// Returns true if `address` is the host's own: an address of any of its interfaces, one routed to the host itself, or
    /// one inside a prefix that an interface of this process captures. Returns true for every address once the interface
    /// is closed, and while the watch cannot follow the host's addresses.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let captured = || matches!(&address, IpAddr::V6(address) if capturing::captures(address));
        self.own.contains(address) || captured()
    }

    /// Returns true if `address` is surely the host's own. Unlike [`is_own`](Self::is_own), it returns false once the
    /// interface is closed, and while the watch cannot follow the host's addresses: for what is opened, not denied, to the
    /// host's own addresses.
    #[must_use]
    pub fn owns(&self, address: Ipv4Addr) -> bool {
        self.own.surely_contains(address.into())
    }

    /// The prefix of the interface that contains `address`.
    #[must_use]
    pub fn prefix_of(&self, address: &Ipv6Addr) -> Option<FaithPrefix> {
        self.classifier.load().prefixes().find(address).copied()
    }
}
