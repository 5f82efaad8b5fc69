use super::*;

mod grammar;
mod ipv6;
mod special_purpose;

const PERMIT: Decision = Decision::Permit { outgoing: None };
const RULE: Decision = Decision::Deny(DenyReason::Rule);
const NO_MATCH: Decision = Decision::Deny(DenyReason::NoMatch);
const SPECIAL: Decision = Decision::Deny(DenyReason::SpecialPurpose);
const OWN: Decision = Decision::Deny(DenyReason::OwnAddress);
const LOOPBACK: Decision = Decision::Deny(DenyReason::Loopback);

fn list(lines: &[&str]) -> AccessList {
    AccessList::parse(&lines.join("\n"), "faithd.conf").unwrap()
}

fn decide(list: &AccessList, client: &str, server: &str) -> Decision {
    list.decide(client.parse().unwrap(), server.parse().unwrap(), || false)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let list = list(&["::/0 deny 8.8.8.0/24", "::/0 permit 8.8.0.0/16", "::/0 deny 0.0.0.0/0"]);
    assert_eq!(decide(&list, "2001:db8::1", "8.8.8.8:53"), RULE);
    assert_eq!(decide(&list, "2001:db8::1", "8.8.4.4:53"), PERMIT);
    assert_eq!(decide(&list, "2001:db8::1", "1.1.1.1:53"), RULE);
}

#[test]
fn an_empty_list_permits_and_a_list_in_which_nothing_matches_denies() {
    assert_eq!(decide(&AccessList::default(), "2001:db8::1", "1.1.1.1:80"), PERMIT);
    assert_eq!(decide(&list(&["# nothing"]), "2001:db8::1", "1.1.1.1:80"), PERMIT);
    assert_eq!(decide(&list(&["::/0 permit 8.8.8.0/24"]), "2001:db8::1", "1.1.1.1:80"), NO_MATCH);
    assert_eq!(decide(&list(&["::/0 deny 8.8.8.0/24"]), "2001:db8::1", "1.1.1.1:80"), NO_MATCH);
}

#[test]
fn a_rule_matches_only_clients_inside_its_source() {
    let list = list(&[
        "2001:db8:1:2::3 deny 0.0.0.0/0",
        "2001:db8:1:2::/64 permit 0.0.0.0/0",
        "2001:db8:1::/48 deny 0.0.0.0/0",
        "2001:db8::/32 permit 1.1.1.0/24",
    ]);
    assert_eq!(decide(&list, "2001:db8:1:2::3", "1.1.1.1:80"), RULE);
    assert_eq!(decide(&list, "2001:db8:1:2::4", "1.1.1.1:80"), PERMIT);
    assert_eq!(decide(&list, "2001:db8:1:3::4", "1.1.1.1:80"), RULE);
    assert_eq!(decide(&list, "2001:db8:2::", "1.1.1.1:80"), PERMIT);
    assert_eq!(decide(&list, "2001:db8:2::", "1.1.2.1:80"), NO_MATCH);
    assert_eq!(decide(&list, "2001:db9::", "1.1.1.1:80"), NO_MATCH);
}

#[test]
fn a_rule_with_ports_matches_only_these() {
    let list = list(&[
        "::/0 deny 0.0.0.0/0 port 25,465",
        "::/0 permit 0.0.0.0/0 port 20-30,8000-8999",
        "::/0 deny 0.0.0.0/0 port 8500",
        "::/0 permit 1.1.1.1",
    ]);
    for (server, decision) in [
        ("8.8.8.8:25", RULE),
        ("8.8.8.8:20", PERMIT),
        ("8.8.8.8:30", PERMIT),
        ("8.8.8.8:31", NO_MATCH),
        ("8.8.8.8:465", RULE),
        ("8.8.8.8:7999", NO_MATCH),
        ("8.8.8.8:8500", PERMIT),
        ("8.8.8.8:9000", NO_MATCH),
        ("8.8.8.8:0", NO_MATCH),
        ("1.1.1.1:465", RULE),
        ("1.1.1.1:0", PERMIT),
        ("1.1.1.1:65535", PERMIT),
    ] {
        assert_eq!(decide(&list, "2001:db8::1", server), decision, "{server}");
    }
}

#[test]
fn the_rule_that_permits_gives_the_outgoing_address() {
    let list = list(&[
        "2001:db8:1::/48 permit 1.0.0.0/8 port 80 192.0.2.1",
        "2001:db8:1::/48 permit 0.0.0.0/0 192.0.2.2",
        "::/0 permit 0.0.0.0/0",
    ]);
    let outgoing = |address: &str| Decision::Permit { outgoing: address.parse().ok() };
    assert_eq!(decide(&list, "2001:db8:1::1", "1.1.1.1:80"), outgoing("192.0.2.1"));
    assert_eq!(decide(&list, "2001:db8:1::1", "1.1.1.1:81"), outgoing("192.0.2.2"));
    assert_eq!(decide(&list, "2001:db8:2::1", "1.1.1.1:80"), PERMIT);
}

#[test]
fn the_example_of_faithd_8_decides_as_its_comment_says() {
    let list = list(&[
        "# any location except 10.0.0.0/8 and 127.0.0.0/8.",
        "#",
        "3ffe:501:ffff::/48 deny 10.0.0.0/8",
        "3ffe:501:ffff::/48 deny 127.0.0.0/8",
        "3ffe:501:ffff::/48 permit 0.0.0.0/0",
    ])
    .with_loopback(true);
    assert_eq!(decide(&list, "3ffe:501:ffff::1", "1.1.1.1:23"), PERMIT);
    assert_eq!(decide(&list, "3ffe:501:ffff::1", "10.1.1.1:23"), RULE);
    assert_eq!(decide(&list, "3ffe:501:ffff::1", "127.0.0.1:23"), RULE);
    assert_eq!(decide(&list, "3ffe:501:fffe::1", "1.1.1.1:23"), NO_MATCH);
}

#[test]
fn lists_with_the_same_rules_and_defaults_are_equal() {
    let one = list(&["::/0 permit 1.1.1.1", "::/0 deny 0.0.0.0/0"]);
    assert_eq!(one, list(&["::/0 permit 1.1.1.1/32 # one", "", "::/0 deny 0.0.0.0/0"]));
    assert_ne!(one, list(&["::/0 deny 0.0.0.0/0", "::/0 permit 1.1.1.1"]));
    assert_ne!(one.clone(), one.with_loopback(true));
}

#[test]
fn permit_and_deny_build_rules_for_every_client_and_port() {
    let prefix = |text: &str| text.parse().unwrap();
    let rules = vec![Rule::deny(prefix("1.1.1.1")), Rule::permit(prefix("1.0.0.0/8"))];
    let shown: Vec<String> = rules.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["::/0 deny 1.1.1.1/32", "::/0 permit 1.0.0.0/8"]);
    let list = AccessList::new(rules);
    assert_eq!(decide(&list, "2001:db8::1", "1.1.1.1:80"), RULE);
    assert_eq!(decide(&list, "2001:db8::1", "1.1.1.2:80"), PERMIT);
}

#[test]
fn names_of_deny_reasons_are_kebab_case() {
    let reasons = [RULE, NO_MATCH, SPECIAL, OWN, LOOPBACK];
    let names = reasons.map(|decision| match decision {
        Decision::Deny(reason) => reason.name(),
        Decision::Permit { .. } => "",
    });
    assert_eq!(names, ["rule", "no-match", "special-purpose", "own-address", "loopback"]);
}

#[test]
fn rules_of_several_files_have_the_files_and_lines_of_each() {
    let list = list(&[
        "::/0 deny 1.1.1.1",
        "#line 1 \"/etc/faithd/one.conf\"",
        "# a comment",
        "::/0 deny 2.2.2.2",
        "#line 1 \"/etc/faithd/empty.conf\"",
        "#line 1 \"/etc/faithd/a \"b\".conf\"",
        "::/0 deny 3.3.3.3",
        "# line 1 of the comment",
        "::/0 permit 4.4.4.4",
    ]);
    let place = |place| {
        let WrittenRule { line, file, .. } = list.written(place).unwrap();
        (line.unwrap(), file.map(|file| file.to_string()))
    };
    assert_eq!(place(0), (1, None));
    assert_eq!(place(1), (2, Some("/etc/faithd/one.conf".to_owned())));
    assert_eq!(place(2), (1, Some("/etc/faithd/a \"b\".conf".to_owned())));
    assert_eq!(place(3), (3, Some("/etc/faithd/a \"b\".conf".to_owned())));
    assert_eq!(list.written(4), None);
}

#[test]
fn a_list_permits_any_port_if_one_is_left_between_the_denied_ones() {
    let any = |lines: &[&str]| {
        let (client, server) = ("2001:db8::1".parse().unwrap(), Ipv4Addr::new(8, 8, 8, 8));
        list(lines).permits_any_port(Protocol::Tcp, Basis::Dialled, client, server, |_| false)
    };
    assert!(any(&[]));
    assert!(any(&["::/0 deny 0.0.0.0/0 port 1-441,443-65535", "::/0 permit 0.0.0.0/0"]));
    assert!(!any(&["::/0 deny 0.0.0.0/0 port 1-65535", "::/0 permit 0.0.0.0/0"]));
    assert!(any(&["::/0 permit 8.8.8.8 port 443"]));
    assert!(!any(&["::/0 permit 8.8.8.8 udp port 443"]));
    assert!(!any(&["2001:db8:1::/48 permit 8.8.8.8 port 443"]));
    assert!(!any(&["::/0 permit 8.8.4.0/24"]));
}
