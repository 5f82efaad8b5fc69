//! ipv4only.arpa and its reverse names, which the upstream is never asked for.

use faith_dns64::{Plan, plan};

use crate::options;
use crate::text::{query, show};

const PREFIXES: &str = "64:ff9b::/96 2001:db8:64::/64";

/// The local answer; `upstream` if there is none.
fn answer(text: &str, prefixes: &str) -> String {
    match plan(&query(text), &options(prefixes)) {
        Plan::Answer(response) => {
            assert!(response.authoritative && !response.authentic_data);
            show(&response)
        }
        Plan::Pass => "upstream".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_zones_are_answered_here() {
    let soa = "ipv4only.arpa. 600 SOA 600";
    for (query, expected) in [
        (
            "ipv4only.arpa. A rd",
            "NOERROR | ipv4only.arpa. 86400 A 192.0.0.170; ipv4only.arpa. 86400 A 192.0.0.171".to_owned(),
        ),
        (
            "IPv4Only.ARPA. AAAA rd do",
            "NOERROR | IPv4Only.ARPA. 600 AAAA 64:ff9b::c000:aa; IPv4Only.ARPA. 600 AAAA 64:ff9b::c000:ab; \
             IPv4Only.ARPA. 600 AAAA 2001:db8:64:0:c0:0:aa00:0; \
             IPv4Only.ARPA. 600 AAAA 2001:db8:64:0:c0:0:ab00:0"
                .to_owned(),
        ),
        ("ipv4only.arpa. AAAA rd cd do", format!("NOERROR | | {soa}")),
        ("ipv4only.arpa. HTTPS rd", format!("NOERROR | | {soa}")),
        ("ipv4only.arpa. SOA rd", "NOERROR | ipv4only.arpa. 86400 SOA 600".to_owned()),
        ("www.ipv4only.arpa. AAAA rd", format!("NXDOMAIN | | {soa}")),
        (
            "170.0.0.192.in-addr.arpa. PTR rd",
            "NOERROR | 170.0.0.192.in-addr.arpa. 86400 PTR ipv4only.arpa.".to_owned(),
        ),
        ("171.0.0.192.in-addr.arpa. A rd", "NOERROR | | 171.0.0.192.in-addr.arpa. 600 SOA 600".to_owned()),
        ("171.0.0.192.in-addr.arpa. AAAA rd", "NOERROR | | 171.0.0.192.in-addr.arpa. 600 SOA 600".to_owned()),
        (
            "a.170.0.0.192.in-addr.arpa. PTR rd",
            "NXDOMAIN | | 170.0.0.192.in-addr.arpa. 600 SOA 600".to_owned(),
        ),
        ("a.b.ipv4only.arpa. A rd", format!("NXDOMAIN | | {soa}")),
        ("www.ipv4only.arpa. DS rd", format!("NXDOMAIN | | {soa}")),
        ("ipv4only.arpa. DS rd do", "upstream".to_owned()),
        ("170.0.0.192.in-addr.arpa. DS rd do", "upstream".to_owned()),
        ("0.0.192.in-addr.arpa. PTR rd", "upstream".to_owned()),
        ("ipv4only.arpa.example. A rd", "upstream".to_owned()),
        ("172.0.0.192.in-addr.arpa. PTR rd", "upstream".to_owned()),
        ("arpa. NS rd", "upstream".to_owned()),
        ("notipv4only.arpa. A rd", "upstream".to_owned()),
    ] {
        assert_eq!(answer(query, PREFIXES), expected, "{query}");
    }
}

#[test]
fn the_other_types_of_the_name_have_no_record() {
    for kind in ["NS", "MX", "TXT", "CNAME", "SRV", "SVCB", "HTTPS", "CAA", "ANY", "PTR", "DNSKEY", "NSEC"] {
        let expected = "NOERROR | | ipv4only.arpa. 600 SOA 600";
        assert_eq!(answer(&format!("ipv4only.arpa. {kind} rd"), PREFIXES), expected, "{kind}");
    }
}

#[test]
fn a_query_without_rd_gets_the_same() {
    for kind in ["A", "AAAA", "SOA"] {
        let [with, without] =
            [" rd", ""].map(|flag| answer(&format!("ipv4only.arpa. {kind}{flag}"), PREFIXES));
        assert_eq!(with, without);
        assert_ne!(with, "upstream");
    }
}

#[test]
fn other_classes_are_the_upstreams() {
    let mut chaos = query("ipv4only.arpa. A rd");
    chaos.queries[0].set_query_class(hickory_proto::rr::DNSClass::CH);
    assert_eq!(plan(&chaos, &options(PREFIXES)), Plan::Pass);
}

/// RFC 7050 section 3: a client finds where the prefix ends by the known address in each answer.
#[test]
fn clients_find_prefixes_of_every_length() {
    for length in [32, 40, 48, 56, 64, 96] {
        let prefix = format!("2001:db8::/{length}");
        let Plan::Answer(response) = plan(&query("ipv4only.arpa. AAAA rd"), &options(&prefix)) else {
            panic!()
        };
        let prefix = prefix.parse().unwrap();
        let found = response.answers.iter().filter_map(|record| match record.data.ip_addr() {
            Some(std::net::IpAddr::V6(address)) => faith_packet::rfc6052::extract(&prefix, address),
            _ => None,
        });
        assert_eq!(
            found.collect::<Vec<_>>(),
            ["192.0.0.170", "192.0.0.171"].map(|known| known.parse::<std::net::Ipv4Addr>().unwrap())
        );
    }
}

#[test]
fn without_a_prefix_there_is_no_prefix_to_find() {
    assert_eq!(answer("ipv4only.arpa. AAAA rd", ""), "NOERROR | | ipv4only.arpa. 600 SOA 600");
}

#[test]
fn the_addresses_of_the_prefix_have_the_name() {
    let name = "a.a.0.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.";
    let expected = format!("NOERROR | {name} 600 PTR ipv4only.arpa.");
    assert_eq!(answer(&format!("{name} PTR rd"), PREFIXES), expected);
}
