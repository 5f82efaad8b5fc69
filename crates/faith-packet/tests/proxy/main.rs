//! A strict receiver of the PROXY protocol reads headers back, and from the whole header only.

mod reader;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};

use faith_packet::proxy::{Version, header};
use proptest::prelude::*;

use reader::{read_v1, read_v2};

/// Any address, and those whose text is a special case: runs of zeros, and IPv4-mapped ones, usually shown in decimal.
fn address() -> impl Strategy<Value = Ipv6Addr> {
    let groups = prop::array::uniform8(prop_oneof![2 => Just(0), 1 => 0..16_u16, 1 => any::<u16>()]);
    let ipv4 = any::<u32>().prop_map(Ipv4Addr::from_bits);
    prop_oneof![
        6 => groups.prop_map(Ipv6Addr::from),
        2 => any::<u128>().prop_map(Ipv6Addr::from_bits),
        1 => ipv4.clone().prop_map(|ipv4| ipv4.to_ipv6_mapped()),
        1 => ipv4.prop_map(|ipv4| Ipv6Addr::from_bits(ipv4.to_bits().into())),
        1 => prop::sample::select(vec![0, 1, u128::MAX, 0xffff << 32, u128::MAX << 64]).prop_map(Ipv6Addr::from_bits),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => any::<u16>(), 1 => prop::sample::select(vec![0, 1, 9, 10, 9999, 10_000, u16::MAX])]
}

prop_compose! {
    /// Scopes and flow labels vary as the kernel may give them; a header has no field for them.
    fn end()(address in address(), port in port(), flow in any::<u32>(), scope in any::<u32>()) -> SocketAddrV6 {
        SocketAddrV6::new(address, port, flow, scope)
    }
}

fn bare(end: SocketAddrV6) -> SocketAddrV6 {
    SocketAddrV6::new(*end.ip(), end.port(), 0, 0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn version_1_is_read_back(client in end(), destination in end()) {
        let header = header(Version::V1, client, destination);
        prop_assert_eq!(read_v1(&header), Some((bare(client), bare(destination))), "{:?}", header);
        prop_assert_eq!(read_v2(&header), None);
        // The shortest line is "PROXY TCP6 :: :: 0 0\r\n", the longest has 104 octets (section 2.1).
        prop_assert!((22..=104).contains(&header.len()));
        for length in 0..header.len() {
            prop_assert_eq!(read_v1(&header[..length]), None);
        }
    }

    #[test]
    fn version_2_is_read_back(client in end(), destination in end()) {
        let header = header(Version::V2, client, destination);
        prop_assert_eq!(read_v2(&header), Some((bare(client), bare(destination))), "{:?}", header);
        prop_assert_eq!(read_v1(&header), None);
        prop_assert_eq!(header.len(), 52);
        for length in 0..header.len() {
            prop_assert_eq!(read_v2(&header[..length]), None);
        }
    }
}

/// Tests the receiver: if it accepted every header, the tests above would prove nothing.
#[test]
fn the_receiver_refuses_what_the_specification_forbids() {
    for line in [
        "PROXY TCP6 ::1 ::2 1 2\n",
        "PROXY TCP6 ::1 ::2 1 2",
        "PROXY  TCP6 ::1 ::2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 ::1 ::2 01 2\r\n",
        "PROXY TCP6 ::1 ::2 1 65536\r\n",
        "PROXY TCP6 ::ffff:192.0.2.1 ::2 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7 ::2 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7::8 ::2 1 2 \r\n",
        "PROXY TCP6 00001:: ::2 1 2\r\n",
        "proxy TCP6 ::1 ::2 1 2\r\n",
    ] {
        assert_eq!(read_v1(line.as_bytes()), None, "{line}");
    }
    let client = "[2001:db8::1]:1".parse().unwrap();
    let sound = header(Version::V2, client, client).to_vec();
    for place in 0..16 {
        let mut octets = sound.clone();
        octets[place] ^= 1;
        assert_eq!(read_v2(&octets), None, "octet {place}");
    }
}
