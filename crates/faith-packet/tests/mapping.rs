//! Explicit mappings over arbitrary prefixes resolve as a scan of them does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use faith_packet::cidr::{Ipv4Prefix, Ipv6Prefix};
use faith_packet::mapping::{ExplicitMapping, Mappings, Meaning};
use faith_packet::prefix::FaithPrefix;
use faith_packet::rfc6052;
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() }
}

fn prefix() -> FaithPrefix {
    "2001:db8:64::/96".parse().unwrap()
}

/// Addresses so close to each other that prefixes often hold them.
fn dialled() -> impl Strategy<Value = Ipv6Addr> {
    let base = prefix().address().to_bits();
    (0..16_u128, 0..128_u32, prop::bool::weighted(0.2))
        .prop_map(move |(low, bit, far)| Ipv6Addr::from_bits(base ^ low ^ (u128::from(far) << bit)))
}

fn mapping() -> impl Strategy<Value = ExplicitMapping> {
    let length = prop_oneof![2 => 0..=32_u8, 3 => 27..=32_u8];
    let of_prefix = (dialled(), any::<u32>(), length).prop_map(|(ipv6, ipv4, length)| {
        let (high, low) = (!u128::MAX.checked_shr(96 + u32::from(length)).unwrap_or(0), mask(length));
        let ipv6 = Ipv6Prefix::new(Ipv6Addr::from_bits(ipv6.to_bits() & high), 96 + length).unwrap();
        let ipv4 = Ipv4Prefix::new(Ipv4Addr::from_bits(ipv4 & low), length).unwrap();
        ExplicitMapping::prefix(ipv6, ipv4).unwrap()
    });
    let of_server = (dialled(), any::<u32>(), 1..=u16::MAX).prop_map(|(ipv6, ipv4, port)| {
        let server = SocketAddrV4::new(Ipv4Addr::from_bits(ipv4), port);
        ExplicitMapping::server(ipv6, server).unwrap()
    });
    prop_oneof![2 => of_prefix, 1 => of_server]
}

fn mask(length: u8) -> u32 {
    !u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

fn oracle(list: &[ExplicitMapping], otherwise: rfc6052::Mapping, at: SocketAddrV6) -> Option<SocketAddrV4> {
    let holding = list.iter().filter(|mapping| mapping.ipv6().contains(*at.ip()));
    let server = match holding.max_by_key(|mapping| mapping.ipv6().length()).map(ExplicitMapping::meaning) {
        Some(Meaning::Server(server)) => return Some(server),
        Some(Meaning::Prefix(ipv4)) => {
            let (kept, mask) = (rfc6052::low32(*at.ip()).to_bits(), mask(ipv4.length()));
            Ipv4Addr::from_bits(ipv4.address().to_bits() & mask | kept & !mask)
        }
        None => otherwise.extract(&prefix(), *at.ip())?,
    };
    Some(SocketAddrV4::new(server, at.port()))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_address_means_what_the_longest_mapping_says(
        mut list in vec(mapping(), 0..24),
        low32 in any::<bool>(),
        dialled in vec((dialled(), any::<u16>()), 24),
    ) {
        let otherwise = if low32 { rfc6052::Mapping::Low32 } else { rfc6052::Mapping::Rfc6052 };
        let given = Mappings::new(otherwise, list.clone());
        let count = list.len();
        list.sort_by_key(ExplicitMapping::ipv6);
        list.dedup_by_key(|mapping| mapping.ipv6());
        prop_assert_eq!(given.is_ok(), list.len() == count, "a duplicate is an error, nothing else is");

        let mappings = Mappings::new(otherwise, list.clone()).unwrap();
        for (address, port) in dialled {
            let at = SocketAddrV6::new(address, port, 0, 0);
            prop_assert_eq!(mappings.resolve(&prefix(), at), oracle(&list, otherwise, at), "{}", at);
        }
    }

    #[test]
    fn a_mapping_is_read_back_as_it_is_shown(mapping in mapping()) {
        prop_assert_eq!(mapping.to_string().parse(), Ok(mapping));
    }

    #[test]
    fn any_text_is_a_mapping_or_an_error(text in "[0-9a-f:./= ]{0,40}|\\PC{0,20}=\\PC{0,20}") {
        if let Ok(mapping) = text.parse::<ExplicitMapping>() {
            prop_assert_eq!(mapping.to_string().parse(), Ok(mapping));
        }
    }
}
