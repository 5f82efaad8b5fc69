//! The classifier's verdicts on ICMPv6 messages.

use std::net::Ipv6Addr;

use faith_packet::classify::{DropReason, Flow, Kind, Piece, ToStack};

use crate::builder::{
    self, CLIENT, Extension, OTHER_SERVER, SERVER, answer, classifier, extend, fragment, icmpv6, ipv6, syn,
    tcp, tcp_header,
};

/// A router on the client's side.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);

const DROPPED: ToStack = ToStack::Drop(DropReason::Icmp);

fn verdict(kind: u8, quote: &[u8]) -> ToStack {
    classifier().to_stack(&icmpv6(ROUTER, SERVER, kind, 0, quote), true)
}

#[test]
fn unreachable_too_big_and_time_exceeded_about_our_segment_are_captured() {
    for kind in 0..=255 {
        let expected = match kind {
            1..=3 => ToStack::Icmp,
            128 => ToStack::Echo(ping_flow(&icmpv6(ROUTER, SERVER, kind, 0, &answer()))),
            _ => DROPPED,
        };
        assert_eq!(verdict(kind, &answer()), expected, "type {kind}");
    }
}

#[test]
fn a_ping_whole_or_fragmented_is_for_its_relay() {
    let ping = icmpv6(CLIENT, SERVER, 128, 0, &[7; 2000]);
    let Flow { client, destination } = ping_flow(&ping);
    assert_eq!((*client.ip(), client.port(), *destination.ip(), destination.port()), (CLIENT, 0, SERVER, 0));
    assert_eq!(classifier().to_stack(&ping, true), ToStack::Echo(Flow { client, destination }));
    let first = fragment(&ping, 0, 1232, true);
    assert_eq!(classifier().to_stack(&first, true), ToStack::Piece(Piece::First(Kind::Echo)));
    let last = fragment(&ping, 1232, 776, false);
    assert_eq!(classifier().to_stack(&last, true), ToStack::Piece(Piece::Later(Kind::Echo)));
}

/// The ends of a ping: the identifier stands for the client's port.
fn ping_flow(packet: &[u8]) -> Flow {
    let address = |range: std::ops::Range<usize>| <[u8; 16]>::try_from(&packet[range]).unwrap().into();
    let identifier = u16::from_be_bytes([packet[44], packet[45]]);
    let end = |address, port| std::net::SocketAddrV6::new(address, port, 0, 0);
    Flow { client: end(address(8..24), identifier), destination: end(address(24..40), 0) }
}

#[test]
fn an_error_about_an_echo_reply_names_its_client_and_identifier() {
    let mut reply = icmpv6(SERVER, CLIENT, 129, 0, b"echo reply");
    reply[44..46].copy_from_slice(&[0x12, 0x34]);
    let end = |address, port| std::net::SocketAddrV6::new(address, port, 0, 0);
    let flow = Flow { client: end(CLIENT, 0x1234), destination: end(SERVER, 0) };
    for kind in 1..=4 {
        assert_eq!(verdict(kind, &reply), ToStack::EchoError(flow), "type {kind}");
    }
    assert_eq!(verdict(2, &reply[..47]), DROPPED);
}

#[test]
fn a_message_that_is_cut_short_is_no_ping() {
    for length in 0..8 {
        let cut = ipv6(CLIENT, SERVER, builder::ICMPV6, &[128, 0, 0, 0, 0, 0, 0][..length.min(7)]);
        assert_eq!(classifier().to_stack(&cut, true), DROPPED, "{length} octets");
    }
}

#[test]
fn a_quote_must_reach_to_the_ports_and_the_sequence_number() {
    let quote = answer();
    for length in 0..quote.len() {
        let expected = if length < 48 { DROPPED } else { ToStack::Icmp };
        assert_eq!(verdict(2, &quote[..length]), expected, "{length} octets quoted");
    }
}

#[test]
fn a_quote_is_read_through_its_extension_headers() {
    let extensions = [Extension::HopByHop(0), Extension::Fragment { offset: 0, more: true }];
    assert_eq!(verdict(1, &extend(&answer(), &extensions)), ToStack::Icmp);
    let later = [Extension::Fragment { offset: 8, more: true }];
    assert_eq!(verdict(1, &extend(&answer(), &later)), DROPPED);
}

#[test]
fn a_quote_of_another_protocol_is_not_ours() {
    assert_eq!(verdict(1, &icmpv6(SERVER, CLIENT, 128, 0, b"echo request")), DROPPED);
}

#[test]
fn a_quote_that_the_destination_did_not_send_is_dropped() {
    assert_eq!(verdict(1, &syn()), DROPPED);
    assert_eq!(verdict(1, &tcp(OTHER_SERVER, CLIENT, tcp_header(), &[])), DROPPED);
}

#[test]
fn a_quote_that_is_not_ipv6_is_dropped() {
    let mut quote = answer();
    quote[0] = 0x45;
    assert_eq!(verdict(1, &quote), DROPPED);
}
