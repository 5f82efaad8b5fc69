use super::*;
use crate::ipv6::TCP;

const UDP: u8 = 17;

/// An extension header of `octets` octets in units of eight, its other fields zero.
fn header(next: u8, octets: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(octets)];
    header[0] = next;
    header[1] = octets / 8 - 1;
    header
}

fn fragment(next: u8, offset: u16, more: bool) -> Vec<u8> {
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    vec![next, 0, high, low, 0, 0, 0, 1]
}

#[test]
fn a_packet_without_extension_headers_ends_where_it_starts() {
    let chain = walk(UDP, &[1, 2, 3]).unwrap();
    assert_eq!((chain.protocol, chain.payload), (UDP, &[1, 2, 3][..]));
    assert!(chain.fragment.is_none());
}

#[test]
fn each_kind_of_header_is_stepped_over() {
    let mut octets = header(DESTINATION_OPTIONS, 16);
    octets.extend(header(ROUTING, 8));
    octets.extend(header(AUTHENTICATION, 24));
    octets.extend([DESTINATION_OPTIONS, 4]); // AH of (4 + 2) * 4 octets
    octets.extend([0; 22]);
    octets.extend(header(TCP, 8));
    octets.extend(b"segment");
    let chain = walk(HOP_BY_HOP, &octets).unwrap();
    assert_eq!((chain.protocol, chain.payload), (TCP, &b"segment"[..]));
}

#[test]
fn eight_headers_are_followed_and_nine_are_not() {
    let mut octets = header(DESTINATION_OPTIONS, 8).repeat(7);
    octets.extend(header(TCP, 8));
    assert_eq!(walk(DESTINATION_OPTIONS, &octets).unwrap().protocol, TCP);
    octets.splice(..0, header(DESTINATION_OPTIONS, 8));
    assert_eq!(walk(DESTINATION_OPTIONS, &octets).unwrap_err(), Broken::Extension);
}

#[test]
fn a_kibibyte_of_headers_is_followed_and_one_unit_more_is_not() {
    let mut octets = header(TCP, 248);
    octets.splice(..0, header(DESTINATION_OPTIONS, 248).repeat(3));
    octets.splice(..0, header(DESTINATION_OPTIONS, 32));
    assert_eq!(octets.len(), MAX_OCTETS);
    assert_eq!(walk(DESTINATION_OPTIONS, &octets).unwrap().protocol, TCP);
    octets.splice(..32, header(DESTINATION_OPTIONS, 40));
    assert_eq!(walk(DESTINATION_OPTIONS, &octets).unwrap_err(), Broken::Extension);
}

#[test]
fn a_truncated_header_breaks_the_chain_wherever_it_ends() {
    let octets = header(TCP, 16);
    for length in 0..16 {
        let chain = walk(DESTINATION_OPTIONS, &octets[..length]);
        assert_eq!(chain.unwrap_err(), Broken::Extension, "{length} octets");
    }
    assert!(walk(DESTINATION_OPTIONS, &octets).is_ok());
}

#[test]
fn hop_by_hop_options_behind_another_header_break_the_chain() {
    let mut octets = header(HOP_BY_HOP, 8);
    octets.extend(header(TCP, 8));
    assert_eq!(walk(DESTINATION_OPTIONS, &octets).unwrap_err(), Broken::Extension);
}

#[test]
fn a_routing_header_with_segments_left_breaks_the_chain() {
    let mut octets = header(TCP, 8);
    assert!(walk(ROUTING, &octets).is_ok());
    octets[3] = 1;
    assert_eq!(walk(ROUTING, &octets).unwrap_err(), Broken::Extension);
}

#[test]
fn an_authentication_header_shorter_than_its_fixed_fields_breaks_the_chain() {
    let mut octets = vec![0; 32];
    octets[0] = TCP;
    assert_eq!(walk(AUTHENTICATION, &octets).unwrap_err(), Broken::Extension);
    octets[1] = 1;
    assert_eq!(walk(AUTHENTICATION, &octets).unwrap().payload.len(), 20);
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let mut octets = fragment(DESTINATION_OPTIONS, 0, false);
    octets.extend(header(TCP, 8));
    let chain = walk(FRAGMENT, &octets).unwrap();
    assert_eq!(chain.protocol, TCP);
    assert!(chain.fragment.is_none());
}

#[test]
fn the_walk_ends_at_a_true_fragment() {
    for (offset, more) in [(0, true), (8, true), (1480, false)] {
        let mut octets = fragment(DESTINATION_OPTIONS, offset, more);
        octets.extend(header(TCP, 8));
        let chain = walk(FRAGMENT, &octets).unwrap();
        assert_eq!((chain.protocol, chain.payload.len()), (DESTINATION_OPTIONS, 8));
        assert_eq!(chain.fragment.map(Fragment::is_first), Some(offset == 0));
    }
}

#[test]
fn the_reserved_bits_of_a_fragment_header_are_ignored() {
    let mut octets = fragment(TCP, 8, false);
    octets[3] |= 0b110;
    let fragment = walk(FRAGMENT, &octets).unwrap().fragment.unwrap();
    assert_eq!((fragment.offset, fragment.more), (8, false));
    octets[3] = 0b110;
    assert!(walk(FRAGMENT, &octets).unwrap().fragment.is_none());
}

#[test]
fn a_second_fragment_header_breaks_the_chain() {
    let mut octets = fragment(FRAGMENT, 0, false);
    octets.extend(fragment(TCP, 0, true));
    assert_eq!(walk(FRAGMENT, &octets).unwrap_err(), Broken::Fragment);
}

#[test]
fn a_fragment_admits_only_lengths_that_fit_into_a_packet() {
    let first = Fragment { offset: 0, more: true };
    assert!(first.admits(8) && first.admits(1232));
    assert!(!first.admits(0) && !first.admits(9));
    let last = Fragment { offset: 65_528, more: false };
    assert!(last.admits(1) && last.admits(7));
    assert!(!last.admits(0) && !last.admits(8));
}
