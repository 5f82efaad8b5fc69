//! The classifier judges any octets as the oracle does, and answers are within bounds.
//!
//! The first octet selects repairs, so that not every packet fails at the first check: bit 0 repairs
//! version and length, bit 1 sets an ordinary client, bit 2 a captured destination.

#![no_main]
#![expect(clippy::expect_used, reason = "a target fails by panicking")]

#[path = "../../tests/packets/oracle.rs"]
mod oracle;

use std::net::Ipv6Addr;

use faith_packet::classify::{Classifier, Unsupported};
use faith_packet::icmpv6::{self, Unreachable, build_unreachable};
use faith_packet::prefix::PrefixSet;
use faith_packet::tcp::build_reset;
use libfuzzer_sys::fuzz_target;

const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// 198.51.100.2 in 64:ff9b::/96.
const SERVER: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc633, 0x6402);

fuzz_target!(|data: &[u8]| {
    let Some((repairs, packet)) = data.split_first() else { return };
    let mut packet = packet.to_vec();
    repair(&mut packet, *repairs);

    let mut prefixes = PrefixSet::new();
    for prefix in ["64:ff9b::/96", "2001:db8:64::/48"] {
        prefixes.insert(prefix.parse().expect("a prefix")).expect("disjoint prefixes");
    }
    for unsupported in [Unsupported::Unreachable, Unsupported::Drop] {
        let classifier = Classifier::new(prefixes.clone(), unsupported);
        assert_eq!(classifier.to_stack(&packet, true), oracle::to_stack(&classifier, &packet));
        assert_eq!(classifier.to_host(&packet), oracle::to_host(&classifier, &packet));
        let _ = classifier.to_stack(&packet, false);
    }

    let mut out = [0; icmpv6::MAX_LEN];
    if let Some(length) = build_unreachable(Unreachable::Prohibited, &packet, &mut out) {
        assert!((48..=icmpv6::MAX_LEN).contains(&length));
    }
    if let Some(length) = build_reset(&packet, &mut out) {
        assert_eq!(length, 60);
    }
});

fn repair(packet: &mut [u8], repairs: u8) {
    let Some((header, payload)) = packet.split_at_mut_checked(40) else { return };
    if repairs & 1 != 0 {
        header[0] = 0x60 | header[0] & 0xf;
        if let Ok(length) = u16::try_from(payload.len()) {
            header[4..6].copy_from_slice(&length.to_be_bytes());
        }
    }
    if repairs & 2 != 0 {
        header[8..24].copy_from_slice(&CLIENT.octets());
    }
    if repairs & 4 != 0 {
        header[24..40].copy_from_slice(&SERVER.octets());
    }
}
