//! Responses that were made once and are given again.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use faith_dns::{Fault, Gate, Limits, Server, ServerOptions, Upstreams};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use crate::lab::*;

/// Denies what a test says at the moment.
#[derive(Default)]
struct Denying(Mutex<HashSet<Ipv6Addr>>);

impl Gate for Denying {
    fn is_open(&self) -> bool {
        true
    }

    fn permits(&self, _client: IpAddr, address: Ipv6Addr) -> bool {
        !self.0.lock().unwrap().contains(&address)
    }

    fn is_local(&self, _client: IpAddr) -> bool {
        true
    }

    fn warn_of(&self, _fault: Fault) {}
}

fn start(upstream: &Upstream) -> (Server, Arc<Denying>) {
    let options = ServerOptions {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::Given(vec![faith_dns::Upstream::Plain(upstream.address)]),
        upstream_timeout: PATIENCE,
        synthesis: synthesis(),
        limits: Limits { rate: 0, ..Limits::default() },
        ..ServerOptions::default()
    };
    let gate = Arc::new(Denying::default());
    (Server::start(options, Arc::<Denying>::clone(&gate)).unwrap(), gate)
}

/// `two.example.` has two A records.
fn two(query: &Message) -> Message {
    let answers = match query.queries[0].query_type() {
        RecordType::A => {
            vec![record("two.example.", 300, "192.0.2.1"), record("two.example.", 300, "192.0.2.2")]
        }
        _ => Vec::new(),
    };
    respond(query, &answers)
}

const FIRST: &str = "2001:db8:64::c000:201";
const SECOND: &str = "2001:db8:64::c000:202";

#[test]
fn a_response_is_asked_each_time_whether_the_client_may_connect() {
    let upstream = Upstream::new(two);
    let (server, gate) = start(&upstream);
    let asked = || addresses(&ask(server.addresses()[0], &query("two.example. AAAA")));
    assert_eq!(asked(), [FIRST, SECOND]);
    gate.0.lock().unwrap().insert(FIRST.parse().unwrap());
    assert_eq!(asked(), [SECOND]);
    assert_eq!(asked(), [SECOND]);
    gate.0.lock().unwrap().insert(SECOND.parse().unwrap());
    assert!(asked().is_empty());
    gate.0.lock().unwrap().clear();
    assert_eq!(asked(), [FIRST, SECOND]);
    assert_eq!(asked(), [FIRST, SECOND]);
    assert_eq!(upstream.asked(), ["two.example. AAAA", "two.example. A"]);
}

#[test]
fn a_client_with_edns_gets_the_extended_error_after_one_without() {
    let upstream = Upstream::new(two);
    let (server, _gate) = start(&upstream);
    for text in ["two.example. AAAA", "TWO.example. AAAA edns", "two.EXAMPLE. AAAA", "two.example. AAAA edns"]
    {
        let asked = query(text);
        let response = ask(server.addresses()[0], &asked);
        assert_eq!(response.queries, asked.queries);
        assert_eq!(response.queries[0].name().to_ascii(), asked.queries[0].name().to_ascii());
        assert_eq!(addresses(&response), [FIRST, SECOND], "{text}");
        let options = response.edns.as_ref().map(|edns| edns.options().as_ref().len());
        assert_eq!(options, text.ends_with("edns").then_some(1), "{text}");
    }
    assert_eq!(server.stats().cached, 3);
}

#[test]
fn a_response_lives_no_longer_than_the_a_record() {
    let upstream = Upstream::new(|query| {
        let mut response = two(query);
        for record in &mut response.answers {
            record.ttl = 1;
        }
        response
    });
    let (server, _gate) = start(&upstream);
    let is_a = |question: &String| question.ends_with(" A");
    wait_for(|| {
        let response = ask(server.addresses()[0], &query("two.example. AAAA"));
        assert_eq!(addresses(&response), [FIRST, SECOND]);
        assert!(response.answers.iter().all(|record| record.ttl <= 1));
        (upstream.asked().iter().filter(|question| is_a(question)).count() == 3).then_some(())
    });
    assert_eq!(upstream.asked().iter().filter(|question| !is_a(question)).count(), 1);
}

#[test]
fn a_name_without_addresses_is_not_asked_for_again() {
    let upstream = Upstream::new(|query| respond(query, &[]));
    let (server, _gate) = start(&upstream);
    for _ in 0..3 {
        let response = ask(server.addresses()[0], &query("none.example. AAAA"));
        assert!(response.answers.is_empty() && response.authorities.len() == 1);
    }
    let stats = server.stats();
    assert_eq!((upstream.asked().len(), stats.cached, stats.synthesised), (2, 2, 0));
}

#[test]
fn a_name_with_excluded_addresses_alone_is_not_asked_for_again() {
    let upstream = Upstream::new(|query| match query.queries[0].query_type() {
        RecordType::AAAA => respond(query, &[record("mapped.example.", 300, "::ffff:192.0.2.9")]),
        _ => respond(query, &[]),
    });
    let (server, _gate) = start(&upstream);
    for _ in 0..3 {
        let response = ask(server.addresses()[0], &query("mapped.example. AAAA"));
        assert_eq!((response.response_code, response.answers.len()), (ResponseCode::NoError, 0));
        assert_eq!(response.authorities, [soa()], "a client may keep this, too");
    }
    assert_eq!(upstream.asked(), ["mapped.example. AAAA", "mapped.example. A"]);
}
