//! Fragments: the classifier judges the first by its transport header, the others by their fragment header.

use faith_packet::classify::{DropReason, Kind, Piece, ToStack};

use crate::builder::{
    CLIENT, Extension, SERVER, answer, classifier, extend, fragment, icmpv6, ipv6, silent_classifier, syn,
    tcp, tcp_header, udp,
};

fn verdict(packet: &[u8]) -> ToStack {
    classifier().to_stack(packet, true)
}

const DROPPED: ToStack = ToStack::Drop(DropReason::Fragment);

fn segment() -> Vec<u8> {
    tcp(CLIENT, SERVER, tcp_header(), &[0; 3000])
}

#[test]
fn all_fragments_of_a_segment_are_captured() {
    for (offset, more) in [(0, true), (1232, true), (2464, false)] {
        let piece = fragment(&segment(), offset, 1232, more);
        assert_eq!(verdict(&piece), ToStack::Fragment, "from {offset}");
    }
}

#[test]
fn a_fragmented_syn_is_a_fragment_and_a_syn_in_one_fragment_is_a_syn() {
    let padded = [syn(), vec![0; 12]].concat();
    assert_eq!(verdict(&fragment(&padded, 0, 32, true)), ToStack::Fragment);
    assert!(matches!(verdict(&fragment(&padded, 0, 32, false)), ToStack::Syn(_)));
}

#[test]
fn a_first_fragment_without_the_whole_tcp_header_is_dropped() {
    let mut header = tcp_header();
    header.set_options_raw(&[1; 40]).unwrap();
    let segment = tcp(CLIENT, SERVER, header, &[0; 100]);
    for length in [8, 16, 24, 56] {
        assert_eq!(verdict(&fragment(&segment, 0, length, true)), DROPPED, "{length} octets");
    }
    assert_eq!(verdict(&fragment(&segment, 0, 64, true)), ToStack::Fragment);
}

#[test]
fn a_fragment_that_cannot_be_part_of_a_packet_is_dropped() {
    assert_eq!(verdict(&fragment(&segment(), 0, 1231, true)), DROPPED);
    assert_eq!(verdict(&fragment(&segment(), 8, 0, false)), DROPPED);
    let header = [Extension::Fragment { offset: 65_528, more: false }];
    assert_eq!(verdict(&extend(&syn(), &header)), DROPPED);
}

#[test]
fn extension_headers_may_come_before_the_fragment_header_but_not_behind_it() {
    let piece = Extension::Fragment { offset: 0, more: true };
    let options = Extension::Destination(0);
    let segment = tcp(CLIENT, SERVER, tcp_header(), &[0; 20]);
    assert_eq!(verdict(&extend(&segment, &[options, piece])), ToStack::Fragment);
    assert_eq!(verdict(&extend(&segment, &[piece, options])), DROPPED);
    let atomic = Extension::Fragment { offset: 0, more: false };
    assert_eq!(verdict(&extend(&segment, &[atomic, options])), ToStack::Tcp);
}

#[test]
fn the_fragments_of_a_datagram_are_for_its_relay() {
    let datagram = udp(CLIENT, SERVER, &[0; 2000]);
    let first = fragment(&datagram, 0, 1232, true);
    let last = fragment(&datagram, 1232, 1232, false);
    assert_eq!(verdict(&first), ToStack::Piece(Piece::First(Kind::Udp)));
    assert_eq!(verdict(&last), ToStack::Piece(Piece::Later(Kind::Udp)));
}

#[test]
fn a_fragmented_packet_of_another_protocol_gets_one_answer() {
    let packet = ipv6(CLIENT, SERVER, 132, &[0; 2000]);
    let first = fragment(&packet, 0, 1232, true);
    let last = fragment(&packet, 1232, 768, false);
    let silence = ToStack::Drop(DropReason::Unsupported);
    assert_eq!(verdict(&first), ToStack::Unreachable);
    assert_eq!(verdict(&last), silence);
    assert_eq!(silent_classifier().to_stack(&first, true), silence);
}

#[test]
fn a_fragmented_icmpv6_error_is_captured_when_its_first_fragment_quotes_our_segment() {
    let error = icmpv6(CLIENT, SERVER, 1, 0, &answer());
    assert_eq!(verdict(&fragment(&error, 0, 64, true)), ToStack::Fragment);
    // Any later fragment of ICMPv6 may be of a ping.
    assert_eq!(verdict(&fragment(&error, 64, 64, false)), ToStack::Piece(Piece::Later(Kind::Echo)));
    let reply = icmpv6(CLIENT, SERVER, 129, 0, &[0; 200]);
    assert_eq!(verdict(&fragment(&reply, 0, 64, true)), ToStack::Drop(DropReason::Icmp));
}
