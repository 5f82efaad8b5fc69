//! The grammar of an access list's lines, and the errors of malformed lines.

use super::*;
use crate::access::parse;

fn shown(line: &str) -> String {
    line.parse::<Rule>().unwrap().to_string()
}

fn error(line: &str) -> String {
    line.parse::<Rule>().unwrap_err().to_string()
}

#[test]
fn a_rule_is_shown_as_it_is_read() {
    for line in [
        "2001:db8::/32 permit 198.51.100.0/24",
        "::/0 deny 0.0.0.0/0",
        "2001:db8::1/128 permit 198.51.100.2/32 192.0.2.1",
        "2001:db8::/32 deny 0.0.0.0/0 port 25",
        "2001:db8::/32 permit 0.0.0.0/0 port 25,80,8000-8999 192.0.2.1",
        "2001:db8::/32 permit 0.0.0.0/0 port all",
    ] {
        assert_eq!(shown(line), line);
    }
}

#[test]
fn spaces_and_tabs_separate_words_and_keywords_ignore_case() {
    assert_eq!(
        shown("\t2001:DB8::1  PERMIT\t198.51.100.2 Port 90-99,80\t 192.0.2.1 "),
        "2001:db8::1/128 permit 198.51.100.2/32 port 80,90-99 192.0.2.1"
    );
}

#[test]
fn a_protocol_stands_before_the_ports() {
    assert_eq!(
        shown("::/0 permit 0.0.0.0/0 UDP port 53 192.0.2.1"),
        "::/0 permit 0.0.0.0/0 udp port 53 192.0.2.1"
    );
    assert_eq!(shown("::/0 deny 0.0.0.0/0 tcp"), "::/0 deny 0.0.0.0/0 tcp");
    assert_eq!(
        error("::/0 deny 0.0.0.0/0 port 53 udp"),
        "expected `tcp`, `udp`, `icmp`, `port LIST` or an outgoing IPv4 address without a length, found \"udp\""
    );
}

#[test]
fn blank_lines_and_comments_are_skipped() {
    let text = "# all\n\n  \t\n::/0 deny 1.1.1.1 # one\r\n\t# indented\r\n::/0 permit 0.0.0.0/0#no space";
    let shown: Vec<String> = parse(text, "x").unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["::/0 deny 1.1.1.1/32", "::/0 permit 0.0.0.0/0"]);
    assert_eq!(parse("", "x"), Ok(vec![]));
}

#[test]
fn an_error_names_the_missing_word() {
    let rest = " is missing; write SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]";
    assert_eq!(error(""), format!("a source{rest}"));
    assert_eq!(error("::/0"), format!("`permit` or `deny`{rest}"));
    assert_eq!(error("::/0 permit"), format!("a destination{rest}"));
    assert_eq!(error("::/0 permit 0.0.0.0/0 port"), format!("a list of ports{rest}"));
}

#[test]
fn an_error_shows_the_unexpected_word() {
    assert_eq!(
        error("10.0.0.0/8 deny 0.0.0.0/0"),
        "source: \"10.0.0.0/8\" is not an IPv6 prefix; write ADDRESS or ADDRESS/LENGTH, like 2001:db8::/32"
    );
    assert_eq!(error("::/0 allow 0.0.0.0/0"), "expected `permit` or `deny`, found \"allow\"");
    assert_eq!(
        error("::/0 deny example.net"),
        "destination: \"example.net\" is not an IPv4 prefix; \
        write ADDRESS or ADDRESS/LENGTH, like 198.51.100.0/24"
    );
    assert_eq!(
        error("::/0 deny 0.0.0.0/0 port telnet"),
        "port: \"telnet\" is neither a port nor a range; write 1 to 65535 in a list like 22,8000-8999, or all"
    );
    assert_eq!(error("::/0 deny 0.0.0.0/0 port 90-80"), "port: port range 90-80 is reversed; write 80-90");
    for word in ["192.0.2.1/32", "router", "2001:db8::1", "25,80"] {
        let expected = format!(
            "expected `tcp`, `udp`, `icmp`, `port LIST` or an outgoing IPv4 address without a length, found {word:?}"
        );
        assert_eq!(error(&format!("::/0 permit 0.0.0.0/0 {word}")), expected);
    }
    for line in ["::/0 permit 0.0.0.0/0 port 25, 80", "::/0 permit 0.0.0.0/0 port 25 80"] {
        assert!(line.parse::<Rule>().is_err(), "{line}");
    }
}

#[test]
fn a_prefix_with_host_bits_is_refused_with_the_right_one() {
    assert_eq!(
        error("2001:db8::1/64 deny 0.0.0.0/0"),
        "source: 2001:db8::1/64 has host bits set; write 2001:db8::/64 or 2001:db8::1/128"
    );
    assert_eq!(
        error("::/0 deny 10.1.0.0/8"),
        "destination: 10.1.0.0/8 has host bits set; write 10.0.0.0/8 or 10.1.0.0/32"
    );
}

#[test]
fn an_outgoing_address_is_refused_in_a_deny_rule_and_if_it_cannot_be_a_source() {
    assert_eq!(
        error("::/0 deny 0.0.0.0/0 192.0.2.1"),
        "a `deny` has no outgoing address; remove 192.0.2.1, or write `permit`"
    );
    for address in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let expected = format!("{address} cannot be an outgoing address; write one of the router's own");
        assert_eq!(error(&format!("::/0 permit 0.0.0.0/0 {address}")), expected);
    }
}

#[test]
fn words_behind_the_rule_are_refused() {
    assert_eq!(
        error("::/0 permit 0.0.0.0/0 192.0.2.1 port 25"),
        "expected the end of the line, found \"port\""
    );
}

#[test]
fn malformed_lines_are_reported_with_the_lists_name_and_their_numbers() {
    let text = "::/0 permit\n\n# fine\n::/0 deny 1.1.1.1\n::/0 block 1.1.1.1\r\n";
    let errors = AccessList::parse(text, "/etc/faithd.conf").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/etc/faithd.conf:1: a destination is missing; \
        write SOURCE permit|deny DESTINATION [tcp|udp|icmp] [port LIST] [OUTGOING]\n\
        /etc/faithd.conf:5: expected `permit` or `deny`, found \"block\""
    );
    assert_eq!((errors.name(), errors.more()), ("/etc/faithd.conf", 0));
    let lines: Vec<usize> = errors.errors().iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 5]);
}

#[test]
fn twenty_malformed_lines_are_reported_and_the_others_counted() {
    let more = |lines: usize| {
        let errors = AccessList::parse(&"deny all\n".repeat(lines), "x").unwrap_err();
        assert_eq!(errors.errors().len(), 20);
        assert_eq!(errors.to_string().lines().count(), 20 + usize::from(errors.more() > 0));
        (errors.more(), errors.to_string().lines().last().unwrap().to_owned())
    };
    assert_eq!(more(20).0, 0);
    assert_eq!(more(21), (1, "x: 1 more line is malformed".to_owned()));
    assert_eq!(more(10_000), (9_980, "x: 9980 more lines are malformed".to_owned()));
}

#[test]
fn the_error_of_a_very_long_line_is_short() {
    let errors = AccessList::parse(&"x".repeat(1_000_000), "x").unwrap_err();
    assert!(errors.to_string().len() < 300);
}

#[test]
fn a_carriage_return_inside_a_line_is_refused() {
    let errors = AccessList::parse("# closed\r::/0 deny 0.0.0.0/0\r", "x").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "x:1: there is a carriage return inside the line; end lines with line feeds"
    );
}

#[test]
fn an_error_escapes_the_control_characters_of_the_text() {
    let errors = AccessList::parse("\u{feff}::/0 deny 0.0.0.0/0\n::/0 \x1b[31m", "x").unwrap_err();
    let shown = errors.to_string();
    assert!(shown.contains(r#""\u{feff}::/0""#) && shown.contains(r#""\u{1b}[31m""#), "{shown}");
}
