//! The host's own addresses, kept up to date: a relay must not lead clients to the router itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arc_swap::ArcSwap;

/// Ranges of one family each, sorted by their first address, without overlaps. IPv4 comes before IPv6.
type Ranges = Vec<(IpAddr, IpAddr)>;

/// The host's own addresses, as the watch (`watch.rs`) last saw them.
pub(crate) struct OwnAddresses(ArcSwap<Ranges>);

impl OwnAddresses {
    /// Starts without knowledge: see [`forget`](Self::forget).
    pub(crate) fn unknown() -> Self {
        Self(ArcSwap::from_pointee(everything()))
    }

    /// Replaces the host's own addresses by these ranges.
    pub(crate) fn learn(&self, own: Vec<(IpAddr, u8)>) {
        self.0.store(merge(own).into());
    }

    /// Treats every address as the host's own: the relay must not connect to an address that may be.
    pub(crate) fn forget(&self) {
        self.0.store(everything().into());
    }

    /// Returns true if `address` is the host's own.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.range_of(address).is_some()
    }

    /// Returns true if `address` is known to be the host's own. A range of every address says nothing about one of them.
    pub(crate) fn surely_contains(&self, address: IpAddr) -> bool {
        self.range_of(address).is_some_and(|range| !everything().contains(&range))
    }

    fn range_of(&self, address: IpAddr) -> Option<(IpAddr, IpAddr)> {
        let ranges = self.0.load();
        let before = ranges.partition_point(|(first, _)| *first <= address);
        before.checked_sub(1).and_then(|at| ranges.get(at)).filter(|(_, last)| address <= *last).copied()
    }
}

fn everything() -> Ranges {
    vec![range(Ipv4Addr::UNSPECIFIED.into(), 0), range(Ipv6Addr::UNSPECIFIED.into(), 0)]
}

/// The first and the last address of a prefix.
fn range(address: IpAddr, length: u8) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            let bits = address.to_bits();
            (Ipv4Addr::from_bits(bits & !host).into(), Ipv4Addr::from_bits(bits | host).into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            let bits = address.to_bits();
            (Ipv6Addr::from_bits(bits & !host).into(), Ipv6Addr::from_bits(bits | host).into())
        }
    }
}

fn merge(own: Vec<(IpAddr, u8)>) -> Ranges {
    let mut ranges: Ranges = own.into_iter().map(|(address, length)| range(address, length)).collect();
    ranges.sort_unstable();
    let mut merged = Ranges::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
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

    #[test]
    fn ranges_that_overlap_become_one() {
        let own = [
            ("127.0.0.0", 8),
            ("127.0.0.1", 32),
            ("10.0.0.1", 32),
            ("2001:db8::1", 128),
            ("2001:db8::", 64),
            ("10.0.0.255", 32),
        ];
        let expected = [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.255", "10.0.0.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
        ];
        let merged = merge(own.map(|(text, length)| (address(text), length)).to_vec());
        assert_eq!(merged, expected.map(|(first, last)| (address(first), address(last))));
    }
}
