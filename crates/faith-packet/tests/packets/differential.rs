//! The classifier and the oracle give the same verdict on every packet.

use std::collections::HashSet;
use std::mem::discriminant;

use faith_packet::classify::{DropReason, ToStack};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::builder::{classifier, silent_classifier};
use crate::oracle;
use crate::strategy::packet;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn verdicts_on_packets_to_the_stack_are_the_oracles(packet in packet()) {
        for classifier in [classifier(), silent_classifier()] {
            let expected = oracle::to_stack(&classifier, &packet);
            prop_assert_eq!(classifier.to_stack(&packet, true), expected);
        }
    }

    #[test]
    fn verdicts_on_packets_to_the_host_are_the_oracles(mut packet in packet(), swap in any::<bool>()) {
        // The generator makes packets to the stack; swapped addresses make them packets to the host.
        if swap && packet.len() >= 40 {
            packet[8..40].rotate_left(16);
        }
        let classifier = classifier();
        prop_assert_eq!(classifier.to_host(&packet), oracle::to_host(&classifier, &packet));
    }

    #[test]
    fn without_keepfaith_nothing_is_captured(packet in packet()) {
        let expected = match oracle::to_stack(&classifier(), &packet) {
            malformed @ ToStack::Drop(DropReason::Malformed) if packet.len() < 40 || {
                let length = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
                packet[0] >> 4 != 6 || packet.len() != 40 + length
            } => malformed,
            ToStack::Multicast => ToStack::Multicast,
            _ => ToStack::Drop(DropReason::Keepfaith),
        };
        prop_assert_eq!(classifier().to_stack(&packet, false), expected);
    }
}

/// Proves that the generator of the tests above meets every verdict.
#[test]
fn the_generated_packets_meet_every_verdict() {
    let mut runner = TestRunner::deterministic();
    let (mut verdicts, mut reasons) = (HashSet::new(), HashSet::new());
    for _ in 0..4000 {
        let packet = packet().new_tree(&mut runner).unwrap().current();
        let verdict = classifier().to_stack(&packet, true);
        verdicts.insert(discriminant(&verdict));
        if let ToStack::Drop(reason) = verdict {
            reasons.insert(reason.name());
        }
    }
    assert_eq!(verdicts.len(), 13);
    let mut reasons: Vec<&str> = reasons.into_iter().collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["extension", "fragment", "icmp", "malformed", "martian", "unsupported"]);
}
