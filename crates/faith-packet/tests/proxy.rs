//! A strict receiver of the PROXY protocol reads back what was written, and only at its whole length.

use std::net::{Ipv6Addr, SocketAddrV6};

use faith_packet::proxy::{Version, header};
use proptest::prelude::*;

type Ends = (SocketAddrV6, SocketAddrV6);

/// A line of version 1, taken apart word by word as section 2.1 draws it.
fn read_v1(octets: &[u8]) -> Option<Ends> {
    let line = std::str::from_utf8(octets).ok()?.strip_suffix("\r\n")?;
    if line.contains(['\r', '\n']) || octets.len() > 104 {
        return None;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let ["PROXY", "TCP6", from, to, from_port, to_port] = words[..] else { return None };
    let end = |address, port| Some(SocketAddrV6::new(groups(address)?, decimal(port)?, 0, 0));
    Some((end(from, from_port)?, end(to, to_port)?))
}

/// Groups of one to four hexadecimal digits, one run of zeros left out at most.
fn groups(text: &str) -> Option<Ipv6Addr> {
    let read = |part: &str| -> Option<Vec<u16>> {
        let groups = part.split(':').filter(|_| !part.is_empty());
        groups
            .map(|group| {
                let digits = group.bytes().all(|digit| digit.is_ascii_hexdigit());
                let group = (digits && (1..=4).contains(&group.len())).then_some(group)?;
                u16::from_str_radix(group, 16).ok()
            })
            .collect()
    };
    let groups = match text.split_once("::") {
        None => read(text)?,
        Some((before, behind)) => {
            let (mut groups, behind) = (read(before)?, read(behind)?);
            let zeros = 8_usize.checked_sub(groups.len() + behind.len()).filter(|zeros| *zeros > 0)?;
            groups.extend(std::iter::repeat_n(0, zeros).chain(behind));
            groups
        }
    };
    Some(Ipv6Addr::from(<[u16; 8]>::try_from(groups).ok()?))
}

fn decimal(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    if digits && plain { text.parse().ok() } else { None }
}

/// A header of version 2, octet by octet as section 2.2 draws it.
fn read_v2(octets: &[u8]) -> Option<Ends> {
    let octets = octets.strip_prefix(b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A")?;
    let (&[version_command, family_protocol, l0, l1], addresses) = octets.split_first_chunk::<4>()?;
    let (version, command) = (version_command >> 4, version_command & 0xf);
    let (family, protocol) = (family_protocol >> 4, family_protocol & 0xf);
    let length = u16::from_be_bytes([l0, l1]);
    if [version, command, family, protocol] != [2, 1, 2, 1] || length != 36 {
        return None;
    }
    let (from, rest) = addresses.split_first_chunk::<16>()?;
    let (to, ports) = rest.split_first_chunk::<16>()?;
    let &[f0, f1, t0, t1] = ports else { return None };
    let end = |address: &[u8; 16], port| SocketAddrV6::new((*address).into(), u16::from_be_bytes(port), 0, 0);
    Some((end(from, [f0, f1]), end(to, [t0, t1])))
}

fn end() -> impl Strategy<Value = SocketAddrV6> {
    let groups = prop::array::uniform8(prop_oneof![2 => Just(0), 1 => 0..16_u16, 1 => any::<u16>()]);
    let mapped = any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).to_ipv6_mapped());
    let address = prop_oneof![6 => groups.prop_map(Ipv6Addr::from), 1 => mapped];
    (address, any::<u16>()).prop_map(|(address, port)| SocketAddrV6::new(address, port, 0, 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn version_1_is_read_back(client in end(), destination in end()) {
        let header = header(Version::V1, client, destination);
        prop_assert_eq!(read_v1(&header), Some((client, destination)), "{:?}", header);
        prop_assert_eq!(read_v2(&header), None);
        for length in 0..header.len() {
            prop_assert_eq!(read_v1(&header[..length]), None);
        }
    }

    #[test]
    fn version_2_is_read_back(client in end(), destination in end()) {
        let header = header(Version::V2, client, destination);
        prop_assert_eq!(read_v2(&header), Some((client, destination)), "{:?}", header);
        prop_assert_eq!(read_v1(&header), None);
        for length in 0..header.len() {
            prop_assert_eq!(read_v2(&header[..length]), None);
        }
    }
}

/// A receiver that takes anything would prove nothing.
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
