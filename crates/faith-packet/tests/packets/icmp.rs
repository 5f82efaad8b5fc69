//! The classifier's verdicts on ICMPv6 messages.

use std::net::Ipv6Addr;

use faith_packet::classify::{DropReason, ToStack};

use crate::builder::{
    self, CLIENT, Extension, OTHER_SERVER, SERVER, answer, classifier, extend, fragment, icmpv6, ipv6,
    silent_classifier, syn, tcp, tcp_header,
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
            128 => ToStack::Unreachable,
            _ => DROPPED,
        };
        assert_eq!(verdict(kind, &answer()), expected, "type {kind}");
    }
}

#[test]
fn a_ping_whole_or_fragmented_is_answered_once_or_dropped_as_the_interface_is_set() {
    let ping = icmpv6(CLIENT, SERVER, 128, 0, &[7; 2000]);
    assert_eq!(classifier().to_stack(&ping, true), ToStack::Unreachable);
    let silence = ToStack::Drop(DropReason::Unsupported);
    assert_eq!(silent_classifier().to_stack(&ping, true), silence);
    let first = fragment(&ping, 0, 1232, true);
    assert_eq!(classifier().to_stack(&first, true), ToStack::Unreachable);
    assert_eq!(silent_classifier().to_stack(&first, true), silence);
    // The kernel never gets the first fragment, so it never completes the packet.
    assert_eq!(classifier().to_stack(&fragment(&ping, 1232, 768, false), true), ToStack::Fragment);
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
    assert_eq!(verdict(1, &icmpv6(SERVER, CLIENT, 129, 0, b"echo reply")), DROPPED);
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
