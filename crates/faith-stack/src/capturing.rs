//! The prefixes that the interfaces of this process capture. A relay must not connect to an address inside one, because it
//! would connect to itself.

use std::net::Ipv6Addr;
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use faith_packet::classify::Classifier;

/// The classifier of one interface, which has the prefixes that it captures now.
pub(crate) type Capture = Arc<ArcSwap<Classifier>>;

/// The captures of the open interfaces.
static CAPTURES: LazyLock<ArcSwap<Vec<Capture>>> = LazyLock::new(ArcSwap::default);

/// Adds an interface that opens.
pub(crate) fn enter(capture: &Capture) {
    CAPTURES.rcu(|captures| captures.iter().chain([capture]).cloned().collect::<Vec<_>>());
}

/// Removes an interface that closes.
pub(crate) fn leave(capture: &Capture) {
    let stays = |other: &&Capture| !Arc::ptr_eq(other, capture);
    CAPTURES.rcu(|captures| captures.iter().filter(stays).cloned().collect::<Vec<_>>());
}

/// Returns true if an interface of this process captures `address`.
pub(crate) fn captures(address: &Ipv6Addr) -> bool {
    CAPTURES.load().iter().any(|capture| capture.load().prefixes().find(address).is_some())
}
