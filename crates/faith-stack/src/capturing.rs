//! The prefixes that the interfaces of this process capture: a relay that connected to an address inside one would connect
//! to itself.

use std::net::Ipv6Addr;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;

/// What one interface captures, as it is at the moment.
pub(crate) type Capture = Arc<ArcSwap<Classifier>>;

/// Those of the interfaces that are open.
static CAPTURES: LazyLock<ArcSwap<Vec<Capture>>> = LazyLock::new(ArcSwap::default);

/// Enters an interface that is open now.
pub(crate) fn enter(capture: &Capture) {
    CAPTURES.rcu(|captures| captures.iter().chain([capture]).cloned().collect::<Vec<_>>());
}

/// Strikes out one that is closed.
pub(crate) fn leave(capture: &Capture) {
    let stays = |other: &&Capture| !Arc::ptr_eq(other, capture);
    CAPTURES.rcu(|captures| captures.iter().filter(stays).cloned().collect::<Vec<_>>());
}

/// Whether an interface of this process captures `address`.
pub(crate) fn captures(address: &Ipv6Addr) -> bool {
    CAPTURES.load().iter().any(|capture| capture.load().prefixes().find(address).is_some())
}
