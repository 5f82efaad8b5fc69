//! AAAA queries: options, limits, and many responses to one query. The cases of one response each are in `table.rs`.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use faith_dns64::{Failures, MAX_ADDRESSES, Options, Withheld, failure, synthesise, wants_a};
use faith_packet::mapping::Mappings;
use faith_packet::rfc6052::Mapping;
use hickory_proto::op::ResponseCode;

use crate::options;
use crate::text::{query, response, show};

pub(crate) const PREFIX: &str = "2001:db8:64::/96";

/// The response to `www.example. AAAA` with these flags; `pass` for the upstream's own.
pub(crate) fn answer(flags: &str, aaaa: &str, a: &str, options: &Options) -> String {
    let query = query(&format!("www.example. AAAA {flags}"));
    let (aaaa, a) = (response(aaaa), response(a));
    let asked = wants_a(&query, &aaaa, options).then_some(&a);
    match synthesise(&query, &aaaa, asked, options, |_| true).response {
        Cow::Borrowed(_) => "pass".to_owned(),
        Cow::Owned(made) => {
            assert_eq!(made.id, query.id);
            assert_eq!(made.queries, query.queries);
            assert!(made.recursion_available && made.recursion_desired && !made.authoritative);
            assert!(!made.authentic_data, "no zone has these data");
            assert_eq!(made.edns.is_some(), query.edns.is_some());
            show(&made)
        }
    }
}

const NODATA: &str = "NOERROR | | example. 900 SOA 900";

#[test]
fn errors_pass_if_they_are_to_pass() {
    let options = Options { failures: Failures::Pass, ..options(PREFIX) };
    for aaaa in ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"] {
        assert_eq!(answer("rd", aaaa, "NOERROR | www.example. 60 A 192.0.2.1", &options), "pass", "{aaaa}");
    }
    let made = answer("rd", NODATA, "NOERROR | www.example. 60 A 192.0.2.1", &options);
    assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201");
}

#[test]
fn every_extended_error_of_dnssec_keeps_the_failure() {
    let dnssec = [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 25, 27];
    for code in 0..=30 {
        for failures in [Failures::Synthesise, Failures::Pass] {
            let options = Options { failures, ..options(PREFIX) };
            let a = "NOERROR | www.example. 60 A 192.0.2.1";
            let passes = answer("rd edns", &format!("SERVFAIL+{code}"), a, &options) == "pass";
            assert_eq!(passes, failures == Failures::Pass || dnssec.contains(&code), "{code} {failures:?}");
        }
    }
}

#[test]
fn a_long_chain_of_aliases_is_followed_and_an_endless_one_is_not() {
    for (aliases, follows) in [(15, true), (200, false)] {
        let chain = |number: u32| {
            format!("{}.example.", if number == 0 { "www".to_owned() } else { number.to_string() })
        };
        let mut records: Vec<String> =
            (0..aliases).map(|from| format!("{} 60 CNAME {}", chain(from), chain(from + 1))).collect();
        records.push(format!("{} 60 A 192.0.2.1", chain(aliases)));
        let made = answer("rd", NODATA, &format!("NOERROR | {}", records.join(";")), &options(PREFIX));
        let address = format!("; {} 60 AAAA 2001:db8:64::c000:201", chain(aliases));
        assert_eq!(made.ends_with(&address), follows, "{aliases} aliases");
    }
}

#[test]
fn a_missing_response_counts_as_a_failure() {
    let query = query("www.example. AAAA rd");
    let (missing, options) = (failure(&query, ResponseCode::ServFail), options(PREFIX));
    assert!(wants_a(&query, &missing, &options));
    let a = response("NOERROR | www.example. 60 A 192.0.2.1");
    let made = synthesise(&query, &missing, Some(&a), &options, |_| true);
    assert_eq!(show(&made.response), "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201");
    let aaaa = response(NODATA);
    let made = synthesise(&query, &aaaa, Some(&missing), &options, |_| true);
    assert_eq!(show(&made.response), "SERVFAIL");
}

#[test]
fn each_prefix_of_any_length_gives_an_address() {
    let prefixes = "2001:db8::/32 2001:db8:100::/40 2001:db8:122::/48 2001:db8:122:300::/56 \
                    2001:db8:122:344::/64 2001:db8:122:345::/96";
    let made = answer("rd", NODATA, "NOERROR | www.example. 60 A 192.0.2.33", &options(prefixes));
    let addresses: Vec<&str> =
        made.split(" AAAA ").skip(1).map(|rest| rest.split(';').next().unwrap()).collect();
    assert_eq!(
        addresses,
        [
            "2001:db8:c000:221::",
            "2001:db8:1c0:2:21::",
            "2001:db8:122:c000:2:2100::",
            "2001:db8:122:3c0:0:221::",
            "2001:db8:122:344:c0:2:2100:0",
            "2001:db8:122:345::c000:221"
        ]
    );
}

#[test]
fn special_use_addresses_get_no_address_in_the_well_known_prefix() {
    let options = options("64:ff9b::/96 2001:db8:64::/96");
    for (server, global) in [
        ("10.0.0.1", false),
        ("100.64.0.1", false),
        ("127.0.0.1", false),
        ("169.254.1.1", false),
        ("172.31.255.254", false),
        ("172.32.0.1", true),
        ("192.168.0.1", false),
        ("198.18.0.1", false),
        ("198.51.100.2", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("9.9.9.9", true),
    ] {
        let made = answer("rd", NODATA, &format!("NOERROR | www.example. 60 A {server}"), &options);
        assert_eq!(made.contains("64:ff9b::"), global, "{server}");
        assert!(made.contains("2001:db8:64::"), "{server}");
    }
}

#[test]
fn a_name_with_special_use_addresses_alone_has_no_aaaa_record_in_the_well_known_prefix() {
    let options = options("64:ff9b::/96");
    let a = "NOERROR | www.example. 60 A 10.0.0.1; www.example. 60 A 9.9.9.9; www.example. 60 A 127.0.0.1";
    assert_eq!(answer("rd", NODATA, "NOERROR | www.example. 60 A 10.0.0.1", &options), "pass");
    let (query, aaaa, a) = (query("www.example. AAAA rd"), response(NODATA), response(a));
    let made = synthesise(&query, &aaaa, Some(&a), &options, |_| true);
    assert_eq!(made.withheld, Withheld { denied: 0, unusable: 2 });
}

#[test]
fn an_address_that_the_client_may_not_connect_to_is_not_synthesised() {
    let query = query("www.example. AAAA rd");
    let (aaaa, options) = (response(NODATA), options(PREFIX));
    let a = response("NOERROR | www.example. 60 A 192.0.2.1; www.example. 60 A 192.0.2.2");
    let denied: Ipv6Addr = "2001:db8:64::192.0.2.1".parse().unwrap();
    let made = synthesise(&query, &aaaa, Some(&a), &options, |address| address != denied);
    assert_eq!(show(&made.response), "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:202");
    assert_eq!(made.withheld, Withheld { denied: 1, unusable: 0 });
    let made = synthesise(&query, &aaaa, Some(&a), &options, |_| false);
    assert!(matches!(made.response, Cow::Borrowed(_)));
    assert_eq!(made.withheld, Withheld { denied: 2, unusable: 0 });
}

#[test]
fn an_address_that_the_relay_takes_for_another_server_is_not_synthesised() {
    let mapping = "2001:db8:64::c000:201=198.51.100.9".parse().unwrap();
    let mappings = Mappings::new(Mapping::Rfc6052, [mapping]).unwrap();
    let options = Options { mappings, ..options(PREFIX) };
    let made =
        answer("rd", NODATA, "NOERROR | www.example. 60 A 192.0.2.1; www.example. 60 A 192.0.2.2", &options);
    assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:202");
}

#[test]
fn a_relay_that_reads_the_last_32_bits_gets_addresses_that_have_them_there() {
    let mappings = Mappings::new(Mapping::Low32, []).unwrap();
    let options = Options { mappings, ..options("2001:db8:64:1::/64") };
    let made = answer("rd", NODATA, "NOERROR | www.example. 60 A 192.0.2.1", &options);
    assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64:1::c000:201");
}

#[test]
fn nothing_is_synthesised_without_a_prefix() {
    // Excluded addresses pass as well: a client outside the networks of DNS64 gets the zone's own records.
    for aaaa in [NODATA, "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9", "SERVFAIL"] {
        assert_eq!(
            answer("rd", aaaa, "NOERROR | www.example. 60 A 192.0.2.1", &options("")),
            "pass",
            "{aaaa}"
        );
    }
}

/// unbound adds addresses to the response to ANY, and CoreDNS can hide A records (filter_a). RFC 6147 concerns AAAA queries.
#[test]
fn other_types_and_classes_pass() {
    let options = options(PREFIX);
    for kind in ["A", "HTTPS", "SVCB", "ANY", "MX", "TXT", "SOA", "SRV"] {
        let query = query(&format!("www.example. {kind} rd"));
        assert_eq!(faith_dns64::plan(&query, &options), faith_dns64::Plan::Pass, "{kind}");
    }
    let mut chaos = query("www.example. AAAA rd");
    chaos.queries[0].set_query_class(hickory_proto::rr::DNSClass::CH);
    assert_eq!(faith_dns64::plan(&chaos, &options), faith_dns64::Plan::Pass);
}

#[test]
fn a_response_has_a_bounded_number_of_addresses() {
    let query = query("www.example. AAAA rd");
    let records: Vec<String> = (0..=255).map(|low| format!("www.example. 60 A 192.0.2.{low}")).collect();
    let a = response(&format!("NOERROR | {}", records.join(";")));
    let options = options("2001:db8:64::/96 2001:db8:65::/96");
    let aaaa = response(NODATA);
    let made = synthesise(&query, &aaaa, Some(&a), &options, |_| true);
    assert_eq!(made.response.answers.len(), MAX_ADDRESSES);
}
