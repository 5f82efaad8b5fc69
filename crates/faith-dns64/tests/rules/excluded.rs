//! AAAA records that no IPv6-only client can use (RFC 6147 section 5.1.4).

use faith_dns64::Options;

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
        rule: "excluded AAAA records leave the answer of a name without A records too",
        flags: "rd",
        aaaa: "NOERROR | www.example. 60 AAAA ::ffff:192.0.2.9",
        a: "NOERROR | | example. 900 SOA 900",
        expected: "NOERROR",
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
];

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
    options.exclude.push("2001:db8:bad::/48".parse().unwrap());
    let made = answer(
        "rd",
        "NOERROR | www.example. 60 AAAA 2001:db8:bad::1",
        "NOERROR | www.example. 60 A 192.0.2.1",
        &options,
    );
    assert_eq!(made, "NOERROR | www.example. 60 AAAA 2001:db8:64::c000:201");
}
