//! Datagrams, their fragments and the errors about them, checked by etherparse.

use std::net::{Ipv6Addr, SocketAddrV6};

use etherparse::{Icmpv6Slice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, UdpSlice};
use faith_packet::classify::{DropReason, Flow, ToStack};
use faith_packet::fragments::Fragments;
use faith_packet::icmpv6::{self, AboutDatagram, build_about_datagram, error_about_datagram};
use faith_packet::translate::Icmpv6Error;
use faith_packet::udp::{Datagram, Fault, HEADROOM, Head, MAX_DATA, OVERHEAD};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::builder::{self, CLIENT, Extension, SERVER, classifier, extend, ipv6, udp};

/// A virtio header that says nothing: the packet is complete.
const COMPLETE: [u8; 10] = [0; 10];

fn frame(packet: &[u8]) -> Vec<u8> {
    [&COMPLETE, packet].concat()
}

fn flow() -> Flow {
    Flow { client: SocketAddrV6::new(CLIENT, 49152, 0, 0), destination: SocketAddrV6::new(SERVER, 443, 0, 0) }
}

fn head() -> Head {
    Head { flow: flow(), sequence: None, hop_limit: 57, traffic_class: 0xb9 }
}

/// A whole packet to the client, with a complete checksum.
fn complete(head: &Head, data: &[u8]) -> Vec<u8> {
    let mut packet = [&[0xaa; OVERHEAD], data].concat();
    head.complete(&mut packet).unwrap();
    packet
}

#[test]
fn a_datagram_is_judged_by_its_ends_with_or_without_extension_headers() {
    let packet = udp(CLIENT, SERVER, b"quic");
    let extended = extend(&packet, &[Extension::HopByHop(0), Extension::Fragment { offset: 0, more: false }]);
    for packet in [packet, extended] {
        assert_eq!(classifier().to_stack(&packet, true), ToStack::Datagram(flow()));
        assert_eq!(Datagram::parse(&frame(&packet)).unwrap().data, b"quic");
    }
}

#[test]
fn a_datagram_without_a_whole_header_is_malformed() {
    for length in 0..8 {
        let packet = ipv6(CLIENT, SERVER, 17, &[0; 8][..length]);
        assert_eq!(classifier().to_stack(&packet, true), ToStack::Drop(DropReason::Malformed));
        assert_eq!(Datagram::parse(&frame(&packet)), Err(Fault::Malformed));
    }
}

#[test]
fn a_length_beyond_the_packet_or_below_the_header_is_malformed_and_octets_behind_it_are_no_data() {
    let mut packet = udp(CLIENT, SERVER, b"data and more");
    for length in [0_u16, 7, 22, 65_535] {
        packet[44..46].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Datagram::parse(&frame(&packet)), Err(Fault::Malformed), "length {length}");
    }
    let mut short = udp(CLIENT, SERVER, b"data");
    short.extend(b"behind");
    builder::fix_length(&mut short);
    assert_eq!(Datagram::parse(&frame(&short)).unwrap().data, b"data");
}

#[test]
fn a_wrong_or_missing_checksum_is_a_fault_unless_a_device_vouches_for_it() {
    for sum in [[0, 0], [0xbe, 0xef]] {
        let mut packet = udp(CLIENT, SERVER, b"quic");
        packet[46..48].copy_from_slice(&sum);
        assert_eq!(Datagram::parse(&frame(&packet)), Err(Fault::Checksum), "{sum:x?}");
        for flag in [1, 2] {
            let mut vouched = frame(&packet);
            vouched[0] = flag;
            assert_eq!(Datagram::parse(&vouched).unwrap().data, b"quic");
        }
    }
}

#[test]
fn an_error_about_a_datagram_to_a_client_names_its_flow() {
    let quote = complete(&head(), b"answer");
    for kind in 0..=5 {
        let packet = builder::icmpv6(CLIENT, SERVER, kind, 3, &quote);
        let expected = match kind {
            1..=4 => ToStack::DatagramError(flow()),
            _ => ToStack::Drop(DropReason::Icmp),
        };
        assert_eq!(classifier().to_stack(&packet, true), expected, "type {kind}");
        let error = Icmpv6Error { kind, code: 3, word: 0x500 };
        let about = AboutDatagram { error, length: 6, known: b"answer" };
        assert_eq!(error_about_datagram(&packet), Some(about));
        let mut damaged = packet;
        damaged[60] ^= 1;
        assert_eq!(error_about_datagram(&damaged), None);
    }
    let foreign = builder::icmpv6(CLIENT, SERVER, 1, 4, &udp(CLIENT, SERVER, b"query"));
    assert_eq!(classifier().to_stack(&foreign, true), ToStack::Drop(DropReason::Icmp));
}

#[test]
fn a_quote_of_any_length_is_an_error_about_a_datagram_only_with_its_ports() {
    let quote = complete(&head(), b"answer");
    for length in 0..quote.len() {
        let packet = builder::icmpv6(CLIENT, SERVER, 1, 4, &quote[..length]);
        let expected =
            if length < 48 { ToStack::Drop(DropReason::Icmp) } else { ToStack::DatagramError(flow()) };
        assert_eq!(classifier().to_stack(&packet, true), expected, "{length} octets");
    }
}

#[test]
fn headers_of_a_datagram_leave_the_checksum_to_the_device() {
    let mut out = [0xaa; HEADROOM];
    head().write(&mut out, 2400, Some(1200)).unwrap();
    // NEEDS_CSUM, GSO_UDP_L4, header length, size of segments, start and offset of the checksum.
    assert_eq!(out[..10], [1, 5, 48, 0, 0xb0, 4, 40, 0, 6, 0], "on a little-endian machine");
    let header = Ipv6HeaderSlice::from_slice(&out[10..]).unwrap();
    assert_eq!((header.hop_limit(), header.traffic_class()), (57, 0xb9));
    assert_eq!((header.source_addr(), header.destination_addr()), (SERVER, CLIENT));
    // The device adds the sum of the datagram, in which this field counts too.
    let datagram = [&out[50..], &[7; 2400]].concat();
    let sum = datagram.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    let mut whole = out[10..].to_vec();
    whole.extend([7; 2400]);
    whole[46..48].copy_from_slice(&sum.to_be_bytes());
    let slice = UdpSlice::from_slice(&whole[40..]).unwrap();
    let expected = slice.to_header().calc_checksum_ipv6_raw(SERVER.octets(), CLIENT.octets(), &whole[48..]);
    assert_eq!(expected.unwrap(), sum);
}

#[test]
fn data_beyond_the_longest_datagram_has_no_headers() {
    let mut out = [0; HEADROOM];
    assert!(head().write(&mut out, MAX_DATA, None).is_some());
    assert!(head().write(&mut out, MAX_DATA + 1, None).is_none());
    assert!(head().complete(&mut vec![0; OVERHEAD + MAX_DATA + 1]).is_none());
    assert!(head().complete(&mut [0; OVERHEAD - 1]).is_none());
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_client_reads_what_was_built_and_etherparse_agrees_on_the_checksum(
        data in vec(any::<u8>(), 0..3000),
        ports in any::<(u16, u16)>(),
        (hop_limit, traffic_class) in any::<(u8, u8)>(),
    ) {
        let flow = Flow {
            client: SocketAddrV6::new(CLIENT, ports.0, 0, 0),
            destination: SocketAddrV6::new(SERVER, ports.1, 0, 0),
        };
        let packet = complete(&Head { flow, sequence: None, hop_limit, traffic_class }, &data);
        let turned = Flow { client: flow.destination, destination: flow.client };
        let read = Datagram {
            flow: turned, hop_limit, traffic_class, data: &data, segment: None, fragmentable: false,
        };
        let frame = frame(&packet);
        prop_assert_eq!(Datagram::parse(&frame), Ok(read));
        let header = UdpSlice::from_slice(&packet[40..]).unwrap().to_header();
        let sum = header.calc_checksum_ipv6_raw(SERVER.octets(), CLIENT.octets(), &data);
        prop_assert_eq!(header.checksum, sum.unwrap());
    }

    #[test]
    fn a_flipped_bit_of_a_datagram_is_a_fault(
        data in vec(any::<u8>(), 0..300),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut packet = udp(CLIENT, SERVER, &data);
        // The addresses and all of the datagram are in its checksum.
        let place = 8 + place.index(packet.len() - 8);
        packet[place] ^= 1 << bit;
        prop_assert!(Datagram::parse(&frame(&packet)).is_err());
    }

    #[test]
    fn fragments_make_up_the_packet_and_fit_the_link(
        data in vec(any::<u8>(), 0..9000),
        mtu in 1280..2000_u16,
        id in any::<u32>(),
    ) {
        let packet = complete(&head(), &data);
        let mut fragments = Fragments::new(&packet, mtu, id).unwrap();
        let (mut whole, mut last) = (Vec::new(), false);
        let mut out = [0xaa; 2010];
        while let Some(length) = fragments.next(&mut out) {
            prop_assert!(!last && length <= 10 + usize::from(mtu));
            prop_assert_eq!(&out[..10], &COMPLETE[..]);
            let piece = &out[10..length];
            let header = Ipv6HeaderSlice::from_slice(piece).unwrap();
            prop_assert_eq!(usize::from(header.payload_length()), piece.len() - 40);
            prop_assert_eq!((&piece[..4], &piece[7..40]), (&packet[..4], &packet[7..40]));
            let part = Ipv6FragmentHeaderSlice::from_slice(&piece[40..]).unwrap();
            prop_assert_eq!((part.identification(), part.next_header().0), (id, 17));
            prop_assert_eq!(usize::from(part.fragment_offset().value()) * 8, whole.len());
            last = !part.more_fragments();
            prop_assert!(last || piece.len() % 8 == 0);
            whole.extend_from_slice(&piece[48..]);
        }
        prop_assert!(last);
        prop_assert_eq!(&whole[..], &packet[40..]);
    }

    #[test]
    fn an_error_quotes_the_clients_datagram_as_far_as_it_is_known(
        known in vec(any::<u8>(), 0..1400),
        more in 0..1000_usize,
        (kind, code, word) in any::<(u8, u8, u32)>(),
    ) {
        let offender: Ipv6Addr = "64:ff9b::c000:201".parse().unwrap();
        let mut out = [0xaa; icmpv6::MAX_LEN];
        let (error, length) = (Icmpv6Error { kind, code, word }, known.len() + more);
        let written = build_about_datagram(error, offender, &head(), length, &known, &mut out).unwrap();
        let header = Ipv6HeaderSlice::from_slice(&out[..written]).unwrap();
        prop_assert_eq!((header.source_addr(), header.destination_addr()), (offender, CLIENT));
        let message = Icmpv6Slice::from_slice(&out[40..written]).unwrap();
        prop_assert!(message.is_checksum_valid(offender.octets(), CLIENT.octets()));
        prop_assert_eq!((message.type_u8(), message.code_u8()), (kind, code));
        prop_assert_eq!(message.bytes5to8(), word.to_be_bytes());
        let quote = message.payload();
        let quoted = Ipv6HeaderSlice::from_slice(quote).unwrap();
        prop_assert_eq!((quoted.source_addr(), quoted.destination_addr()), (CLIENT, SERVER));
        prop_assert_eq!(usize::from(quoted.payload_length()), 8 + length);
        prop_assert_eq!(&quote[40..44], &[0xc0, 0, 1, 0xbb]);
        let data = known.len().min(1280 - 40 - 8 - 48);
        prop_assert_eq!(&quote[48..], &known[..data]);
    }
}
