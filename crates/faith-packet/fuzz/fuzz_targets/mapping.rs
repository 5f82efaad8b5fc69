//! Any text is a mapping or an error, and a set of mappings resolves as a scan of them does.

#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use faith_packet::mapping::{ExplicitMapping, Mappings, Meaning};
use faith_packet::rfc6052::{Mapping, low32};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut list: Vec<ExplicitMapping> = text
        .lines()
        .filter_map(|line| match line.parse::<ExplicitMapping>() {
            Ok(mapping) => {
                assert_eq!(mapping.to_string().parse(), Ok(mapping));
                Some(mapping)
            }
            Err(error) => {
                assert!(error.to_string().len() < 1000);
                None
            }
        })
        .collect();
    list.sort_by_key(ExplicitMapping::ipv6);
    let unique = list.windows(2).all(|pair| pair[0].ipv6() != pair[1].ipv6());
    let mappings = Mappings::new(Mapping::Rfc6052, list.clone());
    assert_eq!(mappings.is_ok(), unique);
    let Ok(mappings) = mappings else { return };

    let Ok(prefix) = "64:ff9b::/96".parse() else { return };
    for mapping in list.iter().take(32) {
        let bits = mapping.ipv6().address().to_bits();
        for bits in [bits, bits.wrapping_sub(1), bits | 1, bits | 0x55] {
            let dialled = SocketAddrV6::new(Ipv6Addr::from_bits(bits), 80, 0, 0);
            let expected = scan(&list, dialled)
                .or_else(|| Some(SocketAddrV4::new(Mapping::Rfc6052.extract(&prefix, *dialled.ip())?, 80)));
            assert_eq!(mappings.resolve(&prefix, dialled), expected, "{dialled}");
        }
    }
});

fn scan(list: &[ExplicitMapping], dialled: SocketAddrV6) -> Option<SocketAddrV4> {
    let holding = list.iter().filter(|mapping| mapping.ipv6().contains(*dialled.ip()));
    match holding.max_by_key(|mapping| mapping.ipv6().length())?.meaning() {
        Meaning::Server(server) => Some(server),
        Meaning::Prefix(ipv4) => {
            let kept = u32::MAX.checked_shr(ipv4.length().into()).unwrap_or(0);
            let bits = ipv4.address().to_bits() | low32(*dialled.ip()).to_bits() & kept;
            Some(SocketAddrV4::new(Ipv4Addr::from_bits(bits), dialled.port()))
        }
    }
}
