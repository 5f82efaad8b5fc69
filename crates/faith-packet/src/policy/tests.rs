use super::*;

/// Rules as `+PREFIX` and `-PREFIX`.
fn policy(rules: &[&str]) -> Policy {
    Policy::new(rules.iter().map(|rule| parse(rule)).collect(), false)
}

fn loopback_policy(rules: &[&str]) -> Policy {
    Policy::new(rules.iter().map(|rule| parse(rule)).collect(), true)
}

fn parse(rule: &str) -> Rule {
    let (sign, prefix) = rule.split_at(1);
    Rule { permit: sign == "+", destination: prefix.parse().unwrap() }
}

fn decide(policy: &Policy, destination: &str) -> Decision {
    policy.decide(destination.parse().unwrap(), || false)
}

fn decide_own(policy: &Policy, destination: &str) -> Decision {
    policy.decide(destination.parse().unwrap(), || true)
}

const PERMIT: Decision = Decision::Permit;
const RULE: Decision = Decision::Deny(DenyReason::Rule);
const NO_MATCH: Decision = Decision::Deny(DenyReason::NoMatch);
const SPECIAL: Decision = Decision::Deny(DenyReason::SpecialPurpose);
const OWN: Decision = Decision::Deny(DenyReason::OwnAddress);
const LOOPBACK: Decision = Decision::Deny(DenyReason::Loopback);

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

#[test]
fn an_empty_list_permits_what_is_not_special() {
    let policy = policy(&[]);
    for (first, last, before, after) in EDGES {
        assert_eq!(decide(&policy, first), SPECIAL, "{first}");
        assert_eq!(decide(&policy, last), SPECIAL, "{last}");
        for outside in before.iter().chain(&after) {
            assert_eq!(decide(&policy, outside), PERMIT, "{outside}");
        }
    }
}

#[test]
fn what_iana_calls_globally_reachable_is_permitted() {
    for global in ["126.255.255.255", "128.0.0.0", "192.31.196.1", "192.52.193.1", "192.175.48.1"] {
        assert_eq!(decide(&policy(&[]), global), PERMIT, "{global}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(&["-8.8.8.0/24", "+8.8.0.0/16", "-0.0.0.0/0"]);
    assert_eq!(decide(&policy, "8.8.8.8"), RULE);
    assert_eq!(decide(&policy, "8.8.4.4"), PERMIT);
    assert_eq!(decide(&policy, "1.1.1.1"), RULE);
}

#[test]
fn a_list_in_which_nothing_matches_denies() {
    assert_eq!(decide(&policy(&["+8.8.8.0/24"]), "1.1.1.1"), NO_MATCH);
    assert_eq!(decide(&policy(&["-8.8.8.0/24"]), "1.1.1.1"), NO_MATCH);
}

#[test]
fn a_permit_rule_wider_than_a_special_block_does_not_open_it() {
    let everything = policy(&["+0.0.0.0/0"]);
    assert_eq!(decide(&everything, "1.1.1.1"), PERMIT);
    assert_eq!(decide(&everything, "169.254.169.254"), SPECIAL);
    assert_eq!(decide(&policy(&["+172.0.0.0/8"]), "172.16.0.1"), SPECIAL);
}

#[test]
fn a_permit_rule_for_the_block_or_a_part_of_it_opens_as_much_as_it_says() {
    assert_eq!(decide(&policy(&["+10.0.0.0/8"]), "10.1.2.3"), PERMIT);
    let part = policy(&["+10.1.0.0/16"]);
    assert_eq!(decide(&part, "10.1.2.3"), PERMIT);
    assert_eq!(decide(&part, "10.2.2.3"), SPECIAL);
}

#[test]
fn a_wide_permit_that_is_passed_over_leaves_the_address_to_later_rules() {
    let policy = policy(&["+0.0.0.0/0", "-10.9.0.0/16", "+10.0.0.0/8"]);
    assert_eq!(decide(&policy, "10.9.0.1"), RULE);
    assert_eq!(decide(&policy, "10.8.0.1"), PERMIT);
}

#[test]
fn a_wide_deny_rule_matches_special_addresses_as_any_other() {
    assert_eq!(decide(&policy(&["-0.0.0.0/0", "+10.0.0.0/8"]), "10.1.2.3"), RULE);
}

#[test]
fn the_broadcast_address_is_a_block_of_its_own_inside_the_reserved_one() {
    assert_eq!(decide(&policy(&["+240.0.0.0/4"]), "240.0.0.1"), PERMIT);
    assert_eq!(decide(&policy(&["+240.0.0.0/4"]), "255.255.255.255"), SPECIAL);
    assert_eq!(decide(&policy(&["+255.255.255.255"]), "255.255.255.255"), PERMIT);
}

#[test]
fn an_address_of_the_router_opens_only_by_its_own_rule() {
    assert_eq!(decide_own(&policy(&[]), "8.8.8.8"), OWN);
    assert_eq!(decide_own(&policy(&["+8.8.8.8/31"]), "8.8.8.8"), OWN);
    assert_eq!(decide_own(&policy(&["+8.8.8.0/24", "+8.8.8.8"]), "8.8.8.8"), PERMIT);
    assert_eq!(decide_own(&policy(&["-8.8.8.0/24", "+8.8.8.8"]), "8.8.8.8"), RULE);
    assert_eq!(decide_own(&policy(&["+10.0.0.0/8"]), "10.0.0.1"), OWN);
    assert_eq!(decide_own(&policy(&["+10.0.0.1"]), "10.0.0.1"), PERMIT);
}

#[test]
fn the_routers_addresses_are_looked_up_only_when_they_matter() {
    let never = || -> bool { panic!("looked up without need") };
    let deny = policy(&["-8.8.8.8"]);
    assert_eq!(deny.decide(Ipv4Addr::new(8, 8, 8, 8), never), RULE);
    let exact = policy(&["+8.8.8.8"]);
    assert_eq!(exact.decide(Ipv4Addr::new(8, 8, 8, 8), never), PERMIT);
    assert_eq!(policy(&[]).decide(Ipv4Addr::LOCALHOST, never), LOOPBACK);
}

#[test]
fn loopback_is_denied_whatever_the_rules_say() {
    for rule in ["+0.0.0.0/0", "+127.0.0.0/8", "+127.0.0.1", "+0.0.0.0"] {
        for address in ["127.0.0.1", "127.255.255.255", "0.0.0.0"] {
            assert_eq!(decide(&policy(&[rule]), address), LOOPBACK, "{address} under {rule}");
        }
    }
}

#[test]
fn loopback_when_allowed_is_under_the_rules_as_any_other_address() {
    for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0"] {
        assert_eq!(decide_own(&loopback_policy(&[]), address), PERMIT, "{address}");
        assert_eq!(decide_own(&loopback_policy(&["+0.0.0.0/0"]), address), PERMIT, "{address}");
        assert_eq!(decide_own(&loopback_policy(&["-0.0.0.0/0"]), address), RULE, "{address}");
        assert_eq!(decide_own(&loopback_policy(&["+8.8.8.8"]), address), NO_MATCH, "{address}");
    }
    assert_eq!(decide(&loopback_policy(&[]), "0.0.0.1"), SPECIAL);
    assert_eq!(decide(&loopback_policy(&[]), "10.0.0.1"), SPECIAL);
}

#[test]
fn a_prefix_is_read_with_and_without_a_length_and_shown_with_it() {
    let show = |text: &str| text.parse::<Ipv4Prefix>().unwrap().to_string();
    assert_eq!(show("198.51.100.0/24"), "198.51.100.0/24");
    assert_eq!(show("198.51.100.2"), "198.51.100.2/32");
    assert_eq!(show("0.0.0.0/0"), "0.0.0.0/0");
}

#[test]
fn a_malformed_prefix_is_refused_with_what_is_wrong() {
    let error = |text: &str| text.parse::<Ipv4Prefix>().unwrap_err();
    assert_eq!(error("10.0.0.0/33"), Ipv4PrefixError::Length(33));
    assert_eq!(
        error("10.0.0.1/8").to_string(),
        "10.0.0.1/8 has host bits set; write 10.0.0.0/8 or 10.0.0.1/32"
    );
    for text in [
        "",
        "/",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "::/0",
        "010.0.0.0/8",
    ] {
        assert_eq!(error(text), Ipv4PrefixError::Syntax(text.to_owned()));
    }
}

#[test]
fn names_are_kebab_case() {
    let reasons = [RULE, NO_MATCH, SPECIAL, OWN, LOOPBACK];
    let names = reasons.map(|decision| match decision {
        Decision::Deny(reason) => reason.name(),
        Decision::Permit => "",
    });
    assert_eq!(names, ["rule", "no-match", "special-purpose", "own-address", "loopback"]);
}
