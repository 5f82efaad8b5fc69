//! Any text is a list or an error that names exactly its malformed lines.

use faith_packet::access::{AccessList, Rule, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::strategy::rule;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

/// Words that belong in a line, and some that do not.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "::/0",
        "2001:db8::/32",
        "2001:db8::1/32",
        "permit",
        "DENY",
        "port",
        "udp",
        "icmp",
        "25,80-90",
        "0",
        "0.0.0.0/0",
        "1.1.1.1",
        "1.1.1.1/8",
        "#",
        "192.0.2.1",
    ];
    prop_oneof![12 => select(words.to_vec()).prop_map(String::from), 1 => "\\PC{0,6}"]
}

fn line() -> impl Strategy<Value = String> {
    let sound = (select(vec!["", "# ", " "]), rule(), select(vec!["", " # comment", "\t"]))
        .prop_map(|(before, rule, behind)| format!("{before}{rule}{behind}"));
    prop_oneof![3 => sound, 1 => vec(word(), 0..7).prop_map(|words| words.join(" "))]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_list_is_read_back_as_it_is_shown(rules in vec(rule(), 0..20)) {
        let text: Vec<String> = rules.iter().map(ToString::to_string).collect();
        prop_assert_eq!(parse(&text.join("\n"), "list"), Ok(rules));
    }

    #[test]
    fn a_text_of_lines_is_its_rules_or_its_malformed_lines(
        lines in vec(line(), 0..60),
        end in select(vec!["\n", "\r\n"]),
    ) {
        let expected: Vec<Result<Rule, usize>> = (1..)
            .zip(&lines)
            .map(|(number, line)| (number, line.split('#').next().unwrap()))
            .filter(|(_, rule)| !rule.trim_matches([' ', '\t']).is_empty())
            .map(|(number, rule)| rule.parse().map_err(|_| number))
            .collect();
        let text: String = lines.iter().flat_map(|line| [line, end]).collect();
        match AccessList::parse(&text, "list") {
            Ok(list) => {
                prop_assert_eq!(list.rules().iter().cloned().map(Ok).collect::<Vec<_>>(), expected);
            }
            Err(errors) => {
                let malformed: Vec<usize> = expected.into_iter().filter_map(Result::err).collect();
                let reported: Vec<usize> = errors.errors().iter().map(|error| error.line).collect();
                prop_assert_eq!(&reported[..], &malformed[..malformed.len().min(20)]);
                prop_assert_eq!(errors.more(), malformed.len() - reported.len());
            }
        }
    }

    #[test]
    fn any_text_is_a_list_or_an_error(text in any::<String>()) {
        if let Err(errors) = AccessList::parse(&text, "list") {
            prop_assert!(!errors.errors().is_empty());
            prop_assert!(errors.to_string().len() < 20 * 900);
        }
    }
}
