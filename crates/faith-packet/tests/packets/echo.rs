//! Echo requests of clients, and the replies to them.

use std::net::SocketAddrV6;

use etherparse::{Icmpv6Slice, Icmpv6Type};
use faith_packet::classify::Flow;
use faith_packet::echo;
use faith_packet::icmpv6::{self, build_about_datagram};
use faith_packet::translate::Icmpv6Error;
use faith_packet::udp::{Fault, Head, OVERHEAD};

use crate::builder::{CLIENT, Extension, SERVER, extend, icmpv6 as message};

fn flow(identifier: u16) -> Flow {
    let end = |address, port| SocketAddrV6::new(address, port, 0, 0);
    Flow { client: end(CLIENT, identifier), destination: end(SERVER, 0) }
}

/// An echo request, as a frame that no device vouches for.
fn request(identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let mut packet = message(CLIENT, SERVER, 128, 0, data);
    packet[44..46].copy_from_slice(&identifier.to_be_bytes());
    packet[46..48].copy_from_slice(&sequence.to_be_bytes());
    packet[42..44].fill(0);
    let sum = faith_packet::checksum::ipv6(CLIENT.to_bits(), SERVER.to_bits(), 58, &packet[40..]);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    [&[0; 10][..], &packet].concat()
}

#[test]
fn a_request_is_read_with_its_fields() {
    for data in [&b""[..], b"odd", b"some data", &vec![7; 65_000]] {
        let frame = request(0x1234, 9, data);
        let (read, sequence) = echo::parse(&frame).unwrap();
        assert_eq!((read.flow, sequence, read.data), (flow(0x1234), 9, data));
        assert!(!read.fragmentable);
    }
    let atomic = extend(&request(1, 2, b"data")[10..], &[Extension::Fragment { offset: 0, more: false }]);
    let frame = [&[0; 10][..], &atomic].concat();
    assert!(echo::parse(&frame).unwrap().0.fragmentable);
}

#[test]
fn a_damaged_or_cut_request_is_a_fault() {
    let frame = request(0x1234, 9, b"data");
    for place in 50..frame.len() {
        let mut damaged = frame.clone();
        damaged[place] ^= 1;
        let fault = if place == 50 { Fault::Malformed } else { Fault::Checksum };
        assert_eq!(echo::parse(&damaged), Err(fault), "octet {place}");
    }
    for length in 0..frame.len() {
        assert_eq!(echo::parse(&frame[..length]), Err(Fault::Malformed));
    }
}

#[test]
fn a_reply_has_the_clients_identifier_and_a_right_checksum() {
    for data in [&b""[..], b"odd", &[9; 3000]] {
        let head = Head { flow: flow(0xbeef), sequence: Some(77), hop_limit: 57, traffic_class: 0xb9 };
        let mut packet = [&[0xff; OVERHEAD][..], data].concat();
        head.complete(&mut packet).unwrap();
        let (source, destination) = (SERVER.octets(), CLIENT.octets());
        let icmp = Icmpv6Slice::from_slice(&packet[40..]).unwrap();
        assert!(icmp.is_checksum_valid(source, destination));
        let Icmpv6Type::EchoReply(reply) = icmp.icmp_type() else { unreachable!("{icmp:?}") };
        assert_eq!((reply.id, reply.seq, icmp.payload()), (0xbeef, 77, data));
        assert_eq!((packet[0], packet[1] & 0xf0, packet[7]), (0x6b, 0x90, 57));
    }
}

#[test]
fn an_error_quotes_the_request() {
    let head = Head { flow: flow(0xbeef), sequence: Some(77), hop_limit: 1, traffic_class: 0 };
    let mut out = [0; icmpv6::MAX_LEN];
    let error = Icmpv6Error { kind: 3, code: 0, word: 0 };
    let length = build_about_datagram(error, SERVER, &head, 56, b"known", &mut out).unwrap();
    let quote = &out[48..length];
    assert_eq!((&quote[8..24], &quote[24..40]), (&CLIENT.octets()[..], &SERVER.octets()[..]));
    assert_eq!((quote[5], quote[6]), (64, 58));
    assert_eq!(quote[40..], [&[128, 0, 0, 0, 0xbe, 0xef, 0, 77][..], b"known"].concat());
}
