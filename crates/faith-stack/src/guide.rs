//! Answers what a relay asks of an interface for each connection.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;
use faith_packet::prefix::FaithPrefix;

use crate::own_addresses::OwnAddresses;

/// The host's own addresses and the prefixes of an interface, as they are at the moment.
///
/// It keeps nothing else of the interface. So tasks on the interface's workers may have one: the interface cannot be
/// dropped by them, which would wait for the worker it is on.
#[derive(Clone)]
pub struct Guide {
    pub(crate) own: Arc<OwnAddresses>,
    pub(crate) classifier: Arc<ArcSwap<Classifier>>,
}

impl Guide {
    /// Whether `address` is the host's own: of any of its interfaces, or routed to itself. Every address counts as one
    /// when the interface is closed, and while the host's addresses cannot be followed.
    #[must_use]
    pub fn is_own_ipv4(&self, address: Ipv4Addr) -> bool {
        self.own.contains(address)
    }

    /// The prefix of the interface that `address` is inside of.
    #[must_use]
    pub fn prefix_of(&self, address: &Ipv6Addr) -> Option<FaithPrefix> {
        self.classifier.load().prefixes().find(address).copied()
    }
}
