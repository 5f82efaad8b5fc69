//! The packets that faithd builds, read back by etherparse.

use std::net::{Ipv6Addr, SocketAddrV6};

use etherparse::{Icmpv6Slice, Ipv6HeaderSlice, TcpSlice};
use faith_packet::classify::Flow;
use faith_packet::icmpv6::{self, Unreachable, build_about, build_unreachable};
use faith_packet::tcp::{self as segments, build_reset};
use faith_packet::translate::Icmpv6Error;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::builder::{
    CLIENT, Extension, SERVER, answer, classifier, extend, fragment, syn, tcp, tcp_header, udp,
};
use crate::strategy;

fn unreachable(code: Unreachable, offending: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xaa; icmpv6::MAX_LEN];
    let length = build_unreachable(code, offending, &mut out)?;
    Some(out[..length].to_vec())
}

fn reset(syn: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xaa; icmpv6::MAX_LEN];
    let length = build_reset(syn, &mut out)?;
    Some(out[..length].to_vec())
}

/// Checks the fixed header of a reply, which goes back to the packet's source.
fn payload(reply: &[u8], protocol: u8) -> &[u8] {
    let header = Ipv6HeaderSlice::from_slice(reply).unwrap();
    assert_eq!(header.source_addr(), SERVER);
    assert_eq!(header.destination_addr(), CLIENT);
    assert_eq!(header.hop_limit(), 64);
    assert_eq!(header.next_header().0, protocol);
    assert_eq!(usize::from(header.payload_length()), reply.len() - 40);
    &reply[40..]
}

fn assert_unreachable(code: Unreachable, offending: &[u8]) {
    let reply = unreachable(code, offending).unwrap();
    let message = Icmpv6Slice::from_slice(payload(&reply, 58)).unwrap();
    assert_eq!((message.type_u8(), message.code_u8()), (1, code.code()));
    assert_eq!(message.bytes5to8(), [0; 4]);
    assert!(message.is_checksum_valid(SERVER.octets(), CLIENT.octets()));
    assert_eq!(message.payload(), &offending[..offending.len().min(1232)]);
    assert_eq!(classifier().to_host(&reply), None);
}

fn assert_reset(syn: &[u8], acknowledgement: u32, source_port: u16, destination_port: u16) {
    let reply = reset(syn).unwrap();
    let segment = TcpSlice::from_slice(payload(&reply, 6)).unwrap();
    let header = segment.to_header();
    assert_eq!(header.source_port, source_port);
    assert_eq!(header.destination_port, destination_port);
    assert_eq!((header.sequence_number, header.acknowledgment_number), (0, acknowledgement));
    assert!(header.rst && header.ack && !header.syn && !header.fin && !header.psh && !header.urg);
    assert_eq!((header.window_size, header.urgent_pointer, header.options.len()), (0, 0, 0));
    assert!(segment.payload().is_empty());
    let checksum = header.calc_checksum_ipv6_raw(SERVER.octets(), CLIENT.octets(), &[]);
    assert_eq!(header.checksum, checksum.unwrap());
    assert_eq!(classifier().to_host(&reply), None);
    assert!(segments::refuses_syn(&reply));
}

#[test]
fn only_a_reset_of_number_0_refuses_a_syn() {
    let refusal = reset(&syn()).unwrap();
    let change = |at: usize, octet: u8| {
        let mut packet = refusal.clone();
        packet[at] = octet;
        packet
    };
    assert!(segments::refuses_syn(&change(41, 7)), "another port");
    assert!(!segments::refuses_syn(&change(47, 1)), "a number");
    assert!(!segments::refuses_syn(&change(53, 0x04)), "without ACK");
    assert!(!segments::refuses_syn(&change(53, 0x10)), "without RST");
    assert!(!segments::refuses_syn(&change(6, 17)), "no TCP");
    assert!(!segments::refuses_syn(&syn()));
}

#[test]
fn a_whole_syn_is_quoted_with_each_code() {
    for (code, value) in [
        (Unreachable::NoRoute, 0),
        (Unreachable::Prohibited, 1),
        (Unreachable::AddressUnreachable, 3),
        (Unreachable::PortUnreachable, 4),
    ] {
        assert_eq!(code.code(), value);
        assert_unreachable(code, &syn());
    }
}

#[test]
fn an_error_of_a_router_comes_from_it_and_quotes_the_syn() {
    let router: Ipv6Addr = "64:ff9b::cb00:7101".parse().unwrap();
    let error = Icmpv6Error { kind: 3, code: 0, word: 0 };
    let mut out = [0xaa; icmpv6::MAX_LEN];
    let length = build_about(error, router, &syn(), &mut out).unwrap();
    let header = Ipv6HeaderSlice::from_slice(&out).unwrap();
    assert_eq!((header.source_addr(), header.destination_addr()), (router, CLIENT));
    let message = Icmpv6Slice::from_slice(&out[40..length]).unwrap();
    assert_eq!((message.type_u8(), message.code_u8(), message.bytes5to8()), (3, 0, [0; 4]));
    assert!(message.is_checksum_valid(router.octets(), CLIENT.octets()));
    assert_eq!(message.payload(), syn());
}

#[test]
fn the_longest_header_chain_that_is_captured_is_quoted_whole() {
    let mut header = tcp_header();
    header.syn = true;
    header.set_options_raw(&[1; 40]).unwrap();
    let chain = [Extension::HopByHop(63), Extension::Destination(63)];
    let packet = extend(&tcp(CLIENT, SERVER, header, &[7; 300]), &chain);
    assert!(matches!(classifier().to_stack(&packet, true), faith_packet::classify::ToStack::Syn(_)));
    assert_unreachable(Unreachable::Prohibited, &packet);
    let reply = unreachable(Unreachable::Prohibited, &packet).unwrap();
    assert!(reply.len() - 48 >= 40 + 1024 + 60);
}

#[test]
fn the_quote_ends_at_the_minimum_mtu() {
    for data in [1232 - 48 - 1, 1232 - 48, 1232 - 48 + 1, 60_000] {
        let datagram = udp(CLIENT, SERVER, &vec![7; data]);
        assert_unreachable(Unreachable::Prohibited, &datagram);
        let reply = unreachable(Unreachable::Prohibited, &datagram).unwrap();
        assert_eq!(reply.len(), (datagram.len() + 48).min(1280));
    }
}

#[test]
fn nothing_is_sent_to_a_source_that_names_no_node() {
    for source in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        let source: Ipv6Addr = source.parse().unwrap();
        let mut header = tcp_header();
        header.syn = true;
        let packet = tcp(source, SERVER, header, &[]);
        assert_eq!(unreachable(Unreachable::NoRoute, &packet), None);
        assert_eq!(reset(&packet), None);
    }
    assert_eq!(unreachable(Unreachable::NoRoute, &syn()[..39]), None);
}

#[test]
fn a_reset_acknowledges_the_syn_and_its_data() {
    assert_reset(&syn(), 0x0102_0305, 80, 49152);
    let mut header = tcp_header();
    header.syn = true;
    header.sequence_number = u32::MAX - 2;
    assert_reset(&tcp(CLIENT, SERVER, header, b"hello"), 3, 80, 49152);
}

#[test]
fn a_reset_finds_the_syn_behind_extension_headers() {
    let packet = extend(&syn(), &[Extension::HopByHop(0), Extension::Destination(2)]);
    assert_reset(&packet, 0x0102_0305, 80, 49152);
}

#[test]
fn only_an_initial_syn_in_one_piece_is_reset() {
    let padded = [syn(), vec![0; 12]].concat();
    let mut syn_ack = tcp_header();
    (syn_ack.syn, syn_ack.ack) = (true, true);
    for packet in [
        tcp(CLIENT, SERVER, tcp_header(), &[]),
        tcp(CLIENT, SERVER, syn_ack, &[]),
        answer(),
        udp(CLIENT, SERVER, b"datagram"),
        fragment(&padded, 0, 32, true),
        syn()[..59].to_vec(),
    ] {
        assert_eq!(reset(&packet), None);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_syn_is_reset_and_answered_with_right_checksums(
        mut header in strategy::tcp_header(),
        data in vec(any::<u8>(), 0..1500),
    ) {
        header.syn = true;
        (header.ack, header.rst, header.fin) = (false, false, false);
        let data_len = u32::try_from(data.len()).unwrap();
        let acknowledgement = header.sequence_number.wrapping_add(data_len).wrapping_add(1);
        let (source, destination) = (header.destination_port, header.source_port);
        let syn = tcp(CLIENT, SERVER, header, &data);
        assert_reset(&syn, acknowledgement, source, destination);
        assert_unreachable(Unreachable::Prohibited, &syn);
    }
}

/// The connection to cut.
const FLOW: Flow = Flow {
    client: SocketAddrV6::new(CLIENT, 40_000, 0, 0),
    destination: SocketAddrV6::new(SERVER, 80, 0, 0),
};

fn built(build: impl FnOnce(&mut [u8; icmpv6::MAX_LEN]) -> Option<usize>) -> Option<Vec<u8>> {
    let mut out = [0xaa; icmpv6::MAX_LEN];
    let length = build(&mut out)?;
    Some(out[..length].to_vec())
}

/// The source, destination and header of a segment without data.
fn bare(packet: &[u8]) -> (Ipv6Addr, Ipv6Addr, etherparse::TcpHeader) {
    let header = Ipv6HeaderSlice::from_slice(packet).unwrap();
    let (source, destination) = (header.source_addr(), header.destination_addr());
    let segment = TcpSlice::from_slice(&packet[40..]).unwrap();
    let tcp = segment.to_header();
    assert!(segment.payload().is_empty());
    let checksum = tcp.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &[]);
    assert_eq!(tcp.checksum, checksum.unwrap());
    (source, destination, tcp)
}

/// An ACK from the captured end, with this payload.
fn acknowledgement(sent: u32, received: u32, payload: &[u8]) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(80, 40_000, sent, 1000);
    (header.ack, header.acknowledgment_number) = (true, received);
    let builder = etherparse::PacketBuilder::ipv6(SERVER.octets(), CLIENT.octets(), 64).tcp_header(header);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

proptest! {
    #[test]
    fn a_bare_acknowledgement_gives_the_numbers_of_a_reset_for_either_end(sent: u32, received: u32) {
        let (flow, at) = segments::standing(&acknowledgement(sent, received, &[])).unwrap();
        prop_assert_eq!(flow, FLOW);
        let (from, to, reset) = bare(&built(|out| segments::build_client_reset(&flow, at, out)).unwrap());
        prop_assert_eq!((from, to), (SERVER, CLIENT));
        prop_assert_eq!((reset.source_port, reset.destination_port), (80, 40_000));
        prop_assert_eq!((reset.sequence_number, reset.acknowledgment_number), (sent, received));
        prop_assert!(reset.rst && reset.ack && !reset.syn && !reset.fin);
        let (from, to, reset) = bare(&built(|out| segments::build_stack_reset(&flow, at, out)).unwrap());
        prop_assert_eq!((from, to), (CLIENT, SERVER));
        prop_assert_eq!((reset.source_port, reset.destination_port), (40_000, 80));
        prop_assert_eq!((reset.sequence_number, reset.acknowledgment_number), (received, sent));
        prop_assert!(reset.rst && reset.ack && !reset.syn && !reset.fin);
    }

    #[test]
    fn a_question_is_a_bare_ack_from_the_client(sequence: u32) {
        let (from, to, question) = bare(&built(|out| segments::build_question(&FLOW, sequence, out)).unwrap());
        prop_assert_eq!((from, to), (CLIENT, SERVER));
        prop_assert_eq!(question.sequence_number, sequence);
        prop_assert!(question.ack && !question.rst && !question.syn && !question.fin);
    }

    #[test]
    fn a_segment_of_an_unknown_connection_is_refused_with_the_number_it_acknowledges(
        sent: u32, received: u32, payload in vec(any::<u8>(), 0..50),
    ) {
        let packet = acknowledgement(sent, received, &payload);
        let (from, to, reset) = bare(&built(|out| segments::build_refusal(&packet, out)).unwrap());
        prop_assert_eq!((from, to), (CLIENT, SERVER));
        prop_assert_eq!(reset.sequence_number, received);
        prop_assert!(reset.rst && !reset.ack && !reset.syn && !reset.fin);
        // A reset gets no answer, and is rebuilt unchanged.
        let (_, at) = segments::standing(&acknowledgement(sent, received, &[])).unwrap();
        let mut cut = built(|out| segments::build_client_reset(&FLOW, at, out)).unwrap();
        prop_assert_eq!(built(|out| segments::build_refusal(&cut, out)), None);
        let whole = cut.clone();
        cut[56] ^= 0xff;
        prop_assert_eq!(built(|out| segments::rebuild_reset(&cut, out)), Some(whole));
        prop_assert_eq!(built(|out| segments::rebuild_reset(&packet, out)), None);
    }

    #[test]
    fn a_segment_with_data_gives_no_standing(
        sent: u32, payload in vec(any::<u8>(), 1..50),
    ) {
        prop_assert_eq!(segments::standing(&acknowledgement(sent, 0, &payload)), None);
    }
}
