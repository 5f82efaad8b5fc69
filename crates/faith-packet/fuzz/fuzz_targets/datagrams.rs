//! Datagrams, pings, errors about them and fragments are read from any octets without a panic, as etherparse reads them;
//! and a packet that is divided is put together again.
//!
//! The first octet selects repairs, as in `classifier`: bit 0 repairs version and length, bit 1 the checksum.

#![no_main]
#![expect(clippy::expect_used, reason = "a target fails by panicking")]

use std::time::Instant;

use etherparse::{Icmpv6Slice, IpNumber, Ipv6HeaderSlice, UdpHeaderSlice};
use faith_packet::echo::{self, Reply};
use faith_packet::fragments::Fragments;
use faith_packet::icmpv6::error_about_datagram;
use faith_packet::reassembly::{Gathered, Reassembly};
use faith_packet::udp::Datagram;
use libfuzzer_sys::fuzz_target;

const HEADER_LEN: usize = 40;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
/// The octets of a virtio header, and one that says nothing.
const VIRTIO_LEN: usize = 10;
const COMPLETE: [u8; VIRTIO_LEN] = [0; VIRTIO_LEN];

fuzz_target!(|data: &[u8]| {
    let Some((&repairs, packet)) = data.split_first() else { return };
    let mut packet = packet.to_vec();
    repair(&mut packet, repairs);
    let frame = [&COMPLETE, &packet[..]].concat();

    datagram(&packet, &frame);
    ping(&packet, &frame);
    if let Some(about) = error_about_datagram(&packet) {
        assert!(about.known.len() < packet.len());
    }
    let ipv4 = echo::ipv4_header_len(&packet).and_then(|length| packet.get(length..));
    for message in [Some(&packet[..]), ipv4].into_iter().flatten() {
        let _ = (Reply::parse(message), Reply::quoted(message));
    }
    gather(data);
    divide(&packet, repairs);
});

fn repair(packet: &mut [u8], repairs: u8) {
    let Some((header, payload)) = packet.split_at_mut_checked(HEADER_LEN) else { return };
    let Ok(length) = u16::try_from(payload.len()) else { return };
    if repairs & 1 != 0 {
        header[0] = 0x60 | header[0] & 0xf;
        header[4..6].copy_from_slice(&length.to_be_bytes());
    }
    let (source, destination) = (bits(&header[8..24]), bits(&header[24..40]));
    let place = match header[6] {
        UDP => 6,
        58 => 2,
        _ => return,
    };
    if repairs & 2 != 0 && payload.len() >= 8 {
        if header[6] == UDP {
            payload[4..6].copy_from_slice(&length.to_be_bytes());
        }
        payload[place..place + 2].fill(0);
        let sum = faith_packet::checksum::ipv6(source, destination, header[6], payload);
        payload[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn bits(octets: &[u8]) -> u128 {
    u128::from_be_bytes(octets.try_into().expect("16 octets"))
}

/// A datagram without extension headers is read as etherparse reads it.
fn datagram(packet: &[u8], frame: &[u8]) {
    let Ok(read) = Datagram::parse(frame) else { return };
    assert!(read.segment.is_none() && read.data.len() <= packet.len());
    let header = Ipv6HeaderSlice::from_slice(packet).expect("an IPv6 header");
    if header.next_header() != IpNumber::UDP {
        return;
    }
    let (start, end) = (HEADER_LEN, HEADER_LEN + usize::from(header.payload_length()));
    let udp = UdpHeaderSlice::from_slice(&packet[start..end]).expect("a UDP header");
    assert_eq!(
        (read.flow.client.port(), read.flow.destination.port()),
        (udp.source_port(), udp.destination_port())
    );
    assert_eq!(
        (*read.flow.client.ip(), *read.flow.destination.ip()),
        (header.source_addr(), header.destination_addr())
    );
    assert_eq!((read.hop_limit, read.traffic_class), (header.hop_limit(), header.traffic_class()));
    let payload = &packet[start + 8..start + usize::from(udp.length())];
    assert_eq!(read.data, payload);
    let sum = udp.to_header().calc_checksum_ipv6_raw(header.source(), header.destination(), payload);
    // All ones mean the same as all zeros.
    assert_eq!(sum.expect("a short payload") % u16::MAX, udp.checksum() % u16::MAX);
    assert_ne!(udp.checksum(), 0);
}

/// An echo request without extension headers likewise.
fn ping(packet: &[u8], frame: &[u8]) {
    let Ok((read, sequence)) = echo::parse(frame) else { return };
    let header = Ipv6HeaderSlice::from_slice(packet).expect("an IPv6 header");
    if header.next_header() != IpNumber::IPV6_ICMP {
        return;
    }
    let end = HEADER_LEN + usize::from(header.payload_length());
    let message = Icmpv6Slice::from_slice(&packet[HEADER_LEN..end]).expect("a message");
    assert!(message.is_checksum_valid(header.source(), header.destination()));
    let [i0, i1, s0, s1] = message.bytes5to8();
    assert_eq!(
        (read.flow.client.port(), sequence),
        (u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1]))
    );
    assert_eq!(read.data, message.payload());
}

/// Fragments with any places and lengths give the octets of their places, or nothing. Fields of three octets each say where
/// a fragment begins, how many octets it has, and by bits: 0 that it is the last, 1 that its length may be unsound, 2 that
/// it begins at a place of its own and not where the one before it ends.
fn gather(data: &[u8]) {
    let (mut reassembly, now) = (Reassembly::default(), Instant::now());
    let (mut id, mut end) = (0_u8, 0_u16);
    for &[place, length, bits] in data.as_chunks().0 {
        let more = u16::from(bits & 1 == 0);
        let length = if more == 1 && bits & 2 == 0 { length & !7 } else { length };
        let offset = if bits & 4 == 0 { end & !7 } else { u16::from(place) * 8 };
        end = offset.saturating_add(length.into());
        let field = (offset | more).to_be_bytes();
        let octets: Vec<u8> = (offset..end).map(octet).collect();
        let size = (8 + u16::from(length)).to_be_bytes();
        let mut frame = COMPLETE.to_vec();
        frame.extend([0x60, 0, 0, 0, size[0], size[1], FRAGMENT, 64]);
        frame.extend([1; 32]);
        frame.extend([UDP, 0, field[0], field[1], 0, 0, 0, id]);
        frame.extend(octets);
        if let Gathered::Whole(whole) = reassembly.add(&frame, now) {
            let payload = &whole[whole.len() - whole_length(&whole)..];
            assert!(payload.iter().copied().eq((0..).map(octet).take(payload.len())));
            (id, end) = (id.wrapping_add(1), 0);
        }
    }
}

/// The octet at this place of the packet that `gather` divides.
fn octet(place: u16) -> u8 {
    (place % 251) as u8
}

/// The length of the payload behind all headers: an atomic fragment header may be left of them.
fn whole_length(frame: &[u8]) -> usize {
    let packet = &frame[VIRTIO_LEN..];
    let header = Ipv6HeaderSlice::from_slice(packet).expect("an IPv6 header");
    let payload = packet.len() - HEADER_LEN;
    assert_eq!(usize::from(header.payload_length()), payload);
    if header.next_header() == IpNumber::IPV6_FRAGMENTATION_HEADER { payload - 8 } else { payload }
}

/// The fragments of a packet keep to the MTU, and give the packet again.
fn divide(packet: &[u8], id: u8) {
    let mtu = 56 + 8 * u16::from(id);
    let Some(mut fragments) = Fragments::new(packet, mtu, id.into()) else { return };
    let (mut reassembly, now) = (Reassembly::default(), Instant::now());
    let mut out = vec![0; VIRTIO_LEN + usize::from(mtu)];
    let mut last = None;
    while let Some(length) = fragments.next(&mut out) {
        last = Some(reassembly.add(&out[..length], now));
    }
    if let Some(Gathered::Whole(whole)) = last {
        let (header, payload) = packet.split_at(HEADER_LEN);
        assert_eq!(&whole[whole.len() - payload.len()..], payload);
        assert_eq!(whole[VIRTIO_LEN + 8..VIRTIO_LEN + HEADER_LEN], header[8..]);
    }
}
