use super::*;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// RFC 6052 section 2.4, tables 1 and 2, all of them for 192.0.2.33.
const VECTORS: [(&str, &str); 7] = [
    ("2001:db8::/32", "2001:db8:c000:221::"),
    ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
    ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
    ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
    ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
    ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
];

#[test]
fn the_vectors_of_section_2_4_hold_both_ways() {
    let ipv4 = Ipv4Addr::new(192, 0, 2, 33);
    for (prefix, ipv6) in VECTORS {
        let prefix = prefix.parse().unwrap();
        assert_eq!(embed(&prefix, ipv4), address(ipv6));
        assert_eq!(extract(&prefix, address(ipv6)), Some(ipv4));
    }
}

#[test]
fn the_u_octet_and_the_suffix_are_ignored() {
    let ipv4 = Some(Ipv4Addr::new(192, 0, 2, 33));
    for (prefix, ipv6) in [
        ("2001:db8::/32", "2001:db8:c000:221:ffff:ffff:ffff:ffff"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:ff21:ffff:ffff:ffff"),
        ("2001:db8:122::/48", "2001:db8:122:c000:ff02:21ff:ffff:ffff"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:ff00:221:ffff:ffff"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:ffc0:2:21ff:ffff"),
    ] {
        assert_eq!(extract(&prefix.parse().unwrap(), address(ipv6)), ipv4, "{ipv6}");
    }
}

#[test]
fn an_address_outside_the_prefix_means_nothing_by_either_mapping() {
    let prefix = "64:ff9b::/96".parse().unwrap();
    for mapping in [Mapping::Rfc6052, Mapping::Low32] {
        assert_eq!(mapping.extract(&prefix, address("64:ff9b::1:c000:221")), None);
    }
}

#[test]
fn low32_takes_the_last_bits_for_every_length() {
    let prefix = "2001:db8:122:344::/64".parse().unwrap();
    let dialled = address("2001:db8:122:344::198.51.100.2");
    let ipv4 = Ipv4Addr::new(198, 51, 100, 2);
    assert_eq!(low32(dialled), ipv4);
    assert_eq!(Mapping::Low32.extract(&prefix, dialled), Some(ipv4));
    assert_ne!(Mapping::Rfc6052.extract(&prefix, dialled), Some(ipv4));
}
