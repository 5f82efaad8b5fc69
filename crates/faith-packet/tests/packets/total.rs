//! Arbitrary octets make no function panic, and the builders write no more than they may.

use faith_packet::checksum;
use faith_packet::fragments::Fragments;
use faith_packet::icmpv6::{self, Unreachable, build_unreachable};
use faith_packet::tcp::{build_refusal, build_reset, destination, rebuild_reset, refuses_syn, standing};
use faith_packet::udp::Datagram;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::builder::{classifier, fix_length};
use crate::strategy::packet;

fn try_everything(octets: &[u8]) {
    let classifier = classifier();
    let _ = classifier.to_stack(octets, true);
    let _ = classifier.to_stack(octets, false);
    let _ = classifier.to_host(octets);
    let _ = checksum::internet(octets);
    let mut out = [0; icmpv6::MAX_LEN];
    if let Some(length) = build_unreachable(Unreachable::Prohibited, octets, &mut out) {
        assert!(length <= out.len());
    }
    for build in [build_reset, build_refusal, rebuild_reset] {
        if let Some(length) = build(octets, &mut out) {
            assert_eq!(length, 60);
            assert!(octets.len() >= length, "an answer is never longer than its packet");
        }
    }
    let _ =
        (destination(octets), standing(octets), refuses_syn(octets), icmpv6::error_about_datagram(octets));
    if let Ok(datagram) = Datagram::parse(octets) {
        assert!(datagram.data.len() < octets.len());
    }
    let mut piece = [0; 1300];
    for mtu in [0, 48, 56, 1290] {
        let mut fragments = Fragments::new(octets, mtu, 1);
        while let Some(length) = fragments.as_mut().and_then(|fragments| fragments.next(&mut piece)) {
            assert!(length <= piece.len());
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_octets_are_judged(octets in vec(any::<u8>(), 0..300)) {
        try_everything(&octets);
    }

    #[test]
    fn arbitrary_octets_behind_a_sound_header_are_judged(
        mut packet in packet(),
        next in prop::sample::select(vec![0_u8, 6, 43, 44, 51, 58, 60]),
        payload in vec(any::<u8>(), 0..1400),
    ) {
        packet.resize(40, 0);
        packet[0] = 0x60;
        packet[6] = next;
        packet.extend(payload);
        fix_length(&mut packet);
        try_everything(&packet);
    }

    #[test]
    fn generated_packets_and_their_beginnings_are_judged(
        packet in packet(),
        cut in any::<prop::sample::Index>(),
    ) {
        try_everything(&packet);
        try_everything(&packet[..cut.index(packet.len())]);
    }
}
