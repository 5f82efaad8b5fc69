//! Sets of addresses, as ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges of one family each, sorted by their first address, without overlaps. IPv4 comes before IPv6.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(IpAddr, IpAddr)>);

impl Ranges {
    /// Every address.
    pub(crate) fn everything() -> Self {
        Self(vec![range(Ipv4Addr::UNSPECIFIED.into(), 0), range(Ipv6Addr::UNSPECIFIED.into(), 0)])
    }

    /// Returns true if `address` is in a range.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.range_of(address).is_some()
    }

    /// The range that `address` is in.
    pub(crate) fn range_of(&self, address: IpAddr) -> Option<(IpAddr, IpAddr)> {
        let before = self.0.partition_point(|(first, _)| *first <= address);
        before.checked_sub(1).and_then(|at| self.0.get(at)).filter(|(_, last)| address <= *last).copied()
    }
}

/// Makes ranges of prefixes, which may overlap.
impl FromIterator<(IpAddr, u8)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (IpAddr, u8)>>(prefixes: I) -> Self {
        let mut ranges: Vec<_> =
            prefixes.into_iter().map(|(address, length)| range(address, length)).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
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
        let merged: Ranges = own.into_iter().map(|(text, length)| (address(text), length)).collect();
        assert_eq!(merged.0, expected.map(|(first, last)| (address(first), address(last))));
    }
}
