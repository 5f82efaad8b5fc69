//! PTR queries for addresses in a prefix.

use std::net::Ipv6Addr;

use faith_dns64::{Options, Plan, plan, reverse};
use faith_packet::mapping::Mappings;
use faith_packet::rfc6052::Mapping;
use hickory_proto::rr::Name;

use crate::options;
use crate::text::{query, response, show};

/// 64:ff9b::198.51.100.2, and the reverse name of 198.51.100.2.
const NAME: &str = "2.0.4.6.3.3.6.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.";
const IN_ADDR: &str = "2.100.51.198.in-addr.arpa.";
const PREFIX: &str = "64:ff9b::/96";

fn asked(text: &str, options: &Options) -> Option<String> {
    match plan(&query(text), options) {
        Plan::Reverse(question) => Some(format!("{} {}", question.name(), question.query_type())),
        Plan::Pass => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_upstream_is_asked_for_the_reverse_name_of_the_server() {
    let expected = Some(format!("{IN_ADDR} PTR"));
    assert_eq!(asked(&format!("{NAME} PTR rd"), &options(PREFIX)), expected);
    assert_eq!(asked(&format!("{} PTR rd", NAME.to_uppercase()), &options(PREFIX)), expected);
}

#[test]
fn other_reverse_queries_pass() {
    let parent = NAME.split_once('.').unwrap().1;
    let padded = "0.".repeat(32);
    for text in [
        format!("{NAME} NS rd"),
        format!("{NAME} PTR rd cd"),
        format!("{NAME} PTR"),
        format!("{parent} PTR rd"),
        format!("0.{NAME} PTR rd"),
        format!("{} PTR rd", NAME.replace("b.9.f.f", "c.9.f.f")),
        format!("{} PTR rd", NAME.replacen("2.0", "x.0", 1)),
        format!("{} PTR rd", NAME.replacen("2.0", "02.0", 1)),
        format!("{} PTR rd", NAME.replacen("2.0.4", "2.04", 1)),
        format!("{} PTR rd", NAME.replace("ip6.arpa", "ip6.int")),
        format!("{padded}z.ip6.arpa. PTR rd"),
        format!("{IN_ADDR} PTR rd"),
    ] {
        assert_eq!(asked(&text, &options(PREFIX)), None, "{text}");
    }
    assert_eq!(asked(&format!("{NAME} PTR rd"), &options("")), None);
}

#[test]
fn an_explicit_mapping_gives_the_server() {
    let mapping = "64:ff9b::c633:6402=192.0.2.25:2525".parse().unwrap();
    let options =
        Options { mappings: Mappings::new(Mapping::Rfc6052, [mapping]).unwrap(), ..options(PREFIX) };
    assert_eq!(asked(&format!("{NAME} PTR rd"), &options).unwrap(), "25.2.0.192.in-addr.arpa. PTR");
}

/// Section 5.3.1 has the alias, as BIND and PowerDNS do. unbound gives the PTR record the client's name, without an alias.
#[test]
fn the_response_is_an_alias_and_the_servers_name() {
    for (ptr, expected) in [
        (
            format!("NOERROR | {IN_ADDR} 300 PTR www.example."),
            format!("NOERROR+4 | {NAME} 300 CNAME {IN_ADDR}; {IN_ADDR} 300 PTR www.example."),
        ),
        (
            format!("NOERROR | {IN_ADDR} 300 CNAME 2.0-127.{IN_ADDR}; 2.0-127.{IN_ADDR} 60 PTR www.example."),
            format!(
                "NOERROR+4 | {NAME} 60 CNAME {IN_ADDR}; {IN_ADDR} 300 CNAME 2.0-127.{IN_ADDR}; \
                 2.0-127.{IN_ADDR} 60 PTR www.example."
            ),
        ),
        (
            "NXDOMAIN | | 198.in-addr.arpa. 900 SOA 300".to_owned(),
            format!("NXDOMAIN+4 | {NAME} 300 CNAME {IN_ADDR} | 198.in-addr.arpa. 900 SOA 300"),
        ),
        (
            format!("NOERROR | | {IN_ADDR} 120 SOA 300"),
            format!("NOERROR+4 | {NAME} 120 CNAME {IN_ADDR} | {IN_ADDR} 120 SOA 300"),
        ),
        ("NOERROR".to_owned(), format!("NOERROR+4 | {NAME} 0 CNAME {IN_ADDR}")),
        (
            format!("NXDOMAIN | {IN_ADDR} 60 CNAME gone.example. | example. 900 SOA 30"),
            format!(
                "NXDOMAIN+4 | {NAME} 30 CNAME {IN_ADDR}; {IN_ADDR} 60 CNAME gone.example. | example. 900 SOA 30"
            ),
        ),
        (
            format!("NOERROR tc | {IN_ADDR} 300 PTR www.example."),
            format!("NOERROR tc+4 | {NAME} 300 CNAME {IN_ADDR}; {IN_ADDR} 300 PTR www.example."),
        ),
        // sdns gives the alias alone after an error. The error itself lets the client ask again.
        ("REFUSED".to_owned(), "REFUSED".to_owned()),
        ("SERVFAIL+22".to_owned(), "SERVFAIL+22".to_owned()),
    ] {
        let made = reverse(&query(&format!("{NAME} PTR rd edns")), &response(&ptr), &options(PREFIX));
        assert_eq!(show(&made), expected);
        assert!(made.id == 4711 && !made.authentic_data && made.recursion_available);
    }
}

/// RFC 6052 section 2.4 has these for 192.0.2.33.
#[test]
fn prefixes_of_every_length_give_the_server() {
    for (prefix, address) in [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
    ] {
        let address: Ipv6Addr = address.parse().unwrap();
        let name = Name::from(address);
        let expected = Some("33.2.0.192.in-addr.arpa. PTR".to_owned());
        assert_eq!(asked(&format!("{name} PTR rd"), &options(prefix)), expected, "{prefix}");
    }
}

#[test]
fn each_of_many_prefixes_gives_the_server() {
    let prefixes = "2001:32::/32 2001:40::/40 2001:48::/48 2001:56::/56 2001:64::/64 2001:96::/96";
    let options = options(prefixes);
    let server = "192.0.2.33".parse().unwrap();
    for prefix in &options.prefixes {
        let name = Name::from(faith_packet::rfc6052::embed(prefix, server));
        let expected = Some("33.2.0.192.in-addr.arpa. PTR".to_owned());
        assert_eq!(asked(&format!("{name} PTR rd"), &options), expected, "{prefix}");
    }
}

/// BIND does so, too, and sdns asks for the name as it is. DNS64 makes no such address, but a client may have one.
#[test]
fn a_special_use_address_in_the_well_known_prefix_gives_its_server() {
    let name = Name::from("64:ff9b::10.0.0.1".parse::<Ipv6Addr>().unwrap());
    assert_eq!(asked(&format!("{name} PTR rd"), &options(PREFIX)).unwrap(), "1.0.0.10.in-addr.arpa. PTR");
}

/// RFC 6052 section 2.2 has zeros behind the IPv4 address. The relay ignores other bits there, and the name is that of the
/// server which the relay dials.
#[test]
fn the_bits_behind_the_server_do_not_matter() {
    for address in ["2001:db8:c000:221::1", "2001:db8:c000:221:ff00::"] {
        let name = Name::from(address.parse::<Ipv6Addr>().unwrap());
        let expected = Some("33.2.0.192.in-addr.arpa. PTR".to_owned());
        assert_eq!(asked(&format!("{name} PTR rd"), &options("2001:db8::/32")), expected, "{address}");
    }
}

/// BIND is authoritative for the reverse zone of its prefix (SOA, names between the prefix and an address). Section 5.3.1 lets a
/// DNS64 choose, and only addresses have an alias here.
#[test]
fn names_between_the_prefix_and_an_address_pass() {
    let options = options(PREFIX);
    let mut name = NAME;
    while let Some((_, parent)) = name.split_once('.').filter(|(_, parent)| parent.contains("arpa")) {
        for kind in ["PTR", "SOA", "NS"] {
            assert_eq!(asked(&format!("{parent} {kind} rd"), &options), None, "{parent} {kind}");
        }
        name = parent;
    }
}
