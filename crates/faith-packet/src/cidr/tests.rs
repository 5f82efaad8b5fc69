use super::*;

fn shown<A: Address>(text: &str) -> String {
    text.parse::<Prefix<A>>().unwrap().to_string()
}

#[test]
fn a_prefix_is_read_with_and_without_a_length_and_shown_with_one() {
    assert_eq!(shown::<Ipv4Addr>("198.51.100.0/24"), "198.51.100.0/24");
    assert_eq!(shown::<Ipv4Addr>("198.51.100.2"), "198.51.100.2/32");
    assert_eq!(shown::<Ipv4Addr>("0.0.0.0/0"), "0.0.0.0/0");
    assert_eq!(shown::<Ipv6Addr>("2001:db8::/29"), "2001:db8::/29");
    assert_eq!(shown::<Ipv6Addr>("2001:DB8::1"), "2001:db8::1/128");
    assert_eq!(shown::<Ipv6Addr>("::/0"), "::/0");
}

#[test]
fn a_prefix_contains_its_first_and_last_address_and_neither_neighbour() {
    let prefix: Ipv6Prefix = "2001:db8:8::/46".parse().unwrap();
    let contains = |address: &str| prefix.contains(address.parse().unwrap());
    assert!(contains("2001:db8:8::") && contains("2001:db8:b:ffff:ffff:ffff:ffff:ffff"));
    assert!(!contains("2001:db8:7:ffff:ffff:ffff:ffff:ffff") && !contains("2001:db8:c::"));
}

#[test]
fn all_has_the_shortest_length_and_single_the_longest() {
    assert_eq!(Ipv6Prefix::all().to_string(), "::/0");
    assert!(Ipv4Prefix::all().contains(Ipv4Addr::BROADCAST));
    let single = Ipv4Prefix::single(Ipv4Addr::LOCALHOST);
    assert_eq!(single.to_string(), "127.0.0.1/32");
    assert_eq!((single.suffix_length(), Ipv6Prefix::all().suffix_length()), (0, 128));
}

#[test]
fn a_prefix_comes_before_those_inside_it() {
    let mut prefixes = ["10.1.0.0/16", "10.0.0.0/32", "10.0.0.0/8", "9.0.0.0/8"]
        .map(|text| text.parse::<Ipv4Prefix>().unwrap());
    prefixes.sort();
    let shown = prefixes.map(|prefix| prefix.to_string());
    assert_eq!(shown, ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/32", "10.1.0.0/16"]);
}

#[test]
fn host_bits_and_illegal_lengths_are_refused_with_what_to_write() {
    let ipv4 = |text: &str| text.parse::<Ipv4Prefix>().unwrap_err().to_string();
    let ipv6 = |text: &str| text.parse::<Ipv6Prefix>().unwrap_err().to_string();
    assert_eq!(ipv4("10.0.0.1/8"), "10.0.0.1/8 has host bits set; write 10.0.0.0/8 or 10.0.0.1/32");
    assert_eq!(
        ipv6("2001:db8::1/32"),
        "2001:db8::1/32 has host bits set; write 2001:db8::/32 or 2001:db8::1/128"
    );
    assert_eq!(ipv4("10.0.0.0/33"), "an IPv4 prefix cannot be /33; use /0 to /32");
    assert_eq!(ipv6("2001:db8::/129"), "an IPv6 prefix cannot be /129; use /0 to /128");
}

#[test]
fn text_that_is_no_prefix_is_refused_and_shown() {
    for text in [
        "",
        "/",
        "/8",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "::/0",
        "010.0.0.0/8",
        "localhost",
        " 10.0.0.0/8",
    ] {
        assert_eq!(text.parse::<Ipv4Prefix>(), Err(CidrError::Syntax(text.to_owned())));
    }
    for text in ["10.0.0.0/8", "fe80::1%eth0", "[::1]", "2001:db8:/32", "localhost"] {
        assert_eq!(text.parse::<Ipv6Prefix>(), Err(CidrError::Syntax(text.to_owned())));
    }
}

#[test]
fn an_error_shows_only_the_beginning_of_very_long_text() {
    let error = "é".repeat(100_000).parse::<Ipv4Prefix>().unwrap_err();
    assert_eq!(error, CidrError::Syntax(format!("{}…", "é".repeat(64))));
}
