//! Servers with IPv6 addresses, which a program can name but no rule can.

use super::*;
use crate::protocol::Protocol;

fn named(list: &AccessList, address: &str, own: &[&str]) -> Decision {
    let server = SocketAddr::new(address.parse().unwrap(), 80);
    let own: Vec<IpAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
    list.judge(Protocol::Tcp, Basis::Named, Ipv6Addr::LOCALHOST, server, |address| own.contains(&address))
        .decision
}

fn decide(address: &str) -> Decision {
    named(&AccessList::default(), address, &[])
}

/// The first and the last address of each special-purpose block, and the public addresses next to it.
const EDGES: [(&str, &str, Option<&str>, Option<&str>); 12] = [
    ("::2", "::ffff:255.255.255.255", None, Some("0:0:0:0:1::")),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Some("64:ff9b:0:ffff::"), Some("64:ff9b:2::")),
    ("100::", "100::ffff:ffff:ffff:ffff", Some("ff:ffff::"), Some("100:0:0:2::")),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", None, Some("100:0:0:2::")),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::"), Some("2001:200::")),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7:ffff::"), Some("2001:db9::")),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::"), Some("3fff:1000::")),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("5eff::"), Some("5f01::")),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("fbff::"), Some("fe00::")),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("fe7f::"), None),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
];

#[test]
fn special_purpose_addresses_are_closed_and_their_neighbours_open() {
    for (first, last, before, after) in EDGES {
        assert_eq!(decide(first), SPECIAL, "{first}");
        assert_eq!(decide(last), SPECIAL, "{last}");
        for outside in before.iter().chain(&after) {
            assert_eq!(decide(outside), PERMIT, "{outside}");
        }
    }
}

#[test]
fn globally_reachable_protocol_assignments_are_open() {
    for open in [
        "2001:1::1",
        "2001:1::2",
        "2001:1::3",
        "2001:3::",
        "2001:3:ffff::1",
        "2001:4:112::",
        "2001:4:112:ffff::1",
        "2001:20::",
        "2001:2f:ffff::1",
        "2001:30::",
        "2001:3f:ffff::1",
        "2620:4f:8000::1",
    ] {
        assert_eq!(decide(open), PERMIT, "{open}");
    }
    for closed in [
        "2001::1",
        "2001:0:4136:e378::1",
        "2001:1::",
        "2001:1::4",
        "2001:2::1",
        "2001:4::1",
        "2001:4:111::1",
        "2001:4:113::1",
        "2001:10::1",
        "2001:1f:ffff::1",
        "2001:40::",
    ] {
        assert_eq!(decide(closed), SPECIAL, "{closed}");
    }
}

#[test]
fn public_addresses_are_open() {
    for open in ["2606:4700:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2003::1"] {
        assert_eq!(decide(open), PERMIT, "{open}");
    }
}

#[test]
fn loopback_is_closed_unless_the_list_allows_it() {
    let allowing = AccessList::default().with_loopback(true);
    for address in ["::1", "::"] {
        assert_eq!(decide(address), LOOPBACK, "{address}");
        assert_eq!(named(&allowing, address, &[address]), PERMIT, "{address}");
    }
    // An IPv4-mapped address must be no way around the decision about its IPv4 address.
    assert_eq!(named(&allowing, "::ffff:127.0.0.1", &[]), SPECIAL);
    assert_eq!(named(&allowing, "::ffff:8.8.8.8", &[]), SPECIAL);
}

#[test]
fn the_routers_own_addresses_are_closed_in_every_block() {
    for own in ["2606:4700::1", "fd00::1", "64:ff9b::8.8.8.8"] {
        assert_eq!(named(&list(&["::/0 permit 0.0.0.0/0"]), own, &[own]), OWN, "{own}");
    }
    assert_eq!(named(&AccessList::default(), "2606:4700::2", &["2606:4700::1"]), PERMIT);
}

#[test]
fn an_address_that_stands_for_an_ipv4_address_is_judged_by_both() {
    for (address, decision) in [
        ("64:ff9b::8.8.8.8", PERMIT),
        ("64:ff9b::10.0.0.1", SPECIAL),
        ("64:ff9b::127.0.0.1", LOOPBACK),
        ("64:ff9b::", LOOPBACK),
        ("64:ff9b::169.254.169.254", SPECIAL),
        ("2002:808:808::1", PERMIT),
        ("2002:a00:1::1", SPECIAL),
        ("2002:7f00:1::", LOOPBACK),
        ("2002:c0a8:101:ffff::1", SPECIAL),
    ] {
        assert_eq!(decide(address), decision, "{address}");
    }
    for own in ["64:ff9b::8.8.8.8", "2002:808:808::1"] {
        assert_eq!(named(&AccessList::default(), own, &["8.8.8.8"]), OWN, "{own}");
    }
}

#[test]
fn permit_rules_open_the_inner_address_and_deny_rules_do_not_close_it() {
    let list = list(&["::/0 permit 10.0.0.0/8 192.0.2.1", "::/0 deny 0.0.0.0/0"]);
    assert_eq!(named(&list, "64:ff9b::10.0.0.1", &[]), PERMIT);
    assert_eq!(named(&list, "64:ff9b::192.168.0.1", &[]), SPECIAL);
    assert_eq!(named(&list, "2606:4700::1", &[]), PERMIT);
}

#[test]
fn no_rule_permits_an_ipv6_server_that_a_client_dialled() {
    let dialled = |list: &AccessList| {
        let server = "[2606:4700::1]:80".parse().unwrap();
        list.judge(Protocol::Tcp, Basis::Dialled, Ipv6Addr::LOCALHOST, server, |_| false).decision
    };
    assert_eq!(dialled(&AccessList::default()), PERMIT);
    assert_eq!(dialled(&list(&["::/0 permit 0.0.0.0/0"])), NO_MATCH);
}
