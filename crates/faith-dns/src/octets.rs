//! Statements about any octets, for the property tests and the fuzz target.

use hickory_proto::op::{Edns, Message};

use crate::entry::Entry;
use crate::request::{Rejected, Request};
use crate::resolv_conf;
use crate::wire::{self, HEADER, OPT, Question, Section};

/// Reads octets as a query and as a response to the question in them, and checks what clients get.
///
/// # Panics
/// If a statement does not hold.
pub fn check(octets: &[u8]) {
    check_query(octets);
    if let Some(question) = Question::read(octets) {
        check_response(octets, &question);
    }
}

/// Reads a text as a resolv.conf file.
///
/// # Panics
/// If a statement does not hold.
pub fn check_resolv_conf(text: &str) {
    // Looking an interface up would make a socket for each line.
    let lines = text.lines().filter(|line| !line.contains('%'));
    let text = lines.collect::<Vec<_>>().join("\n");
    for server in resolv_conf::parse(&text) {
        assert_eq!(server.port(), resolv_conf::PORT);
        assert!(text.contains("nameserver"));
    }
}

fn check_query(octets: &[u8]) {
    let request = match Request::read(octets) {
        Ok(request) => request,
        Err(Rejected::Drop) => return,
        Err(Rejected::Answer(response)) => {
            // Nothing to gain for someone who forges the sender's address.
            assert!(response.len() <= octets.len().max(HEADER));
            assert_eq!(wire::word(&response, 0), wire::word(octets, 0));
            return;
        }
    };
    // A query that is read when it is needed is the same as one that was read at once.
    let Ok(message) = Message::from_vec(octets) else { unreachable!("{octets:x?}") };
    assert_eq!(*request.message, message);
    assert_eq!(request.id, message.id);
    let dnssec_ok = message.edns.as_ref().map(|edns| edns.flags().dnssec_ok);
    assert_eq!(request.edns.map(|edns| edns.dnssec_ok), dnssec_ok);
    assert_eq!(request.edns.map(|edns| edns.payload), message.edns.as_ref().map(Edns::max_payload));
    let limit = request.datagram_limit();
    assert!((512..=usize::from(faith_dns64::MAX_PAYLOAD)).contains(&limit));
    // The answer to a client beyond its rate is no longer than the query, and says so.
    let slip = request.empty(wire::TRUNCATED);
    assert!(slip.len() <= octets.len() && slip.len() <= limit);
    assert!(wire::word(&slip, 2).is_some_and(|flags| flags & wire::TRUNCATED != 0));
}

fn check_response(octets: &[u8], question: &Question) {
    let Some(entry) = Entry::read(octets.to_vec(), question) else { return };
    let _ = (entry.message(), entry.size(), entry.is_fresh(), entry.code());
    for edns in [None, Some(0), Some(0x8000)] {
        let Some(request) = ask(question, edns) else { return };
        let mut answer = entry.answer(&request);
        assert!(answer.len() <= octets.len() + 11);
        assert_eq!(wire::word(&answer, 0), Some(request.id));
        assert!(Question::read(&answer).is_some_and(|answered| answered == request.question));
        let Some(places) = wire::places(&mut answer) else { unreachable!("{answer:x?}") };
        let is_opt = |place: &&wire::Place| place.kind == OPT && place.section == Section::Additional;
        assert_eq!(places.iter().filter(is_opt).count(), usize::from(edns.is_some()));
    }
}

/// A client's query, in upper case; `None` if this server refuses it.
fn ask(question: &Question, edns: Option<u16>) -> Option<Request> {
    let mut octets = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    let mut question = question.clone();
    let mut place = 0;
    while let Some(length) = question.name.get(place).copied().filter(|length| *length > 0) {
        let end = place + 1 + usize::from(length);
        question.name.get_mut(place + 1..end)?.make_ascii_uppercase();
        place = end;
    }
    question.write(&mut octets);
    if let Some(flags) = edns {
        octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0]);
        octets.extend_from_slice(&flags.to_be_bytes());
        octets.extend_from_slice(&[0, 0]);
    }
    Request::read(&octets).ok()
}
