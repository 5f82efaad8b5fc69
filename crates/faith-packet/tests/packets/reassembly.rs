//! Fragments of clients' datagrams, put together.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use faith_packet::reassembly::{Gathered, Reassembly};
use faith_packet::udp::Datagram;
use proptest::prelude::*;

use crate::builder::{CLIENT, SERVER, fragment, udp};

fn frame(packet: &[u8]) -> Vec<u8> {
    [&[0; 10][..], packet].concat()
}

/// Fragments of a packet with this identification, each with this many octets but the last.
fn pieces(packet: &[u8], size: usize, id: u32) -> Vec<Vec<u8>> {
    let length = packet.len() - 40;
    (0..length)
        .step_by(size)
        .map(|offset| {
            let share = size.min(length - offset);
            let start = u16::try_from(offset).unwrap();
            let mut piece = fragment(packet, start, share, offset + share < length);
            piece[44..48].copy_from_slice(&id.to_be_bytes());
            frame(&piece)
        })
        .collect()
}

fn numbered(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn whole(gathered: Gathered) -> Vec<u8> {
    let Gathered::Whole(whole) = gathered else { unreachable!("{gathered:?}") };
    whole
}

fn data_of(gathered: Gathered) -> Vec<u8> {
    let whole = whole(gathered);
    let datagram = Datagram::parse(&whole).unwrap();
    assert!(datagram.fragmentable);
    datagram.data.to_vec()
}

#[test]
fn a_datagram_is_whole_once_all_fragments_have_come_in_any_order() {
    let (data, now) = (numbered(8192), Instant::now());
    let packet = udp(CLIENT, SERVER, &data);
    for rotation in 0..7 {
        let mut all = pieces(&packet, 1232, 7);
        all.rotate_left(rotation);
        let mut reassembly = Reassembly::default();
        let last = all.pop().unwrap();
        // A repeated fragment changes nothing.
        for piece in all.iter().chain(&all) {
            assert_eq!(reassembly.add(piece, now), Gathered::Waits);
        }
        assert_eq!(data_of(reassembly.add(&last, now)), data);
        assert!(reassembly.is_empty());
    }
}

#[test]
fn the_longest_datagram_of_ipv4_is_put_together() {
    let (data, now) = (numbered(65_507), Instant::now());
    let mut reassembly = Reassembly::default();
    let mut all = pieces(&udp(CLIENT, SERVER, &data), 1232, 7);
    let last = all.pop().unwrap();
    assert!(all.iter().all(|piece| reassembly.add(piece, now) == Gathered::Waits));
    assert_eq!(data_of(reassembly.add(&last, now)), data);
}

#[test]
fn datagrams_whose_fragments_are_mixed_are_told_apart() {
    let now = Instant::now();
    let (one, other) = (numbered(3000), vec![9; 3000]);
    let mut reassembly = Reassembly::default();
    let first = pieces(&udp(CLIENT, SERVER, &one), 1232, 1);
    let second = pieces(&udp(CLIENT, SERVER, &other), 1232, 2);
    for (one, other) in first.iter().zip(&second).take(2) {
        assert_eq!(reassembly.add(one, now), Gathered::Waits);
        assert_eq!(reassembly.add(other, now), Gathered::Waits);
    }
    assert_eq!(data_of(reassembly.add(&second[2], now)), other);
    assert_eq!(data_of(reassembly.add(&first[2], now)), one);
}

#[test]
fn fragments_that_overlap_or_contradict_one_another_refuse_the_packet() {
    let (data, now) = (numbered(3000), Instant::now());
    let packet = udp(CLIENT, SERVER, &data);
    let piece = |offset, length, more| frame(&fragment(&packet, offset, length, more));
    let faults = [
        // Overlaps of RFC 5722, at each end and inside.
        [piece(0, 1232, true), piece(1224, 1232, true)],
        [piece(1232, 1232, true), piece(0, 1240, true)],
        [piece(0, 1232, true), piece(8, 80, true)],
        [piece(8, 80, true), piece(0, 1232, true)],
        // Two ends, and data behind the end.
        [piece(2464, 544, false), piece(1232, 1232, false)],
        [piece(1232, 1232, false), piece(2464, 544, true)],
        [piece(2464, 544, true), piece(1232, 1232, false)],
    ];
    for [one, other] in faults {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.add(&one, now), Gathered::Waits);
        assert_eq!(reassembly.add(&other, now), Gathered::Refused);
        assert_eq!(reassembly.lost(), 1, "the one that had come");
        // Nothing completes it any more.
        for piece in pieces(&packet, 1232, u32::from_be_bytes(one[54..58].try_into().unwrap())) {
            assert_eq!(reassembly.add(&piece, now), Gathered::Refused);
        }
        assert_eq!(reassembly.lost(), 0);
    }
    // The same octets with other content are no repetition.
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.add(&piece(8, 80, true), now), Gathered::Waits);
    let mut changed = piece(8, 80, true);
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(reassembly.add(&changed, now), Gathered::Refused);
}

#[test]
fn an_incomplete_packet_is_forgotten() {
    let (data, now) = (numbered(3000), Instant::now());
    let all = pieces(&udp(CLIENT, SERVER, &data), 1232, 7);
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.add(&all[0], now), Gathered::Waits);
    assert_eq!(reassembly.add(&all[1], now), Gathered::Waits);
    assert_eq!(reassembly.lost(), 0);
    assert_eq!(
        reassembly.add(&all[2], now + Duration::from_secs(15)),
        Gathered::Waits,
        "it is the first of its packet"
    );
    assert_eq!((reassembly.lost(), reassembly.lost()), (2, 0), "each is counted once");
    assert_eq!(reassembly.add(&all[0], now + Duration::from_secs(15)), Gathered::Waits);
    assert_eq!(data_of(reassembly.add(&all[1], now + Duration::from_secs(16))), data);
    assert_eq!(reassembly.add(&all[0], now), Gathered::Waits);
    reassembly.expire(now + Duration::from_secs(14));
    assert_eq!((reassembly.lost(), reassembly.is_empty()), (0, false));
    reassembly.expire(now + Duration::from_secs(15));
    assert_eq!((reassembly.lost(), reassembly.is_empty()), (1, true));
}

#[test]
fn a_flood_of_lone_fragments_pushes_out_its_own() {
    let (data, now) = (numbered(3000), Instant::now());
    let all = pieces(&udp(CLIENT, SERVER, &data), 1232, 7);
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.add(&all[0], now), Gathered::Waits);
    let flooder = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
    let packet = udp(flooder, SERVER, &numbered(60_000));
    for id in 0..10_000_u32 {
        let mut lone = fragment(&packet, 48_000, 1232, true);
        lone[44..48].copy_from_slice(&id.to_be_bytes());
        assert_eq!(reassembly.add(&frame(&lone), now), Gathered::Waits);
    }
    assert_eq!(reassembly.lost(), 10_000 - 32, "all but those that wait");
    assert_eq!(reassembly.add(&all[1], now), Gathered::Waits);
    assert_eq!(data_of(reassembly.add(&all[2], now)), data);
}

#[test]
fn fragments_of_many_networks_have_a_bound_in_packets_and_in_octets() {
    let now = Instant::now();
    for (offset, most) in [(0, 128), (60_000, 68)] {
        let mut reassembly = Reassembly::default();
        for network in 0..1000_u16 {
            let client = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, network, 0, 0, 0, 1);
            let packet = udp(client, SERVER, &numbered(62_000));
            assert_eq!(reassembly.add(&frame(&fragment(&packet, offset, 1232, true)), now), Gathered::Waits);
        }
        // The octets are those up to the end of each fragment, 4 MiB in all.
        assert_eq!(reassembly.lost(), 1000 - most, "offset {offset}");
    }
}

#[test]
fn a_congestion_mark_of_any_fragment_marks_the_whole() {
    let (data, now) = (numbered(3000), Instant::now());
    let packet = udp(CLIENT, SERVER, &data);
    for (marks, expected) in [([2, 3, 2], 3), ([2, 2, 2], 2), ([0, 0, 0], 0), ([1, 1, 3], 3)] {
        let mut reassembly = Reassembly::default();
        let mut last = Gathered::Waits;
        for (mut piece, mark) in pieces(&packet, 1232, 7).into_iter().zip(marks) {
            piece[11] |= mark << 4;
            last = reassembly.add(&piece, now);
        }
        let whole = whole(last);
        assert_eq!(Datagram::parse(&whole).unwrap().traffic_class & 3, expected);
    }
}

proptest! {
    #[test]
    fn any_octets_are_taken_without_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut reassembly = Reassembly::default();
        for octets in frames {
            let mut piece = fragment(&udp(CLIENT, SERVER, &octets), 0, 8, true);
            let length = piece.len().min(octets.len());
            piece[42..length.max(42)].copy_from_slice(&octets[..length.max(42) - 42]);
            for frame in [frame(&octets), frame(&piece)] {
                if let Gathered::Whole(whole) = reassembly.add(&frame, Instant::now()) {
                    prop_assert!(whole.len() >= 58);
                }
            }
        }
    }

    #[test]
    fn a_datagram_of_any_length_survives_fragments_of_any_size_in_any_order(
        length in 0..9000_usize, eights in 24..180_usize, seed in any::<u64>(),
    ) {
        let (data, now) = (numbered(length), Instant::now());
        let packet = udp(CLIENT, SERVER, &data);
        let mut all = pieces(&packet, eights * 8, 3);
        let count = all.len();
        prop_assume!((2..=64).contains(&count));
        // A simple shuffle.
        let mut state = seed;
        for place in (1..count).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            all.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
        }
        let mut reassembly = Reassembly::default();
        for (place, piece) in all.iter().enumerate() {
            let gathered = reassembly.add(piece, now);
            if place + 1 == count {
                prop_assert_eq!(data_of(gathered), data.clone());
            } else {
                prop_assert_eq!(gathered, Gathered::Waits);
            }
        }
    }
}
