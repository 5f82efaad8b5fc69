//! Messages of syslog (RFC 5424).
//!
//! Facts are structured data. RFC 5424 section 6.3.2 allows two forms of names for it: those that IANA has registered, and
//! `name@number` with the private enterprise number of the organisation that defines the name. faithd has no such number, and 32473 is
//! for documents alone (RFC 5612). So the operator gives the network's own number, under which the facts are sent as
//! `[faithd@number …]`. The registered `[meta sequenceId="…"]` is always there: it shows receivers what UDP has lost.

use std::fmt::{Display, Write as _};

use crate::calendar;
use crate::entry::Entry;
use crate::flat;
use crate::format::Formatter;
use crate::message;

/// Every receiver should take messages of this length in bytes (RFC 5424 section 6.1; RFC 5426 section 3.2).
const LONGEST: usize = 2048;

/// The part of it that structured data may take, so that there is room for the sentence.
const LONGEST_FACTS: usize = 1400;

/// The longest name of a host (RFC 5424 section 6).
const LONGEST_HOST: usize = 255;

/// The part of messages that is always the same.
#[derive(Debug)]
pub(crate) struct Origin {
    facility: u8,
    enterprise: Option<u32>,
    /// The name of this host, or `-`.
    host: String,
    sequence: u32,
}

impl Origin {
    pub(crate) fn new(facility: u8, enterprise: Option<u32>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut host: String =
            host.trim().chars().filter(char::is_ascii_graphic).take(LONGEST_HOST).collect();
        if host.is_empty() {
            host.push('-');
        }
        Self { facility, enterprise, host, sequence: 0 }
    }

    /// Appends a message.
    pub(crate) fn entry(&mut self, out: &mut Vec<u8>, formatter: &mut Formatter, entry: &Entry) {
        // The number follows its largest value by 1 (RFC 5424 section 7.3.1).
        self.sequence = if self.sequence == 0x7fff_ffff { 1 } else { self.sequence + 1 };
        let Self { facility, enterprise, host, sequence } = self;
        let mut text = String::new();
        let priority = u32::from(*facility) * 8 + u32::from(entry.level().severity());
        add(&mut text, format_args!("<{priority}>1 "));
        calendar::utc(&mut text, entry.time());
        let kind = flat::kind(entry).unwrap_or("-");
        add(&mut text, format_args!(" {host} faithd {} {kind} ", std::process::id()));
        add(&mut text, format_args!("[meta sequenceId=\"{sequence}\"]"));
        if let Some(number) = enterprise {
            facts(&mut text, *number, entry);
        }
        text.push(' ');
        let start = text.len();
        message::one_line(&mut text, formatter.message(entry));
        if !text.get(start..).is_some_and(str::is_ascii) {
            // RFC 5424 section 6.4 marks UTF-8 so.
            text.insert(start, '\u{feff}');
        }
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends the facts that have room.
fn facts(text: &mut String, enterprise: u32, entry: &Entry) {
    let start = text.len();
    add(text, format_args!("[faithd@{enterprise}"));
    let empty = text.len();
    let (mut value, mut plain) = (String::new(), String::new());
    flat::facts(entry, entry.rule().as_ref(), &mut |fact: &str, shown: &dyn Display| {
        value.clear();
        plain.clear();
        add(&mut value, shown);
        message::one_line(&mut plain, &value);
        let before = text.len();
        add(text, format_args!(" {fact}=\""));
        for character in plain.chars() {
            // RFC 5424 section 6.3.3.
            if matches!(character, '"' | '\\' | ']') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
        if text.len() > LONGEST_FACTS || !is_name(fact) {
            text.truncate(before);
        }
    });
    if text.len() == empty {
        text.truncate(start);
    } else {
        text.push(']');
    }
}

/// Tells whether structured data may have this name (RFC 5424 section 6: `SD-NAME`).
fn is_name(fact: &str) -> bool {
    (1..=32).contains(&fact.len())
        && fact.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"'))
}

fn add(out: &mut String, what: impl Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{what}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faith_relay::SessionRecord;
    use proptest::prelude::*;

    use super::*;
    use crate::level::Level;
    use crate::samples;
    use crate::shown::Shown;

    fn origin(enterprise: Option<u32>) -> Origin {
        Origin { host: "router".to_owned(), ..Origin::new(3, enterprise) }
    }

    fn shown(origin: &mut Origin, entry: &Entry) -> String {
        let mut out = Vec::new();
        origin.entry(&mut out, &mut Formatter::default(), entry);
        String::from_utf8(out).unwrap()
    }

    fn said(facts: &str, message: &str) -> Entry {
        let time = samples::session().started;
        Entry::Said { time, level: Level::Warn, facts: facts.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_message_has_its_header_and_its_number() {
        let mut origin = origin(None);
        origin.sequence = 0x7fff_fffe;
        let pid = std::process::id();
        let entry = Entry::Session(samples::session(), Shown::ALL);
        assert_eq!(
            shown(&mut origin, &entry),
            format!(
                "<30>1 2026-11-30T13:03:08.623Z router faithd {pid} session [meta sequenceId=\"2147483647\"] \
                 [2001:db8::1]:40000 to [64:ff9b::c633:6402]:80 (198.51.100.2): 12 bytes up, 17 down in 1.500 s, closed"
            )
        );
        assert_eq!(
            shown(&mut origin, &said("{}", "two\nlines, für")),
            format!(
                "<28>1 2026-11-30T13:03:07.123Z router faithd {pid} - [meta sequenceId=\"1\"] \u{feff}two\\nlines, für"
            )
        );
    }

    #[test]
    fn facts_are_structured_data_with_escapes() {
        let mut origin = origin(Some(32_473));
        let message = shown(&mut origin, &said(r#"{"code":"a\"b]c\\d","rules":2}"#, "rules"));
        assert!(message.ends_with(r#"[faithd@32473 code="a\"b\]c\\d" rules="2"] rules"#), "{message}");
        assert!(shown(&mut origin, &said("{}", "none")).ends_with("\"2\"] none"));
        let session = shown(&mut origin, &Entry::Session(samples::session(), Shown::ALL));
        let expected = r#"[faithd@32473 id="7" protocol="tcp" client="2001:db8::1" clientPort="40000" destination="64:ff9b::c633:6402" "#;
        assert!(session.contains(expected), "{session}");
    }

    /// Reads the structured data of a message by the grammar of RFC 5424, and returns its elements and the rest.
    fn structured(message: &str) -> (Vec<(String, String)>, &str) {
        let mut rest = message.splitn(7, ' ').nth(6).unwrap();
        let mut params = Vec::new();
        while let Some(element) = rest.strip_prefix('[') {
            let end = element.find([' ', ']']).unwrap();
            rest = &element[end..];
            while let Some(param) = rest.strip_prefix(' ') {
                let (name, quoted) = param.split_once("=\"").unwrap();
                let (mut value, mut characters) = (String::new(), quoted.char_indices());
                loop {
                    match characters.next().unwrap() {
                        (at, '"') => {
                            rest = &quoted[at + 1..];
                            break;
                        }
                        (_, '\\') => value.push(characters.next().unwrap().1),
                        (_, character) => {
                            assert_ne!(character, ']');
                            value.push(character);
                        }
                    }
                }
                params.push((name.to_owned(), value));
            }
            rest = rest.strip_prefix(']').unwrap();
        }
        (params, rest.strip_prefix(' ').unwrap())
    }

    proptest! {
        #[test]
        fn a_message_is_bounded_and_well_formed_whatever_its_tag(tag in "\\PC{0,30}|[\"\\\\\\]]{0,3000}|(.|\n){0,3000}") {
            let session = SessionRecord { tag: Some(Arc::from(&*tag)), ..samples::session() };
            let message = shown(&mut origin(Some(1)), &Entry::Session(session, Shown::ALL));
            prop_assert!(message.len() <= LONGEST);
            prop_assert!(!message.chars().any(char::is_control));
            let (params, rest) = structured(&message);
            let sentence = rest.trim_start_matches('\u{feff}');
            prop_assert!(sentence.starts_with("[2001:db8::1]:40000 to "));
            let value = params.iter().find(|(name, _)| name == "tag").map(|(_, value)| value.clone());
            let mut plain = String::new();
            message::one_line(&mut plain, &tag);
            prop_assert!(value.is_none_or(|value| value == plain));
        }
    }
}
