//! Messages made of any octets never make the crate panic, and responses are within bounds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod invariants;

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() }
}

/// Few names, so that chains and circles are frequent.
fn name() -> impl Strategy<Value = Name> {
    let reverse = "2.0.4.6.3.3.6.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.";
    prop::sample::select(vec!["a.example.", "b.example.", "c.example.", "ipv4only.arpa.", reverse, "."])
        .prop_map(|name| Name::from_ascii(name).unwrap())
}

fn data() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<u32>().prop_map(|bits| RData::A(A(Ipv4Addr::from_bits(bits)))),
        any::<u128>().prop_map(|bits| RData::AAAA(AAAA(Ipv6Addr::from_bits(bits)))),
        any::<u32>().prop_map(|bits| RData::AAAA(AAAA(Ipv4Addr::from_bits(bits).to_ipv6_mapped()))),
        name().prop_map(|name| RData::CNAME(CNAME(name))),
        name().prop_map(|name| RData::PTR(PTR(name))),
        (name(), any::<u32>()).prop_map(|(name, ttl)| RData::SOA(SOA::new(
            name.clone(),
            name,
            1,
            1,
            1,
            1,
            ttl
        ))),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (name(), any::<u32>(), data()).prop_map(|(name, ttl, data)| Record::from_rdata(name, ttl, data))
}

fn message(kind: MessageType) -> impl Strategy<Value = Message> {
    let types = prop::sample::select(vec![
        RecordType::AAAA,
        RecordType::AAAA,
        RecordType::PTR,
        RecordType::A,
        RecordType::SOA,
    ]);
    let flags = (any::<u16>(), prop::bool::weighted(0.8), prop::bool::weighted(0.2), any::<bool>(), 0..6_u8);
    let sections = (vec(record(), 0..12), vec(record(), 0..4), vec(record(), 0..4));
    (flags, vec((name(), types), 0..3), sections).prop_map(move |(flags, questions, sections)| {
        let (id, desired, disabled, edns, code) = flags;
        let mut message = Message::new(id, kind, OpCode::Query);
        message.metadata.recursion_desired = desired;
        message.metadata.checking_disabled = disabled;
        message.metadata.response_code = ResponseCode::from_low(code);
        message.edns = edns.then(Edns::new);
        message.add_queries(questions.into_iter().map(|(name, kind)| Query::query(name, kind)));
        (message.answers, message.authorities, message.additionals) = sections;
        message
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn responses_to_any_messages_are_within_bounds(
        query in message(MessageType::Query),
        aaaa in message(MessageType::Response),
        a in message(MessageType::Response),
    ) {
        invariants::check(&query, &aaaa, &a, &invariants::options().unwrap());
    }

    #[test]
    fn responses_to_damaged_messages_are_within_bounds(
        messages in [message(MessageType::Query), message(MessageType::Response), message(MessageType::Response)],
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut decoded = Vec::new();
        for (turn, message) in messages.iter().enumerate() {
            let mut octets = message.to_vec().unwrap();
            for (index, octet) in damage.iter().skip(turn * 2).take(2) {
                let place = index.index(octets.len());
                octets[place] = *octet;
            }
            if damage.len() == 5 {
                octets.truncate(cut.index(octets.len()));
            }
            decoded.extend(Message::from_vec(&octets));
        }
        if let [query, aaaa, a] = decoded.as_slice() {
            invariants::check(query, aaaa, a, &invariants::options().unwrap());
        }
    }

    #[test]
    fn any_octets_are_a_message_or_an_error(octets in vec(any::<u8>(), 0..600)) {
        if let Ok(message) = Message::from_vec(&octets) {
            invariants::check(&message, &message, &message, &invariants::options().unwrap());
        }
    }
}
