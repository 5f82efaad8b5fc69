//! Responses: synthesised, passed, cached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use faith_dns::ClientNetworks;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{RData, Record, RecordType};

use crate::lab::*;

#[test]
fn a_name_with_an_a_record_alone_gets_an_address_in_the_prefix() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
    assert_eq!(upstream.asked(), ["v4.example. AAAA", "v4.example. A"]);
    assert_eq!(lab.server.stats().synthesised, 1);
}

#[test]
fn a_name_with_an_aaaa_record_keeps_it_and_its_a_record_is_not_asked_for() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
    assert_eq!(addresses(&lab.ask("v6.example. A")), ["192.0.2.1"]);
    assert_eq!(upstream.asked(), ["v6.example. AAAA", "v6.example. A"]);
}

#[test]
fn a_response_has_the_querys_name_in_its_own_case() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    for text in ["V4.Example. AAAA", "v6.EXAMPLE. AAAA", "v6.example. AAAA"] {
        let response = lab.ask(text);
        assert_eq!(format!("{} AAAA", response.queries[0].name().to_ascii()), text);
    }
    assert_eq!(upstream.asked().len(), 3, "case does not matter to the cache");
}

#[test]
fn responses_of_the_cache_cost_no_query() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    for _ in 0..3 {
        assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
        assert_eq!(lab.ask("none.example. TXT").response_code, ResponseCode::NoError);
    }
    assert_eq!(upstream.asked(), ["v4.example. AAAA", "v4.example. A", "none.example. TXT"]);
    let stats = lab.server.stats();
    assert_eq!((stats.cached, stats.synthesised), (4, 3));
}

#[test]
fn a_client_without_rd_is_not_answered_from_the_cache() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    lab.ask("v6.example. AAAA");
    assert_eq!(addresses(&lab.ask("v6.example. AAAA norec")), ["2001:db8::1"]);
    assert!(lab.ask("v4.example. AAAA norec").answers.is_empty(), "nothing is synthesised");
    assert_eq!(upstream.asked(), ["v6.example. AAAA", "v6.example. AAAA", "v4.example. AAAA"]);
}

#[test]
fn records_of_types_that_no_library_knows_pass_as_they_are() {
    let odd = |query: &hickory_proto::op::Message| {
        let data =
            RData::Unknown { code: RecordType::Unknown(65_280), rdata: NULL::with(vec![0xc0, 12, 1, 2]) };
        respond(query, &[Record::from_rdata(query.queries[0].name().clone(), 60, data)])
    };
    let upstream = Upstream::new(odd);
    let lab = Lab::new(&[upstream.address]);
    let response = lab.ask("odd.example. HTTPS edns");
    let RData::Unknown { code, rdata } = &response.answers[0].data else { unreachable!("{response:?}") };
    assert_eq!(
        (*code, rdata.anything.as_slice()),
        (RecordType::Unknown(65_280), [0xc0, 12, 1, 2].as_slice())
    );
    assert!(response.edns.is_some());
}

#[test]
fn ipv4only_arpa_is_answered_without_an_upstream() {
    let lab = Lab::new(&[]);
    assert_eq!(addresses(&lab.ask("ipv4only.arpa. AAAA")), ["2001:db8:64::c000:aa", "2001:db8:64::c000:ab"]);
    assert_eq!(addresses(&lab.ask("ipv4only.arpa. A")), ["192.0.0.170", "192.0.0.171"]);
    assert_eq!(lab.server.stats().local, 2);
}

#[test]
fn the_reverse_name_of_an_address_leads_to_the_servers_name() {
    let upstream = Upstream::new(|query| {
        assert_eq!(question(query), "1.2.0.192.in-addr.arpa. PTR");
        let data = RData::PTR(hickory_proto::rr::rdata::PTR(name("v4.example.")));
        respond(query, &[Record::from_rdata(query.queries[0].name().clone(), 60, data)])
    });
    let lab = Lab::new(&[upstream.address]);
    let reverse = "1.0.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.4.6.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR";
    let response = lab.ask(reverse);
    let shown: Vec<String> = response.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(shown, ["1.2.0.192.in-addr.arpa.", "v4.example."]);
}

#[test]
fn nothing_is_synthesised_while_the_gate_is_closed() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    lab.gate.open.store(false, Ordering::Relaxed);
    assert!(lab.ask("v4.example. AAAA").answers.is_empty());
    assert!(lab.ask("ipv4only.arpa. AAAA").answers.is_empty());
    lab.gate.open.store(true, Ordering::Relaxed);
    assert_eq!(lab.ask("v4.example. AAAA").answers.len(), 1);
    assert_eq!(lab.ask("ipv4only.arpa. AAAA").answers.len(), 2);
}

#[test]
fn an_address_that_the_client_may_not_connect_to_is_not_synthesised() {
    let upstream = Upstream::new(zone);
    let lab = Lab::denying(&[upstream.address], "2001:db8:64::192.0.2.1".parse().ok(), |_| {});
    assert!(lab.ask("v4.example. AAAA").answers.is_empty());
    assert!(lab.ask("v4.example. AAAA").answers.is_empty());
    let stats = lab.server.stats();
    assert_eq!((stats.synthesised, stats.denied, stats.unusable), (0, 2, 0));
}

#[test]
fn a_special_use_address_that_the_well_known_prefix_cannot_have_is_counted() {
    let upstream = Upstream::new(zone);
    let lab = Lab::with(&[upstream.address], |options| {
        options.synthesis.prefixes.push("64:ff9b::/96".parse().unwrap());
    });
    // The second answer comes out of the cache.
    for times in [1, 2] {
        assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
        let stats = lab.server.stats();
        assert_eq!((stats.unusable, stats.denied), (times, 0));
    }
}

#[test]
fn new_settings_hold_for_the_next_query() {
    let upstream = Upstream::new(zone);
    let lab = Lab::new(&[upstream.address]);
    lab.ask("v4.example. AAAA");
    let mut changed = synthesis();
    changed.prefixes = vec!["2001:db8:65::/96".parse().unwrap()];
    lab.server.update(changed, faith_dns::Limits::default(), ClientNetworks::default());
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:65::c000:201"]);
}

#[test]
fn the_first_network_of_a_client_says_its_prefixes() {
    let upstream = Upstream::new(zone);
    let of = |network: &str, prefixes: &[&str]| {
        let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        (network.parse().unwrap(), prefixes)
    };
    let lab = Lab::with(&[upstream.address], |options| {
        options.clients.prefixes = vec![
            of("2001:db8::/32", &["2001:db8:66::/96"]),
            of("::ffff:127.0.0.0/104", &["2001:db8:65::/96"]),
            of("::/0", &[]),
        ];
    });
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:65::c000:201"]);
    assert_eq!(addresses(&lab.ask("ipv4only.arpa. AAAA")), ["2001:db8:65::c000:aa", "2001:db8:65::c000:ab"]);

    let clients = ClientNetworks { prefixes: vec![of("::/0", &[])], ..ClientNetworks::default() };
    lab.server.update(synthesis(), faith_dns::Limits::default(), clients);
    assert!(addresses(&lab.ask("v4.example. AAAA")).is_empty());

    let clients = ClientNetworks { prefixes: vec![of("2001:db8::/32", &[])], ..ClientNetworks::default() };
    lab.server.update(synthesis(), faith_dns::Limits::default(), clients);
    assert_eq!(addresses(&lab.ask("v4.example. AAAA")), ["2001:db8:64::c000:201"]);
}

#[test]
fn no_client_keeps_a_record_for_more_than_a_day() {
    let upstream = Upstream::new(|query| {
        let is_a = question(query).ends_with(" A");
        let answers = [record("v4.example.", 604_800, "192.0.2.1")];
        respond(query, if is_a { &answers } else { &[] })
    });
    let lab = Lab::new(&[upstream.address]);
    assert_eq!(lab.ask("v4.example. A").answers[0].ttl, 86_400);
}

#[test]
fn a_cache_without_room_keeps_nothing() {
    let upstream = Upstream::new(zone);
    let lab = Lab::with(&[upstream.address], |options| options.cache_bytes = 0);
    for _ in 0..3 {
        assert_eq!(addresses(&lab.ask("v6.example. AAAA")), ["2001:db8::1"]);
    }
    assert_eq!((upstream.asked().len(), lab.server.stats().cached), (3, 0));
}

#[test]
fn without_a_cache_an_address_is_made_of_the_a_record_of_the_moment() {
    let host = Arc::new(AtomicU8::new(1));
    let of = Arc::clone(&host);
    let upstream = Upstream::new(move |query| {
        let address = format!("192.0.2.{}", of.load(Ordering::Relaxed));
        let is_a = question(query).ends_with(" A");
        respond(query, if is_a { vec![record("v4.example.", 300, &address)] } else { Vec::new() }.as_slice())
    });
    let lab = Lab::with(&[upstream.address], |options| options.cache_bytes = 0);
    for expected in ["2001:db8:64::c000:201", "2001:db8:64::c000:202"] {
        assert_eq!(addresses(&lab.ask("v4.example. AAAA")), [expected]);
        host.fetch_add(1, Ordering::Relaxed);
    }
}
