//! The classifier's verdicts on whole packets, and the order of its checks.

use std::net::{Ipv6Addr, SocketAddrV6};

use faith_packet::classify::{DropReason, Flow, ToStack};

use crate::builder::{
    self, CLIENT, Extension, OTHER_SERVER, SERVER, answer, classifier, extend, icmpv6, ipv6,
    silent_classifier, syn, tcp, tcp_header, udp,
};

fn verdict(packet: &[u8]) -> ToStack {
    classifier().to_stack(packet, true)
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

const MALFORMED: ToStack = ToStack::Drop(DropReason::Malformed);
const MARTIAN: ToStack = ToStack::Drop(DropReason::Martian);

fn flow_to(server: Ipv6Addr) -> Flow {
    Flow { client: SocketAddrV6::new(CLIENT, 49152, 0, 0), destination: SocketAddrV6::new(server, 80, 0, 0) }
}

#[test]
fn a_syn_is_captured_with_the_addresses_and_ports_the_client_wrote() {
    assert_eq!(verdict(&syn()), ToStack::Syn(flow_to(SERVER)));
    let mut header = tcp_header();
    header.syn = true;
    let syn = tcp(CLIENT, OTHER_SERVER, header, b"fast open");
    assert_eq!(verdict(&syn), ToStack::Syn(flow_to(OTHER_SERVER)));
}

#[test]
fn a_syn_that_offers_ecn_is_a_syn() {
    let mut header = tcp_header();
    (header.syn, header.ece, header.cwr) = (true, true, true);
    assert_eq!(verdict(&tcp(CLIENT, SERVER, header, &[])), ToStack::Syn(flow_to(SERVER)));
}

#[test]
fn a_syn_with_ack_rst_or_fin_does_not_ask_for_a_connection() {
    for flag in ["ack", "rst", "fin"] {
        let mut header = tcp_header();
        header.syn = true;
        (header.ack, header.rst, header.fin) = (flag == "ack", flag == "rst", flag == "fin");
        assert_eq!(verdict(&tcp(CLIENT, SERVER, header, &[])), ToStack::Tcp, "{flag}");
    }
}

#[test]
fn a_rst_without_ack_and_fin_is_a_reset_of_a_client_that_gave_up() {
    for (flags, expected) in [
        ("rst", ToStack::Reset(flow_to(SERVER))),
        ("rst psh", ToStack::Reset(flow_to(SERVER))),
        ("rst ack", ToStack::Tcp),
        ("rst fin", ToStack::Tcp),
    ] {
        let mut header = tcp_header();
        (header.rst, header.psh) = (true, flags.contains("psh"));
        (header.ack, header.fin) = (flags.contains("ack"), flags.contains("fin"));
        assert_eq!(verdict(&tcp(CLIENT, SERVER, header, &[])), expected, "{flags}");
    }
}

#[test]
fn the_sequence_number_of_a_whole_segment_is_read_behind_extension_headers() {
    let sequence = tcp_header().sequence_number;
    assert_eq!(faith_packet::tcp::sequence(&syn()), Some(sequence));
    let extended = extend(&syn(), &[Extension::HopByHop(0), Extension::Destination(1)]);
    assert_eq!(faith_packet::tcp::sequence(&extended), Some(sequence));
    assert_eq!(faith_packet::tcp::sequence(&syn()[..59]), None);
    assert_eq!(
        faith_packet::tcp::sequence(&extend(&syn(), &[Extension::Fragment { offset: 0, more: true }])),
        None
    );
}

#[test]
fn a_segment_of_64_kib_without_a_checksum_is_captured() {
    let mut header = tcp_header();
    header.ack = true;
    let mut packet = tcp(CLIENT, SERVER, header, &vec![0; 65_515]);
    packet[56..58].copy_from_slice(&[0xbe, 0xef]);
    assert_eq!(packet.len(), 65_575);
    assert_eq!(verdict(&packet), ToStack::Tcp);
}

#[test]
fn a_syn_behind_extension_headers_is_a_syn() {
    let extensions = [
        Extension::HopByHop(0),
        Extension::Destination(1),
        Extension::Routing { segments_left: 0 },
        Extension::Fragment { offset: 0, more: false },
    ];
    assert_eq!(verdict(&extend(&syn(), &extensions)), ToStack::Syn(flow_to(SERVER)));
}

#[test]
fn a_chain_with_segments_left_or_beyond_the_bounds_is_dropped() {
    let dropped = ToStack::Drop(DropReason::Extension);
    let routed = [Extension::Routing { segments_left: 1 }];
    assert_eq!(verdict(&extend(&syn(), &routed)), dropped);
    assert_eq!(verdict(&extend(&syn(), &[Extension::Destination(0); 9])), dropped);
    assert_eq!(verdict(&extend(&syn(), &[Extension::Destination(128)])), dropped);
}

#[test]
fn a_packet_of_another_length_than_it_claims_is_malformed() {
    let packet = syn();
    for length in 0..packet.len() {
        assert_eq!(verdict(&packet[..length]), MALFORMED, "{length} octets");
    }
    assert_eq!(verdict(&[packet, vec![0]].concat()), MALFORMED);
}

#[test]
fn a_packet_of_another_version_is_malformed() {
    for version in (0..16).filter(|version| *version != 6) {
        let mut packet = syn();
        packet[0] = version << 4;
        assert_eq!(verdict(&packet), MALFORMED, "version {version}");
    }
}

#[test]
fn a_tcp_header_that_is_not_whole_is_malformed() {
    for offset in 0..16_u8 {
        let mut packet = syn();
        packet[52] = offset << 4;
        let expected = if offset == 5 { ToStack::Syn(flow_to(SERVER)) } else { MALFORMED };
        assert_eq!(verdict(&packet), expected, "data offset {offset}");
    }
    for length in 0..20 {
        let packet = ipv6(CLIENT, SERVER, builder::TCP, &syn()[40..40 + length]);
        assert_eq!(verdict(&packet), MALFORMED, "{length} octets of header");
    }
}

#[test]
fn a_source_no_client_can_have_is_a_martian() {
    for source in ["::", "::1", "ff02::1", "ffff::1", "::ffff:192.0.2.1"] {
        assert_eq!(verdict(&tcp(address(source), SERVER, tcp_header(), &[])), MARTIAN, "{source}");
    }
    for source in ["::2", "fe80::1", "fd00::1", "::fffe:192.0.2.1", "2001:db8:63:ffff::1"] {
        let packet = tcp(address(source), SERVER, tcp_header(), &[]);
        assert_eq!(verdict(&packet), ToStack::Tcp, "{source}");
    }
}

#[test]
fn a_captured_address_that_dials_a_captured_address_is_a_martian() {
    assert_eq!(verdict(&tcp(SERVER, SERVER, tcp_header(), &[])), MARTIAN);
    assert_eq!(verdict(&tcp(OTHER_SERVER, SERVER, tcp_header(), &[])), MARTIAN);
}

#[test]
fn a_destination_outside_the_prefixes_is_a_martian() {
    for destination in ["64:ff9b::1:0:0", "2001:db8:65::", "ff05::2", "ff0e::1", "::1"] {
        let packet = tcp(CLIENT, address(destination), tcp_header(), &[]);
        assert_eq!(verdict(&packet), MARTIAN, "{destination}");
    }
}

#[test]
fn link_local_multicast_never_counts_as_a_drop() {
    for source in ["::", "fe80::1", "2001:db8::1"] {
        for (group, kind) in [("ff02::16", 143), ("ff02::2", 133), ("ff02::1:ff00:1", 135)] {
            let packet = icmpv6(address(source), address(group), kind, 0, &[]);
            let report = extend(&packet, &[Extension::HopByHop(0)]);
            assert_eq!(verdict(&report), ToStack::Multicast, "{source} to {group}");
            assert_eq!(classifier().to_stack(&report, false), ToStack::Multicast);
        }
    }
    let mdns = udp(address("fe80::1"), address("ff02::fb"), b"who is there?");
    assert_eq!(verdict(&mdns), ToStack::Multicast);
    assert_eq!(verdict(&mdns[..50]), MALFORMED);
}

#[test]
fn malformed_comes_before_keepfaith_and_keepfaith_before_martian() {
    let classifier = classifier();
    let keepfaith = ToStack::Drop(DropReason::Keepfaith);
    assert_eq!(classifier.to_stack(&syn()[..50], false), MALFORMED);
    assert_eq!(classifier.to_stack(&syn(), false), keepfaith);
    let martian = tcp(SERVER, SERVER, tcp_header(), &[]);
    assert_eq!(classifier.to_stack(&martian, false), keepfaith);
}

#[test]
fn a_protocol_that_cannot_be_captured_is_answered_or_dropped_as_the_interface_is_set() {
    let esp = ipv6(CLIENT, SERVER, 50, &[0; 32]);
    let no_next_header = ipv6(CLIENT, SERVER, 59, &[]);
    let sctp = ipv6(CLIENT, SERVER, 132, &[0; 16]);
    for packet in [esp, no_next_header, sctp] {
        assert_eq!(verdict(&packet), ToStack::Unreachable);
        let silence = ToStack::Drop(DropReason::Unsupported);
        assert_eq!(silent_classifier().to_stack(&packet, true), silence);
    }
}

#[test]
fn only_tcp_and_icmpv6_errors_of_captured_addresses_leave() {
    let classifier = classifier();
    assert_eq!(classifier.to_host(&answer()), None);
    for kind in 1..=4 {
        assert_eq!(classifier.to_host(&icmpv6(SERVER, CLIENT, kind, 0, &syn())), None);
    }

    let outbound = Some(DropReason::Outbound);
    for kind in [0, 5, 127, 128, 129, 133, 135, 136, 143] {
        let message = icmpv6(SERVER, CLIENT, kind, 0, &[]);
        assert_eq!(classifier.to_host(&message), outbound, "type {kind}");
    }
    let others = [
        tcp(CLIENT, SERVER, tcp_header(), &[]),
        udp(SERVER, CLIENT, b"answer"),
        icmpv6(CLIENT, SERVER, 1, 0, &syn()),
        ipv6(SERVER, CLIENT, builder::ICMPV6, &[1, 0, 0, 0]),
        extend(&answer(), &[Extension::Routing { segments_left: 1 }]),
    ];
    for packet in others {
        assert_eq!(classifier.to_host(&packet), outbound);
    }
    let cut = answer();
    assert_eq!(classifier.to_host(&cut[..cut.len() - 1]), Some(DropReason::Malformed));
}

#[test]
fn all_fragments_of_a_segment_of_the_stack_leave() {
    let mut header = tcp_header();
    header.ack = true;
    let segment = tcp(SERVER, CLIENT, header, &[0; 2000]);
    for (offset, more) in [(0, true), (1232, false)] {
        let piece = builder::fragment(&segment, offset, 1232, more);
        assert_eq!(classifier().to_host(&piece), None, "from {offset}");
    }
}
