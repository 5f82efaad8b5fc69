//! The host's own addresses, kept up to date: a relay must not lead clients to the router itself.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ranges::Ranges;

/// The host's own addresses, as the watch (`watch.rs`) last saw them.
pub(crate) struct OwnAddresses(ArcSwap<Ranges>);

impl OwnAddresses {
    /// Starts without knowledge: see [`forget`](Self::forget).
    pub(crate) fn unknown() -> Self {
        Self(ArcSwap::from_pointee(Ranges::everything()))
    }

    /// Replaces the host's own addresses by these ranges.
    pub(crate) fn learn(&self, own: Vec<(IpAddr, u8)>) {
        self.0.store(Arc::new(own.into_iter().collect()));
    }

    /// Treats every address as the host's own: the relay must not connect to an address that may be.
    pub(crate) fn forget(&self) {
        self.0.store(Arc::new(Ranges::everything()));
    }

    /// Returns true if `address` is the host's own.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.load().contains(address)
    }

    /// Returns true if `address` is known to be the host's own. A range of every address says nothing about one of them.
    pub(crate) fn surely_contains(&self, address: IpAddr) -> bool {
        let range = self.0.load().range_of(address);
        range.is_some() && range != Ranges::everything().range_of(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_address_counts_as_own_while_they_are_unknown() {
        let own = OwnAddresses::unknown();
        for (mine, elsewhere) in [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")] {
            let edges = ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
            assert!(edges.into_iter().chain([elsewhere]).all(|it| own.contains(address(it))));
            let length = if address(mine).is_ipv4() { 32 } else { 128 };
            own.learn(vec![(address(mine), length)]);
            assert!(own.contains(address(mine)) && !own.contains(address(elsewhere)));
            assert!(own.surely_contains(address(mine)) && !own.surely_contains(address(elsewhere)));
            own.forget();
            assert!(own.contains(address(elsewhere)) && !own.surely_contains(address(mine)));
        }
    }

    #[test]
    fn addresses_of_one_family_do_not_cover_the_other() {
        let own = OwnAddresses::unknown();
        own.learn(vec![(address("0.0.0.0"), 0)]);
        assert!(own.contains(address("255.255.255.255")) && !own.contains(address("::")));
        own.learn(vec![(address("::"), 0)]);
        assert!(own.contains(address("::1")) && !own.contains(address("255.255.255.255")));
    }
}
