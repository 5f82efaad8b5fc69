//! A table of AAAA queries by the rules of RFC 6147: the responses to the AAAA and A queries, and the answer to the client.
//! The cases of excluded AAAA records are in `excluded.rs`.

use faith_dns64::Options;

use crate::options;
use crate::synthesis::{PREFIX, answer};

pub(crate) struct Case {
    pub(crate) rule: &'static str,
    pub(crate) flags: &'static str,
    pub(crate) aaaa: &'static str,
    pub(crate) a: &'static str,
    pub(crate) expected: &'static str,
}

/// Asserts that each case has its answer.
pub(crate) fn check(cases: &[Case], options: &Options) {
    for Case { rule, flags, aaaa, a, expected } in cases {
        assert_eq!(answer(flags, aaaa, a, options), *expected, "{rule}");
    }
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
    // sdns gives the AAAA response if no server answers the A query: a name without addresses, which it may have.
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
    // So do BIND and sdns, by RFC 2308 section 5. CoreDNS and Knot Resolver take the SOA record's own TTL alone.
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
        rule: "a client that validates gets the zone's own data (section 5.5)",
        flags: "rd cd do",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    // So does unbound. Knot Resolver and BIND synthesise for CD without DO.
    Case {
        rule: "CD without DO is respected too",
        flags: "rd cd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    // So do unbound and Knot Resolver. BIND without break-dnssec gives a client with DO no address for a signed name.
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
    Case {
        rule: "a truncated A response without records says nothing about absence",
        flags: "rd",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NOERROR tc",
        expected: "NOERROR tc",
    },
    Case {
        rule: "FORMERR counts as no AAAA record",
        flags: "rd",
        aaaa: "FORMERR",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 300 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "an error that names the zone's SOA record limits the TTL by it, too",
        flags: "rd",
        aaaa: "NOTIMP | | example. 900 SOA 30",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "NOERROR | www.example. 30 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "each record has a TTL of its own, over 600 too if the SOA record allows it",
        flags: "rd",
        aaaa: "NOERROR | | example. 3600 SOA 1200",
        a: "NOERROR | www.example. 500 A 192.0.2.1; www.example. 700 A 192.0.2.2; www.example. 1300 A 192.0.2.3",
        expected: "NOERROR | www.example. 500 AAAA 2001:db8:64::c000:201; \
                   www.example. 700 AAAA 2001:db8:64::c000:202; www.example. 1200 AAAA 2001:db8:64::c000:203",
    },
    // BIND and unbound give the AAAA response, too, which has the proof for the client's question. sdns gives the A response.
    Case {
        rule: "a name without addresses gets the AAAA response, though the A response has an alias",
        flags: "rd do",
        aaaa: "NOERROR | | example. 900 SOA 900; example. 900 RRSIG SOA",
        a: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        expected: "pass",
    },
    Case {
        rule: "a DNAME record stays where its target has no address and the AAAA query failed",
        flags: "rd",
        aaaa: "SERVFAIL",
        a: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net. | net. 900 SOA 900",
        expected: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net. | net. 900 SOA 900",
    },
    Case {
        rule: "the signature of a DNAME record stays, that of the A record does not",
        flags: "rd do",
        aaaa: "NOERROR | | net. 900 SOA 900",
        a: "NOERROR | example. 60 DNAME net; example. 60 RRSIG DNAME; www.example. 0 CNAME www.net.; \
            www.net. 30 A 192.0.2.1; www.net. 30 RRSIG A",
        expected: "NOERROR+4 | example. 60 DNAME net; example. 60 RRSIG DNAME; www.example. 0 CNAME www.net.; \
                   www.net. 30 AAAA 2001:db8:64::c000:201",
    },
    Case {
        rule: "a DNAME record of a name with an AAAA record passes",
        flags: "rd",
        aaaa: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net.; www.net. 30 AAAA 2001:db8::1",
        a: "NOERROR | example. 60 DNAME net; www.example. 0 CNAME www.net.; www.net. 30 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "a wildcard's records are those of the name",
        flags: "rd do",
        aaaa: "NOERROR | | example. 900 SOA 900; *.example. 900 RRSIG NSEC",
        a: "NOERROR | www.example. 300 A 192.0.2.1; www.example. 300 RRSIG A | *.example. 900 RRSIG NSEC",
        expected: "NOERROR+4 | www.example. 300 AAAA 2001:db8:64::c000:201 | *.example. 900 RRSIG NSEC",
    },
    Case {
        rule: "a client that validates gets bogus data of the zone as they are",
        flags: "rd cd do",
        aaaa: "SERVFAIL+6",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an alias of a name without AAAA records passes to a client that validates",
        flags: "rd cd do",
        aaaa: "NOERROR | www.example. 60 CNAME a.example.; www.example. 60 RRSIG CNAME | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "an alias passes to a client without RD",
        flags: "",
        aaaa: "NOERROR | www.example. 60 CNAME a.example. | example. 900 SOA 900",
        a: "NOERROR | www.example. 60 CNAME a.example.; a.example. 60 A 192.0.2.1",
        expected: "pass",
    },
    Case {
        rule: "NXDOMAIN with the extended error of a blocked name (15) passes",
        flags: "rd edns",
        aaaa: "NXDOMAIN+15 | | example. 900 SOA 900",
        a: "NOERROR | www.example. 300 A 192.0.2.1",
        expected: "pass",
    },
    // unbound with response policy zones gives the AAAA response. Section 5.1.6 has the error of the A query be the answer.
    Case {
        rule: "where the upstream blocks the A record, the client learns why (15)",
        flags: "rd edns",
        aaaa: "NOERROR | | example. 900 SOA 900",
        a: "NXDOMAIN+15 | | rpz. 60 SOA 60",
        expected: "NXDOMAIN+15 | | rpz. 60 SOA 60",
    },
];

#[test]
fn aaaa_queries_are_answered_by_the_rules() {
    check(CASES, &options(PREFIX));
}
