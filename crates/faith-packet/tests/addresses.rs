//! The address mapping, prefixes and sets, over arbitrary addresses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::cidr::{Ipv4Prefix, Ipv6Prefix};
use faith_packet::ports::PortSet;
use faith_packet::prefix::{FaithPrefix, PrefixSet, network_of};
use faith_packet::rfc6052::{embed, extract, low32};
use proptest::collection::vec;
use proptest::prelude::*;

/// A legal prefix in global unicast space.
fn prefix() -> impl Strategy<Value = FaithPrefix> {
    let length = prop::sample::select(vec![32_u8, 40, 48, 56, 64, 96]);
    (any::<u128>(), length).prop_map(|(bits, length)| {
        let unicast = (bits >> 3) | (1 << 125);
        let network = unicast & (u128::MAX << (128 - length));
        FaithPrefix::new(Ipv6Addr::from_bits(network), length).unwrap()
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn extract_undoes_embed(prefix in prefix(), bits in any::<u32>()) {
        let ipv4 = Ipv4Addr::from_bits(bits);
        let ipv6 = embed(&prefix, ipv4);
        prop_assert!(prefix.contains(&ipv6));
        prop_assert_eq!(extract(&prefix, ipv6), Some(ipv4));
        if prefix.length() == 96 {
            prop_assert_eq!(low32(ipv6), ipv4);
        } else {
            prop_assert_eq!(ipv6.octets()[8], 0, "the u octet");
        }
    }

    #[test]
    fn extract_reads_the_octets_of_rfc_6052(prefix in prefix(), noise in any::<u128>()) {
        let host = noise & (u128::MAX >> prefix.length());
        let ipv6 = Ipv6Addr::from_bits(prefix.address().to_bits() | host);
        let octets = ipv6.octets();
        let places = match prefix.length() {
            32 => [4, 5, 6, 7],
            40 => [5, 6, 7, 9],
            48 => [6, 7, 9, 10],
            56 => [7, 9, 10, 11],
            64 => [9, 10, 11, 12],
            _ => [12, 13, 14, 15],
        };
        prop_assert_eq!(extract(&prefix, ipv6), Some(places.map(|place| octets[place]).into()));
    }

    #[test]
    fn a_prefix_is_read_back_as_it_is_shown(prefix in prefix()) {
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
    }

    #[test]
    fn any_text_is_a_prefix_or_an_error(text in "[0-9a-f:./+ ]{0,24}") {
        let _ = text.parse::<FaithPrefix>();
        if let Ok(prefix) = text.parse::<Ipv4Prefix>() {
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
        if let Ok(prefix) = text.parse::<Ipv6Prefix>() {
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
    }

    #[test]
    fn a_prefix_of_any_length_holds_exactly_the_addresses_that_share_its_first_bits(
        bits in any::<u128>(),
        length in 0..=128_u8,
        flip in 0..128_u8,
    ) {
        let network = bits & !u128::MAX.checked_shr(length.into()).unwrap_or(0);
        let prefix = Ipv6Prefix::new(Ipv6Addr::from_bits(network), length).unwrap();
        prop_assert!(prefix.contains(Ipv6Addr::from_bits(bits)));
        let flipped = Ipv6Addr::from_bits(bits ^ 1 << (127 - flip));
        prop_assert_eq!(prefix.contains(flipped), flip >= length);
        prop_assert_eq!(Ipv6Prefix::new(Ipv6Addr::from_bits(bits), length).is_ok(), network == bits);
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
    }

    #[test]
    fn a_list_of_ports_is_read_back_as_it_is_shown(
        ranges in vec((1..=u16::MAX, 0..2000_u16), 1..12),
        text in "[0-9a,\\-+ ]{0,20}",
    ) {
        let close = |(first, more): (u16, u16)| (first, first.saturating_add(more));
        let set = PortSet::from_ranges(ranges.into_iter().map(close)).unwrap();
        prop_assert_eq!(set.to_string().parse(), Ok(set));
        if let Ok(set) = text.parse::<PortSet>() {
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }
    }

    #[test]
    fn a_set_contains_exactly_the_addresses_of_its_prefixes(
        prefixes in vec(prefix(), 0..64),
        near in any::<prop::sample::Index>(),
        noise in any::<u64>(),
    ) {
        let mut set = PrefixSet::new();
        for prefix in &prefixes {
            let clear = set.iter().all(|have| !have.overlaps(prefix));
            prop_assert_eq!(set.insert(*prefix).is_ok(), clear);
        }
        let base = prefixes.get(near.index(prefixes.len().max(1)));
        let base = base.map_or(0, |prefix| prefix.address().to_bits());
        for bits in [base, base.wrapping_sub(1), base ^ u128::from(noise), base ^ (1 << 100)] {
            let address = Ipv6Addr::from_bits(bits);
            let expected = set.iter().find(|prefix| prefix.contains(&address));
            prop_assert_eq!(set.find(&address), expected);
            prop_assert_eq!(set.contains(bits), expected.is_some());
        }
    }

    #[test]
    fn a_port_set_holds_exactly_the_ports_of_its_ranges(
        ranges in vec((1..=u16::MAX, 0..2000_u16), 1..12),
        others in vec((1..=u16::MAX, 0..2000_u16), 1..12),
        port in any::<u16>(),
    ) {
        let close = |ranges: Vec<(u16, u16)>| -> Vec<(u16, u16)> {
            ranges.into_iter().map(|(first, more)| (first, first.saturating_add(more))).collect()
        };
        let (ranges, others) = (close(ranges), close(others));
        let inside = |ranges: &[(u16, u16)], port| {
            ranges.iter().any(|&(first, last)| (first..=last).contains(&port))
        };
        let set = PortSet::from_ranges(ranges.clone()).unwrap();
        let other = PortSet::from_ranges(others.clone()).unwrap();
        prop_assert_eq!(set.contains(port), inside(&ranges, port));
        let shared = (1..=u16::MAX).filter(|port| inside(&ranges, *port) && inside(&others, *port));
        let shared = PortSet::from_ranges(shared.map(|port| (port, port))).ok();
        prop_assert_eq!(set.intersection(&other), shared);
    }
}

#[test]
fn network_of_keeps_the_first_bits_of_an_address() {
    let address: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
    for (length, expected) in [
        (0, "::"),
        (32, "2001:db8::"),
        (64, "2001:db8:1:2::"),
        (127, "2001:db8:1:2:3:4:5:6"),
        (128, "2001:db8:1:2:3:4:5:6"),
    ] {
        assert_eq!(Ipv6Addr::from_bits(network_of(address, length)).to_string(), expected);
    }
}
