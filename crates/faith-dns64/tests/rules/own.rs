//! Names that this host answers without an upstream.

use faith_dns64::{Own, answer_own};

use crate::options;
use crate::text::{query, response, show};

/// Addresses such as `192.0.2.1 2001:db8::1`, with a TTL of 60.
fn named(addresses: &str) -> Own {
    let addresses = addresses.split_whitespace().map(|address| address.parse().unwrap()).collect();
    Own::Addresses { addresses, ttl: 60 }
}

fn answer(question: &str, own: &Own) -> String {
    let query = query(&format!("db.example. {question}"));
    let (made, _) = answer_own(&query, own, &options("2001:db8:64::/96"), |address| {
        !address.to_string().ends_with(":209")
    });
    assert_eq!((made.id, &made.queries), (query.id, &query.queries));
    assert!(made.recursion_available && !made.authentic_data);
    show(&made)
}

/// The text of a response of an upstream, as [`answer`] gives it.
fn text(message: &str) -> String {
    show(&response(message))
}

#[test]
fn a_client_gets_the_addresses_of_the_type_that_it_asks_for() {
    let own = named("192.0.2.1 2001:db8::1 192.0.2.2");
    assert_eq!(
        answer("A rd", &own),
        text("NOERROR | db.example. 60 A 192.0.2.1; db.example. 60 A 192.0.2.2")
    );
    assert_eq!(answer("AAAA rd", &own), text("NOERROR | db.example. 60 AAAA 2001:db8::1"));
}

#[test]
fn a_name_with_ipv4_addresses_alone_gets_those_in_the_prefix_that_the_client_may_reach() {
    let own = named("192.0.2.1 192.0.2.9");
    assert_eq!(answer("AAAA rd", &own), text("NOERROR | db.example. 60 AAAA 2001:db8:64::c000:201"));
    assert_eq!(answer("AAAA rd", &named("192.0.2.9")), absent("NOERROR"));
}

#[test]
fn clients_that_validate_or_do_not_want_recursion_get_no_forged_address() {
    for flags in ["rd cd", ""] {
        assert_eq!(answer(&format!("AAAA {flags}"), &named("192.0.2.1")), absent("NOERROR"), "{flags}");
        assert_eq!(
            answer(&format!("A {flags}"), &named("192.0.2.1")),
            text("NOERROR | db.example. 60 A 192.0.2.1"),
            "{flags}"
        );
    }
}

#[test]
fn other_types_have_no_records() {
    for kind in ["TXT", "HTTPS", "ANY"] {
        assert_eq!(
            answer(&format!("{kind} rd"), &named("192.0.2.1 2001:db8::1")),
            absent("NOERROR"),
            "{kind}"
        );
    }
    assert_eq!(answer("A rd", &named("")), absent("NOERROR"));
    assert_eq!(answer("AAAA rd", &named("")), absent("NOERROR"));
}

#[test]
fn a_name_may_be_absent_or_refused() {
    for kind in ["A", "AAAA", "TXT"] {
        assert_eq!(answer(&format!("{kind} rd"), &Own::Absent { ttl: 60 }), absent("NXDOMAIN"), "{kind}");
        assert_eq!(answer(&format!("{kind} rd"), &Own::Refused), text("REFUSED"), "{kind}");
    }
}

/// A response without answers, which a client may keep for 60 seconds.
fn absent(code: &str) -> String {
    text(&format!("{code} | | db.example. 60 SOA 60"))
}
