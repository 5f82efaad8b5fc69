//! Special-purpose blocks, the router's own addresses and loopback, which a broad permit does not open.

use super::*;
use crate::protocol::Protocol;

/// Makes rules for every client and port: `+PREFIX` permits, `-PREFIX` denies.
fn list(rules: &[&str]) -> AccessList {
    let parse = |rule: &&str| {
        let (sign, prefix) = rule.split_at(1);
        let destination = prefix.parse().unwrap();
        if sign == "+" { Rule::permit(destination) } else { Rule::deny(destination) }
    };
    AccessList::new(rules.iter().map(parse).collect())
}

fn loopback_list(rules: &[&str]) -> AccessList {
    list(rules).with_loopback(true)
}

fn ask(list: &AccessList, destination: &str, is_own: impl FnOnce() -> bool) -> Decision {
    let destination = SocketAddrV4::new(destination.parse().unwrap(), 80);
    list.decide(Ipv6Addr::LOCALHOST, destination, is_own)
}

fn decide(list: &AccessList, destination: &str) -> Decision {
    ask(list, destination, || false)
}

fn decide_own(list: &AccessList, destination: &str) -> Decision {
    ask(list, destination, || true)
}

/// The first and the last address of each special-purpose block, and its outer neighbours.
const EDGES: [(&str, &str, Option<&str>, Option<&str>); 13] = [
    ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
    ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
    ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
    ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
    ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
    ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
    ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
    ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
    ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
    ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
    ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
    ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
    ("0.0.0.1", "0.255.255.255", None, Some("1.0.0.0")),
];

fn decide_named(list: &AccessList, destination: &str, is_own: bool) -> Decision {
    let destination = SocketAddrV4::new(destination.parse().unwrap(), 80);
    list.judge(Protocol::Tcp, Basis::Named, Ipv6Addr::LOCALHOST, destination.into(), |_| is_own).decision
}

#[test]
fn a_named_server_is_denied_if_it_is_special_own_or_loopback() {
    let list = list(&["+0.0.0.0/0"]);
    assert_eq!(decide_named(&list, "10.0.0.7", false), SPECIAL);
    assert_eq!(decide_named(&list, "8.8.8.8", true), OWN);
    assert_eq!(decide_named(&list, "127.0.0.1", true), LOOPBACK);
    assert_eq!(decide_named(&list.with_loopback(true), "127.0.0.1", true), PERMIT);
}

#[test]
fn permit_rules_open_named_servers_and_deny_rules_do_not_apply_to_them() {
    let list = list(&["-8.8.8.8/32", "-10.0.0.8/32", "+10.0.0.0/8", "+1.1.1.1/32"]);
    assert_eq!(decide_named(&list, "8.8.8.8", false), PERMIT);
    assert_eq!(decide_named(&list, "9.9.9.9", false), PERMIT);
    assert_eq!(decide_named(&list, "10.0.0.7", false), PERMIT);
    assert_eq!(decide_named(&list, "10.0.0.8", false), SPECIAL);
    assert_eq!(decide_named(&list, "1.1.1.1", true), PERMIT);
    assert_eq!(decide_named(&list, "8.8.8.8", true), OWN);
}

#[test]
fn an_empty_list_denies_exactly_the_special_blocks() {
    let list = list(&[]);
    for (first, last, before, after) in EDGES {
        assert_eq!(decide(&list, first), SPECIAL, "{first}");
        assert_eq!(decide(&list, last), SPECIAL, "{last}");
        for outside in before.iter().chain(&after) {
            assert_eq!(decide(&list, outside), PERMIT, "{outside}");
        }
    }
}

#[test]
fn globally_reachable_blocks_of_the_registry_are_permitted() {
    for global in ["126.255.255.255", "128.0.0.0", "192.31.196.1", "192.52.193.1", "192.175.48.1"] {
        assert_eq!(decide(&list(&[]), global), PERMIT, "{global}");
    }
}

#[test]
fn a_permit_rule_wider_than_a_special_block_does_not_open_it() {
    let everything = list(&["+0.0.0.0/0"]);
    assert_eq!(decide(&everything, "1.1.1.1"), PERMIT);
    assert_eq!(decide(&everything, "169.254.169.254"), SPECIAL);
    assert_eq!(decide(&list(&["+172.0.0.0/8"]), "172.16.0.1"), SPECIAL);
}

#[test]
fn a_permit_rule_for_a_block_or_a_part_of_it_opens_exactly_that() {
    assert_eq!(decide(&list(&["+10.0.0.0/8"]), "10.1.2.3"), PERMIT);
    let part = list(&["+10.1.0.0/16"]);
    assert_eq!(decide(&part, "10.1.2.3"), PERMIT);
    assert_eq!(decide(&part, "10.2.2.3"), SPECIAL);
}

#[test]
fn later_rules_decide_if_a_wide_permit_does_not_match() {
    let list = list(&["+0.0.0.0/0", "-10.9.0.0/16", "+10.0.0.0/8"]);
    assert_eq!(decide(&list, "10.9.0.1"), RULE);
    assert_eq!(decide(&list, "10.8.0.1"), PERMIT);
}

#[test]
fn a_wide_deny_rule_matches_special_addresses_too() {
    assert_eq!(decide(&list(&["-0.0.0.0/0", "+10.0.0.0/8"]), "10.1.2.3"), RULE);
}

#[test]
fn the_broadcast_address_is_a_block_of_its_own_inside_the_reserved_one() {
    assert_eq!(decide(&list(&["+240.0.0.0/4"]), "240.0.0.1"), PERMIT);
    assert_eq!(decide(&list(&["+240.0.0.0/4"]), "255.255.255.255"), SPECIAL);
    assert_eq!(decide(&list(&["+255.255.255.255"]), "255.255.255.255"), PERMIT);
}

#[test]
fn an_address_of_the_router_opens_only_by_its_own_rule() {
    assert_eq!(decide_own(&list(&[]), "8.8.8.8"), OWN);
    assert_eq!(decide_own(&list(&["+8.8.8.8/31"]), "8.8.8.8"), OWN);
    assert_eq!(decide_own(&list(&["+8.8.8.0/24", "+8.8.8.8"]), "8.8.8.8"), PERMIT);
    assert_eq!(decide_own(&list(&["-8.8.8.0/24", "+8.8.8.8"]), "8.8.8.8"), RULE);
    assert_eq!(decide_own(&list(&["+10.0.0.0/8"]), "10.0.0.1"), OWN);
    assert_eq!(decide_own(&list(&["+10.0.0.1"]), "10.0.0.1"), PERMIT);
}

#[test]
fn the_routers_addresses_are_looked_up_only_if_the_decision_depends_on_them() {
    let never = || -> bool { panic!("looked up without need") };
    let deny = list(&["-8.8.8.8"]);
    assert_eq!(ask(&deny, "8.8.8.8", never), RULE);
    let exact = list(&["+8.8.8.8"]);
    assert_eq!(ask(&exact, "8.8.8.8", never), PERMIT);
    assert_eq!(ask(&list(&[]), "127.0.0.1", never), LOOPBACK);
}

#[test]
fn loopback_is_denied_even_if_a_rule_permits_it() {
    for rule in ["+0.0.0.0/0", "+127.0.0.0/8", "+127.0.0.1", "+0.0.0.0"] {
        for address in ["127.0.0.1", "127.255.255.255", "0.0.0.0"] {
            assert_eq!(decide(&list(&[rule]), address), LOOPBACK, "{address} under {rule}");
        }
    }
}

#[test]
fn the_rules_decide_about_loopback_if_the_list_allows_it() {
    for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0"] {
        assert_eq!(decide_own(&loopback_list(&[]), address), PERMIT, "{address}");
        assert_eq!(decide_own(&loopback_list(&["+0.0.0.0/0"]), address), PERMIT, "{address}");
        assert_eq!(decide_own(&loopback_list(&["-0.0.0.0/0"]), address), RULE, "{address}");
        assert_eq!(decide_own(&loopback_list(&["+8.8.8.8"]), address), NO_MATCH, "{address}");
    }
    assert_eq!(decide(&loopback_list(&[]), "0.0.0.1"), SPECIAL);
    assert_eq!(decide(&loopback_list(&[]), "10.0.0.1"), SPECIAL);
}

#[test]
fn a_rule_that_names_a_block_opens_it_to_its_clients_and_ports() {
    let list = super::list(&["2001:db8::/32 permit 10.0.0.0/8 port 80", "::/0 permit 0.0.0.0/0"]);
    assert_eq!(super::decide(&list, "2001:db8::1", "10.0.0.1:80"), PERMIT);
    assert_eq!(super::decide(&list, "2001:db8::1", "10.0.0.1:81"), SPECIAL);
    assert_eq!(super::decide(&list, "2001:db9::1", "10.0.0.1:80"), SPECIAL);
}

#[test]
fn an_address_is_global_outside_loopback_and_the_special_purpose_blocks() {
    for (address, global) in [
        ("192.0.1.1", true),
        ("198.20.0.1", true),
        ("127.0.0.1", false),
        ("0.0.0.0", false),
        ("10.1.2.3", false),
        ("192.0.0.170", false),
        ("198.51.100.2", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
    ] {
        assert_eq!(is_global(address.parse().unwrap()), global, "{address}");
    }
}
