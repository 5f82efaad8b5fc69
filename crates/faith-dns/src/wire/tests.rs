use hickory_proto::op::Message;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::entry::Entry;
use crate::octets::{check, check_resolv_conf};
use crate::request::{Rejected, Request};

/// `a.example. AAAA`, with an OPT record that has an option, and RD set.
const QUERY: &[u8] = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x07example\0\0\x1c\0\x01\
                       \0\0\x29\x04\xd0\0\0\x80\0\0\0";

/// A response with a record of an unknown type, an OPT record with EDE 22 in the middle, and a record behind it.
const RESPONSE_OCTETS: &[u8] = b"\x99\x99\x81\xa0\0\x01\0\x01\0\0\0\x02\x01A\x07EXAMPLE\0\0\x1c\0\x01\
    \xc0\x0c\xff\x01\0\x01\0\0\x00\x3c\0\x03abc\
    \0\0\x29\x10\0\x01\0\0\0\0\x06\0\x0f\0\x02\0\x16\
    \xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01";

fn request() -> Request {
    Request::read(QUERY).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_response_passes_as_octets_but_for_the_places_of_this_hop() {
    let request = request();
    let entry = Entry::read(RESPONSE_OCTETS.to_vec(), &request.question).unwrap();
    assert_eq!(entry.code(), 0x10);
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    let expected: &[u8] = b"\x12\x34\x81\xa0\0\x01\0\x01\0\0\0\x01\x01a\x07example\0\0\x1c\0\x01\
        \xc0\x0c\xff\x01\0\x01\0\0\x00\x28\0\x03abc\
        \0\0\x29\x04\xd0\x01\0\x80\0\0\x06\0\x0f\0\x02\0\x16";
    assert_eq!(entry.answer(&request), expected);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_edns_gets_no_opt_record_and_no_ad_bit() {
    let mut plain = QUERY[..QUERY.len() - 11].to_vec();
    set_word(&mut plain, 10, 0);
    let request = Request::read(&plain).unwrap();
    let entry = Entry::read(RESPONSE_OCTETS.to_vec(), &request.question).unwrap();
    let answer = entry.answer(&request);
    assert_eq!((word(&answer, 10), word(&answer, 2)), (Some(0), Some(0x8180)));
    set_word(&mut plain, 2, RECURSION_DESIRED | AUTHENTIC);
    let request = Request::read(&plain).unwrap();
    assert_eq!(word(&entry.answer(&request), 2), Some(0x81a0));
}

#[tokio::test(start_paused = true)]
async fn lifetimes_follow_ttls_and_soa_records() {
    let answer = |ttl: u8| [b"\xc0\x0c\0\x1c\0\x01\0\0\0".as_slice(), &[ttl, 0, 0]].concat();
    let soa = |ttl: u32, minimum: u32| {
        let fields = [[0; 18].as_slice(), &minimum.to_be_bytes()].concat();
        [b"\xc0\x0e\0\x06\0\x01".as_slice(), &ttl.to_be_bytes(), &[0, 22], &fields].concat()
    };
    for (flags, answers, authorities, expected) in [
        (0x8180_u16, vec![answer(60), answer(30)], vec![], 30),
        (0x8180, vec![answer(60)], vec![soa(20, 90)], 20),
        (0x8180, vec![], vec![soa(90, 40)], 40),
        (0x8183, vec![], vec![soa(90, 40)], 40),
        (0x8183, vec![], vec![soa(90_000, 86_400)], 10_800),
        (0x8180, vec![], vec![], 0),
        (0x8183, vec![], vec![], 0),
        (0x8182, vec![], vec![], 0),
        (0x8185, vec![answer(60)], vec![], 0),
        (0x8380, vec![answer(60)], vec![], 0),
    ] {
        let request = request();
        let mut octets = [b"\0\0\0\0\0\x01\0\0\0\0\0\0".as_slice(), &QUERY[12..27]].concat();
        set_word(&mut octets, 2, flags);
        set_word(&mut octets, 6, u16::try_from(answers.len()).unwrap());
        set_word(&mut octets, 8, u16::try_from(authorities.len()).unwrap());
        octets.extend(answers.concat());
        octets.extend(authorities.concat());
        let entry = Entry::read(octets, &request.question).unwrap();
        let mut lived = 0;
        while entry.is_fresh() && lived < 20_000 {
            tokio::time::advance(std::time::Duration::from_secs(1)).await;
            lived += 1;
        }
        assert_eq!(lived, expected, "{flags:x} {answers:?} {authorities:?}");
    }
}

#[test]
fn a_response_to_another_question_is_none() {
    let other = Question { name: b"\x01b\x07example\0".to_vec(), kind: 28, class: 1 };
    for question in [other, Question { kind: 1, ..request().question }] {
        assert!(Entry::read(RESPONSE_OCTETS.to_vec(), &question).is_none());
    }
    assert!(Entry::read(QUERY.to_vec(), &request().question).is_none(), "a query");
}

#[test]
fn messages_that_are_no_plain_query_are_answered_with_the_right_code_or_dropped() {
    let with = |place: usize, value: u16| {
        let mut octets = QUERY.to_vec();
        set_word(&mut octets, place, value);
        octets
    };
    let code = |octets: &[u8]| match Request::read(octets) {
        Ok(_) => None,
        Err(Rejected::Drop) => Some(99),
        Err(Rejected::Answer(response)) => {
            assert_eq!(word(&response, 0), Some(0x1234));
            assert!(response.len() <= octets.len() + 11);
            word(&response, 2).map(|flags| flags & CODE)
        }
    };
    assert_eq!(code(QUERY), None);
    assert_eq!(code(&QUERY[..11]), Some(99), "too short");
    assert_eq!(code(&with(2, 0x8100)), Some(99), "a response");
    assert_eq!(code(&with(2, 0x2800)), Some(4), "UPDATE");
    assert_eq!(code(&with(4, 2)), Some(1), "two questions");
    assert_eq!(code(&with(6, 1)), Some(1), "an answer");
    assert_eq!(code(&QUERY[..QUERY.len() - 1]), Some(1), "cut");
    assert_eq!(code(&with(12, 0xc00c)), Some(1), "a name that points to itself");
    assert_eq!(code(&with(25, 3)), Some(5), "class CHAOS");
    assert_eq!(code(&with(23, 252)), Some(5), "AXFR");
    // BADVERS is 16: its upper bits are in the OPT record, its lower ones are 0.
    assert_eq!(code(&with(33, 0x0100)), Some(0), "EDNS version 1");
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_octets_are_a_query_or_rejected(octets in vec(any::<u8>(), 0..100)) {
        check(&octets);
    }

    #[test]
    fn any_text_is_a_resolv_conf_file(text in "(nameserver|search|[ \t0-9a-f:.%#;x\n]){0,20}|\\PC{0,100}") {
        check_resolv_conf(&text);
    }

    #[test]
    fn damaged_queries_and_responses_never_panic(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        tail in vec(any::<u8>(), 0..20),
    ) {
        for whole in [QUERY, RESPONSE_OCTETS] {
            let mut octets = whole.to_vec();
            for (index, octet) in &damage {
                let place = index.index(octets.len());
                octets[place] = *octet;
            }
            if tail.len() < 5 {
                octets.truncate(cut.index(octets.len() + 1));
            }
            octets.extend_from_slice(&tail);
            check(&octets);
        }
    }
}

#[test]
fn padding_fills_a_message_up_to_a_block() {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 28, 0, 1];
    let plain = query.clone();
    pad(&mut query, 128);
    assert_eq!(query, plain, "a message without an OPT record stays as it is");
    push_opt(&mut query, &Opt::default(), 1232, true);
    pad(&mut query, 128);
    assert_eq!(query.len(), 128);
    let message = Message::from_vec(&query).unwrap();
    assert!(message.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok));
    // The record ends where the message ends.
    assert_eq!(places(&mut query).unwrap().last().unwrap().data.end, 128);
    let mut extended = plain;
    push_opt(&mut extended, &Opt { code: 0, errors: vec![0, 15, 0, 2, 0, 6] }, 1232, false);
    pad(&mut extended, 468);
    assert_eq!(extended.len(), 468);
    let mut found = places(&mut extended).unwrap();
    assert_eq!(take_opt(&mut extended, &mut found).errors, [0, 15, 0, 2, 0, 6]);
}

#[test]
fn a_size_below_512_means_512() {
    for size in [0, 1, 511, 512, 513_u16] {
        let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, b'a', 0, 0, 28, 0, 1, 0, 0, 41];
        query.extend_from_slice(&size.to_be_bytes());
        query.extend_from_slice(&[0; 6]);
        check(&query);
    }
}
