//! The host's own IPv4 addresses, kept up to date: a relay must not lead clients to the router itself.

use std::net::Ipv4Addr;

use arc_swap::ArcSwap;

/// Ranges sorted by their first address, without overlaps.
type Ranges = Vec<(u32, u32)>;

/// The host's own IPv4 addresses, as the watch (`watch.rs`) last saw them.
pub(crate) struct OwnAddresses(ArcSwap<Ranges>);

impl OwnAddresses {
    /// Starts without knowledge: see [`forget`](Self::forget).
    pub(crate) fn unknown() -> Self {
        Self(ArcSwap::from_pointee(everything()))
    }

    /// Replaces the host's own addresses by these ranges.
    pub(crate) fn learn(&self, own: Vec<(Ipv4Addr, u8)>) {
        self.0.store(merge(own).into());
    }

    /// Treats every address as the host's own: the relay must not connect to an address that may be.
    pub(crate) fn forget(&self) {
        self.0.store(everything().into());
    }

    /// Returns true if `address` is the host's own.
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        let ranges = self.0.load();
        let before = ranges.partition_point(|(first, _)| *first <= address);
        before.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
    }
}

fn everything() -> Ranges {
    vec![(0, u32::MAX)]
}

fn merge(own: Vec<(Ipv4Addr, u8)>) -> Ranges {
    let mut ranges: Ranges = own
        .into_iter()
        .map(|(address, length)| {
            let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            (address.to_bits() & !host, address.to_bits() | host)
        })
        .collect();
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

    #[test]
    fn every_address_counts_as_own_while_they_are_unknown() {
        let own = OwnAddresses::unknown();
        let elsewhere = Ipv4Addr::new(198, 51, 100, 2);
        assert!([Ipv4Addr::UNSPECIFIED, elsewhere, Ipv4Addr::BROADCAST].iter().all(|it| own.contains(*it)));
        own.learn(vec![(Ipv4Addr::new(192, 0, 2, 1), 32)]);
        assert!(own.contains(Ipv4Addr::new(192, 0, 2, 1)) && !own.contains(elsewhere));
        own.forget();
        assert!(own.contains(elsewhere));
    }

    #[test]
    fn ranges_that_overlap_become_one() {
        let own = [("127.0.0.0", 8), ("127.0.0.1", 32), ("10.0.0.1", 32), ("10.0.0.255", 32)]
            .map(|(address, length)| (address.parse().unwrap(), length));
        let expected =
            vec![(0x0a00_0001, 0x0a00_0001), (0x0a00_00ff, 0x0a00_00ff), (0x7f00_0000, 0x7fff_ffff)];
        assert_eq!(merge(own.to_vec()), expected);
    }
}
