//! The list and the oracle decide alike, and both look at the router's addresses equally often.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::SocketAddrV4;

use faith_packet::access::{AccessList, Basis, Decision, DenyReason, Rule};
use faith_packet::protocol::Protocol;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::oracle;
use crate::strategy::{Connection, connection, rule};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn both(list: &AccessList, loopback: bool, connection: Connection) -> [(Decision, u32); 2] {
    let Connection { protocol, client, destination, is_own } = connection;
    let (ours, mut theirs) = (Cell::new(0), 0);
    let judgement = list.judge(protocol, Basis::Dialled, client, destination.into(), |_| {
        ours.set(ours.get() + 1);
        is_own
    });
    let their_decision = oracle::decide(list.rules(), loopback, protocol, client, destination, || {
        theirs += 1;
        is_own
    });
    [(judgement.decision, ours.get()), (their_decision, theirs)]
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn a_list_decides_as_the_oracle_does(
        rules in vec(rule(), 0..40),
        loopback in any::<bool>(),
        connections in vec(connection(), 24),
    ) {
        let list = AccessList::new(rules).with_loopback(loopback);
        for connection in connections {
            let [ours, theirs] = both(&list, loopback, connection);
            prop_assert_eq!(ours, theirs, "{:?}", connection);
        }
    }

    #[test]
    fn a_named_server_is_decided_by_permit_rules_and_defaults_alone(
        rules in vec(rule(), 0..12),
        loopback in any::<bool>(),
        connections in vec(connection(), 24),
    ) {
        let without_rules = AccessList::default().with_loopback(loopback);
        let list = AccessList::new(rules).with_loopback(loopback);
        for Connection { protocol, client, destination, is_own } in connections {
            let dialled = |list: &AccessList| {
                list.judge(protocol, Basis::Dialled, client, destination.into(), |_| is_own).decision
            };
            let named = list.judge(protocol, Basis::Named, client, destination.into(), |_| is_own).decision;
            let expected = match dialled(&list) {
                Decision::Permit { .. } => Decision::Permit { outgoing: None },
                Decision::Deny(_) => dialled(&without_rules),
            };
            prop_assert_eq!(named, expected, "{} to {}, own: {}", client, destination, is_own);
        }
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn a_list_permits_any_port_if_it_permits_one_of_them(
        rules in vec(rule(), 0..24),
        loopback in any::<bool>(),
        connections in vec(connection(), 8),
    ) {
        let list = AccessList::new(rules).with_loopback(loopback);
        for Connection { protocol, client, destination, is_own } in connections {
            for basis in [Basis::Dialled, Basis::Named, Basis::Local] {
                let permits = |port| {
                    let server = SocketAddrV4::new(*destination.ip(), port);
                    let judgement = list.judge(protocol, basis, client, server.into(), |_| is_own);
                    matches!(judgement.decision, Decision::Permit { .. })
                };
                // The generated rules tell only the lowest and the highest ports apart.
                let mut ports = (1..64).chain(65_500..=u16::MAX);
                let expected =
                    if protocol == Protocol::Icmp { permits(0) } else { ports.any(permits) };
                let ours = list.permits_any_port(protocol, basis, client, *destination.ip(), |_| is_own);
                prop_assert_eq!(ours, expected, "{:?}, {} to {}", basis, client, destination);
            }
        }
    }
}

proptest! {
    #![proptest_config(config(3))]

    #[test]
    fn a_very_long_list_decides_as_the_oracle_does(
        rules in vec(rule(), 6_000),
        connections in vec(connection(), 60),
    ) {
        // Few connections reach the end of such a long list, so its tails are tried as well.
        for skipped in [0, 3_000, 5_500, 5_900] {
            let list = AccessList::new(rules[skipped..].to_vec());
            for &connection in &connections {
                let [ours, theirs] = both(&list, false, connection);
                prop_assert_eq!(ours, theirs, "{:?} from rule {}", connection, skipped);
            }
        }
    }
}

/// Proves that the generator of the tests above meets every decision.
#[test]
fn the_generated_connections_meet_every_decision() {
    let mut runner = TestRunner::deterministic();
    let mut met = HashSet::new();
    for _ in 0..800 {
        let (rules, connection, loopback) =
            (vec(rule(), 0..12), connection(), any::<bool>()).new_tree(&mut runner).unwrap().current();
        let list = AccessList::new(rules).with_loopback(loopback);
        let [(decision, _), _] = both(&list, loopback, connection);
        met.insert(match decision {
            Decision::Permit { outgoing: None } => "permit",
            Decision::Permit { outgoing: Some(_) } => "permit from",
            Decision::Deny(reason) => reason.name(),
        });
    }
    let deny = [
        DenyReason::Rule,
        DenyReason::NoMatch,
        DenyReason::SpecialPurpose,
        DenyReason::OwnAddress,
        DenyReason::Loopback,
    ];
    let expected: HashSet<&str> =
        deny.map(DenyReason::name).into_iter().chain(["permit", "permit from"]).collect();
    assert_eq!(met, expected);
}

/// Uses one pair of prefixes, and one rule for every port.
#[test]
fn a_list_with_a_rule_for_every_port_finds_each() {
    let line = |port: u16| {
        let action = if port.is_multiple_of(3) { "deny" } else { "permit" };
        format!("::/0 {action} 0.0.0.0/0 port {port}").parse::<Rule>().unwrap()
    };
    let list = AccessList::new((1..=u16::MAX).rev().map(line).collect());
    let client = "2001:db8::1".parse().unwrap();
    for port in (0..=u16::MAX).step_by(97) {
        let destination = SocketAddrV4::new([1, 1, 1, 1].into(), port);
        let expected = match port {
            0 => Decision::Deny(DenyReason::NoMatch),
            _ if port.is_multiple_of(3) => Decision::Deny(DenyReason::Rule),
            _ => Decision::Permit { outgoing: None },
        };
        assert_eq!(list.decide(client, destination, || false), expected, "{port}");
    }
}
