//! AAAA queries.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use faith_dns64::{Failures, MAX_ADDRESSES, Options, failure, synthesise, wants_a};
use faith_packet::mapping::Mappings;
use faith_packet::rfc6052::Mapping;
use hickory_proto::op::ResponseCode;

use crate::options;
use crate::text::{query, response, show};

const PREFIX: &str = "2001:db8:64::/96";

/// The response to `www.example. AAAA` with these flags; `pass` for the upstream's own.
fn answer(flags: &str, aaaa: &str, a: &str, options: &Options) -> String {
    let query = query(&format!("www.example. AAAA {flags}"));
    let (aaaa, a) = (response(aaaa), response(a));
    let asked = wants_a(&query, &aaaa, options).then_some(&a);
    match synthesise(&query, &aaaa, asked, options, |_| true) {
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

struct Case {
    rule: &'static str,
    flags: &'static str,
    aaaa: &'static str,
    a: &'static str,
    expected: &'static str,
}

const CASES: &[Case] = &[
    Case {
        rule: "a name with an AAAA record keeps it (section 5.1.1)",
        flags: "rd",
        aaaa: "NOERROR | www.example. 300 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "a name with A records alone gets one AAAA record for each, in their order (section 5.1.6)",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.2; www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 300 AAAA 2001:db8:64::c000:202; \
                   www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "NXDOMAIN passes (section 5.1.2)",
        flags: "rd",
        aaaa: "NXDOMAIN | | example. 900 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "NXDOMAIN behind an alias passes",
        flags: "rd",
        aaaa: "NXDOMAIN | www.example. 60 CNAME gone.example. | example. 900 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "SERVFAIL counts as no AAAA record (section 5.1.2)",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "REFUSED counts as no AAAA record",
        flags: "rd",
        aaaa: "REFUSED",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "NOTIMP counts as no AAAA record",
        flags: "rd",
        aaaa: "NOTIMP",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "bogus data are not made whole: SERVFAIL of a failed validation passes",
        flags: "rd edns",
        aaaa: "SERVFAIL+6",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an expired signature is a failed validation",
        flags: "rd edns",
        aaaa: "SERVFAIL+7",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "SERVFAIL for another reason (22, no reachable authority) counts as no AAAA record",
        flags: "rd edns",
        aaaa: "SERVFAIL+22",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR+4 | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a truncated response says nothing about absence",
        flags: "rd",
        aaaa: "NOERROR tc",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "a name without addresses gets the response to its AAAA query (section 5.4)",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "pass",
    },
    Case {
        rule: "where the AAAA query failed and there is no A record, the absence of the A record is the answer",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "NOERROR | | example. 900 SOA 900",
    },
    Case {
        rule: "an error of the A query is the answer (section 5.1.6)",
        flags: "rd edns",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "SERVFAIL+22",
        expected: "SERVFAIL+22",
    },
    Case {
        rule: "NXDOMAIN of the A query is the answer, with its SOA record",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NXDOMAIN | | example. 300 SOA 300",
        expected: "NXDOMAIN | | example. 300 SOA 300",
    },
    Case {
        rule: "the TTL is at most the SOA record's minimum (section 5.1.7)",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 120",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 120 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "the TTL is at most the SOA record's own",
        flags: "rd",
        aaaa: "NOERROR | | example. 60 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "without a SOA record, the TTL is at most 600",
        flags: "rd",
        aaaa: "NOERROR",
        a: "NOERROR | www.example. 3600 A 192.0.2.1; www.example. 30 A 192.0.2.2",
        expected: "NOERROR | www.example. 600 AAAA 2001:db8:64::c000:201; \
                   www.example. 30 AAAA 2001:db8:64::c000:202",
    },
    Case {
        rule: "aliases stay, and the AAAA record has the last name (section 5.1.5)",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 CNAME b.example.; b.example. 30 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 CNAME b.example.; \
                   b.example. 30 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "an alias of a name with an AAAA record passes",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "the records of a chain may come in any order, and the query's name has the client's case",
        flags: "rd",
        aaaa: "NOERROR",
        a: "NOERROR | B.example. 30 A 192.0.2.1; WWW.example. 60 CNAME b.EXAMPLE.",
        expected: "NOERROR | www.example. 60 CNAME b.EXAMPLE.; B.example. 30 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a DNAME record stays with the CNAME record that the server made of it",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net.; www.net. 30 A 192.0.2.1",
        expected: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net.; \
                   www.net. 30 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a chain that leads round in a circle has no address",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 CNAME www.example.; \
            www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an A record of another name is not the answer",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | other.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an AAAA record of another name does not prevent synthesis",
        flags: "rd",
        aaaa: "NOERROR | other.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "A records of the additional section are not made into answers, and stay as they are (section 5.3.2)",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900 | www.example. 60 A 192.0.2.9",
        a: "NOERROR | www.example. 60 A 192.0.2.1 | | ns.example. 60 A 192.0.2.53",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201 | | ns.example. 60 A 192.0.2.53",
    },
    Case {
        rule: "A records of the additional section alone are no answer",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | | example. 900 SOA 900 | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "only excluded AAAA records are as good as none (section 5.1.4)",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "excluded AAAA records leave the answer, usable ones stay",
        flags: "rd do",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9; www.example. 60 AAAA 2001:db8::1; \
               www.example. 60 RRSIG AAAA",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "NOERROR+4 | www.example. 60 AAAA 2001:db8::1",
    },
    Case {
        rule: "excluded AAAA records leave the answer of a name without A records too",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "NOERROR",
    },
    Case {
        rule: "a client that validates gets the zone's own data (section 5.5)",
        flags: "rd cd do",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "CD without DO is respected too",
        flags: "rd cd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "a client that wants signatures gets those of aliases, none of A records, and the extended error",
        flags: "rd do",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; www.example. 60 RRSIG CNAME | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example.; www.example. 60 RRSIG CNAME; a.example. 60 A 192.0.2.1; \
            a.example. 60 RRSIG A",
        expected: "NOERROR+4 | www.example. 60 CNAME a.example.; www.example. 60 RRSIG CNAME; \
                   a.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a client without RD gets what the upstream knows",
        flags: "",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an extended error that is no failed validation does not prevent synthesis",
        flags: "rd edns",
        aaaa: "NOERROR+18 | | example. 900 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR+4 | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a truncated A response makes a truncated one, so that the client asks over TCP",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR tc | www.example. 300 A 192.0.2.1",
        expected: "NOERROR tc | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a TTL of 0 stays",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 0 A 192.0.2.1",
        expected: "NOERROR | www.example. 0 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "where the AAAA query failed, the TTL is at most 600 (section 5.1.7)",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | www.example. 3600 A 192.0.2.1",
        expected: "NOERROR | www.example. 600 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "the authority section is that of the A response, and its records stay as they are (sections 5.3.2, 5.4)",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 120",
        a: "NOERROR | www.example. 300 A 192.0.2.1 | example. 7200 SOA 7200; ns.example. 60 A 192.0.2.53",
        expected: "NOERROR | www.example. 120 AAAA 2001:db8:64::c000:201 | \
                   example. 7200 SOA 7200; ns.example. 60 A 192.0.2.53",
    },
    Case {
        rule: "an alias of a name without addresses gets the response to its AAAA query",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        expected: "pass",
    },
    Case {
        rule: "where the AAAA query failed, an alias of a name without addresses stays (section 5.1.5)",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        expected: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
    },
    Case {
        rule: "where the AAAA query failed and the A query too, the error of the A query is the answer",
        flags: "rd",
        aaaa: "REFUSED",
        a: "SERVFAIL",
        expected: "SERVFAIL",
    },
    Case {
        rule: "NXDOMAIN of the A query behind an alias keeps the alias",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NXDOMAIN | www.example. 60 CNAME gone.example. | example. 300 SOA 300",
        expected: "NXDOMAIN | www.example. 60 CNAME gone.example. | example. 300 SOA 300",
    },
    Case {
        rule: "data of the A query that failed validation are not used",
        flags: "rd edns",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "SERVFAIL+6",
        expected: "SERVFAIL+6",
    },
    Case {
        rule: "only excluded AAAA records behind an alias are as good as none",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "excluded AAAA records behind an alias leave the answer of a name without A records, the alias stays",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        expected: "NOERROR | www.example. 60 CNAME a.example.",
    },
    Case {
        rule: "records of other types in an AAAA response are no AAAA record",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 A 192.0.2.9",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "AAAA records in the A response are not taken over",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1; www.example. 60 AAAA 2001:db8::66",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
];

#[test]
fn aaaa_queries_are_answered_by_the_rules() {
    for Case { rule, flags, aaaa, a, expected } in CASES {
        assert_eq!(answer(flags, aaaa, a, &options(PREFIX)), *expected, "{rule}");
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
fn without_excluded_prefixes_every_aaaa_record_passes() {
    let options = Options { exclude: Vec::new(), ..options(PREFIX) };
    let aaaa = "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9";
    assert_eq!(answer("rd", aaaa, "NOERROR | www.example. 60 A 192.0.2.1", &options), "pass");
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
    assert_eq!(show(&made), "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201");
    let aaaa = response(NODATA);
    let made = synthesise(&query, &aaaa, Some(&missing), &options, |_| true);
    assert_eq!(show(&made), "SERVFAIL");
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
    for (server, global) in
        [("10.0.0.1", false), ("127.0.0.1", false), ("198.51.100.2", false), ("9.9.9.9", true)]
    {
        let made = answer("rd", NODATA, &format!("NOERROR | www.example. 60 A {server}"), &options);
        assert_eq!(made.contains("64:ff9b::"), global, "{server}");
        assert!(made.contains("2001:db8:64::"), "{server}");
    }
}

#[test]
fn a_name_with_special_use_addresses_alone_has_no_aaaa_record_in_the_well_known_prefix() {
    let options = options("64:ff9b::/96");
    assert_eq!(answer("rd", NODATA, "NOERROR | www.example. 60 A 10.0.0.1", &options), "pass");
}

#[test]
fn an_address_that_the_client_may_not_connect_to_is_not_synthesised() {
    let query = query("www.example. AAAA rd");
    let (aaaa, options) = (response(NODATA), options(PREFIX));
    let a = response("NOERROR | www.example. 60 A 192.0.2.1; www.example. 60 A 192.0.2.2");
    let denied: Ipv6Addr = "2001:db8:64::192.0.2.1".parse().unwrap();
    let made = synthesise(&query, &aaaa, Some(&a), &options, |address| address != denied);
    assert_eq!(show(&made), "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:202");
    assert!(matches!(synthesise(&query, &aaaa, Some(&a), &options, |_| false), Cow::Borrowed(_)));
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
fn configured_addresses_are_excluded() {
    let mut options = options(PREFIX);
    options.exclude.push("2001:db8:bad::/48".parse().unwrap());
    let made = answer(
        "rd",
        "NOERROR | www.example. 60 AAAA 2001:db8:bad::1",
        "NOERROR | www.example. 60 A 192.0.2.1",
        &options,
    );
    assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201");
}

#[test]
fn nothing_is_synthesised_without_a_prefix() {
    assert_eq!(answer("rd", NODATA, "NOERROR | www.example. 60 A 192.0.2.1", &options("")), "pass");
}

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
    assert_eq!(made.answers.len(), MAX_ADDRESSES);
}
