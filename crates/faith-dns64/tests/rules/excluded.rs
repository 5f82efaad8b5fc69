//! AAAA records that no IPv6-only client can use (RFC 6147 section 5.1.4).

use faith_dns64::Options;
use faith_packet::cidr::Ipv6Prefix;

use crate::options;
use crate::synthesis::{PREFIX, answer};
use crate::table::{Case, check};

/// The cases of ::ffff:0:0/96, which is excluded by default.
const CASES: &[Case] = &[
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
        rule: "a name without other addresses gets the absence of its A records, which it may keep (section 5.1.6)",
        flags: "rd edns",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9 | example. 900 NS ns.example.",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "NOERROR+4 | | example. 900 SOA 900",
    },
    Case {
        rule: "only excluded AAAA records behind an alias are as good as none",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "the alias of a name without other addresses stays",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        expected: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
    },
    Case {
        rule: "an error of the A query is the answer",
        flags: "rd edns",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "SERVFAIL+22",
        expected: "SERVFAIL+22",
    },
    Case {
        rule: "NXDOMAIN of the A query is the answer",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NXDOMAIN | | example. 300 SOA 300",
        expected: "NXDOMAIN | | example. 300 SOA 300",
    },
    Case {
        rule: "without a SOA record, the TTL is at most 600 (section 5.1.7)",
        flags: "rd",
        aaaa: "NOERROR | www.example. 3600 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 3600 A 192.0.2.1",
        expected: "NOERROR | www.example. 600 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "behind an alias excluded AAAA records leave the answer, the alias and usable ones stay",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:192.0.2.9; \
               a.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA 2001:db8::1",
    },
    Case {
        rule: "a client that validates gets every record of the zone",
        flags: "rd cd do",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9; www.example. 60 RRSIG AAAA",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "a client without RD gets what the upstream knows",
        flags: "",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
];

/// The cases of a name whose A records give no address in the well-known prefix.
const PRIVATE: &[Case] = &[
    Case {
        rule: "without a usable address the answer is empty",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:10.0.0.1",
        a: "NOERROR | www.example. 60 A 10.0.0.1 | example. 900 NS ns.example. | ns.example. 900 A 192.0.2.53",
        expected: "NOERROR",
    },
    Case {
        rule: "behind an alias the alias is all that stays",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 AAAA ::ffff:10.0.0.1",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 10.0.0.1",
        expected: "NOERROR | www.example. 60 CNAME a.example.",
    },
    Case {
        rule: "where the AAAA query failed, NS records do not make the answer a referral",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | www.example. 60 A 10.0.0.1 | example. 900 NS ns.example.",
        expected: "NOERROR",
    },
    Case {
        rule: "usable AAAA records stay, whatever the A records are",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:10.0.0.1; www.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 60 A 10.0.0.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8::1",
    },
];

/// The cases of a network where only addresses in the prefix can be reached: ::/0 is excluded. unbound has a switch for it
/// (dns64-synthall), as CoreDNS has (translate_all).
const EVERYTHING: &[Case] = &[
    Case {
        rule: "a name with addresses of both kinds gets one in the prefix",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201",
    },
    // unbound gives the AAAA records of such a name. Section 5.1.4 says that an excluded one must not be given.
    Case {
        rule: "a name with AAAA records alone has no address",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA 2001:db8::1",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "NOERROR | | example. 900 SOA 900",
    },
];

#[test]
fn a_name_without_a_usable_address_has_an_empty_answer() {
    check(PRIVATE, &options("64:ff9b::/96"));
}

#[test]
fn every_address_may_count_as_absent() {
    check(EVERYTHING, &Options { exclude: vec!["::/0".parse().unwrap()], ..options(PREFIX) });
}

#[test]
fn mapped_addresses_count_as_absent() {
    check(CASES, &options(PREFIX));
}

#[test]
fn without_excluded_prefixes_every_aaaa_record_passes() {
    let options = Options { exclude: Vec::new(), ..options(PREFIX) };
    let aaaa = "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9";
    assert_eq!(answer("rd", aaaa, "NOERROR | www.example. 60 A 192.0.2.1", &options), "pass");
}

#[test]
fn configured_addresses_are_excluded() {
    let mut options = options(PREFIX);
    // The second one is the prefix itself, of which a zone may publish addresses.
    options.exclude.extend(["2001:db8:bad::/48", PREFIX].map(|prefix| prefix.parse::<Ipv6Prefix>().unwrap()));
    for address in ["2001:db8:bad::1", "2001:db8:64::c000:209", "::ffff:192.0.2.9"] {
        let aaaa = format!("NOERROR | www.example. 60 AAAA {address}");
        let made = answer("rd", &aaaa, "NOERROR | www.example. 60 A 192.0.2.1", &options);
        assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201", "{address}");
    }
}
