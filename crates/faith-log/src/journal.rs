//! Entries of the journal (systemd.io/JOURNAL_NATIVE_PROTOCOL): a field a line, `NAME=value`. A value with a line feed
//! follows its name and its length instead.

use std::fmt::{Display, Write as _};

use crate::entry::Entry;
use crate::flat;
use crate::format::Formatter;

/// The longest name of a field (sd_journal_send(3)).
const LONGEST: usize = 64;

/// Appends an entry.
pub(crate) fn entry(out: &mut Vec<u8>, formatter: &mut Formatter, entry: &Entry) {
    let message = formatter.message(entry);
    let severity = entry.level().severity();
    out.extend_from_slice(b"SYSLOG_IDENTIFIER=faithd\nPRIORITY=");
    out.push(b'0' + severity);
    out.push(b'\n');
    field(out, "MESSAGE", message);
    if let Some(kind) = flat::kind(entry) {
        field(out, "FAITHD_RECORD", kind);
    }
    let rule = entry.rule();
    let (mut name, mut value) = (String::new(), String::new());
    flat::facts(entry, rule.as_ref(), &mut |fact: &str, shown: &dyn Display| {
        name_of(&mut name, fact);
        value.clear();
        // Writing to a string cannot fail.
        let _ = write!(value, "{shown}");
        field(out, &name, &value);
    });
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// Makes `FAITHD_BYTES_UP` of `bytesUp`.
fn name_of(out: &mut String, fact: &str) {
    out.clear();
    out.push_str("FAITHD_");
    for character in fact.chars() {
        if character.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' });
    }
    out.truncate(LONGEST);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faith_relay::SessionRecord;

    use super::*;
    use crate::format::Form;
    use crate::level::Level;
    use crate::samples;
    use crate::shown::Shown;

    fn shown(form: Form, of: &Entry) -> Vec<u8> {
        let mut out = Vec::new();
        let mut formatter = Formatter::default();
        formatter.form = form;
        entry(&mut out, &mut formatter, of);
        out
    }

    #[test]
    fn with_json_the_message_is_the_object() {
        let text =
            String::from_utf8(shown(Form::Json, &Entry::Session(samples::session(), Shown::ALL))).unwrap();
        let message = text.lines().find_map(|line| line.strip_prefix("MESSAGE=")).unwrap();
        assert!(message.starts_with(r#"{"level":"info","time":"2026-"#) && message.ends_with(", closed\"}"));
    }

    #[test]
    fn a_session_has_its_facts_as_fields() {
        let text =
            String::from_utf8(shown(Form::Text, &Entry::Session(samples::session(), Shown::ALL))).unwrap();
        let expected = [
            "SYSLOG_IDENTIFIER=faithd",
            "PRIORITY=6",
            "MESSAGE=[2001:db8::1]:40000 to [64:ff9b::c633:6402]:80 (198.51.100.2): 12 bytes up, 17 down in 1.500 s, closed",
            "FAITHD_RECORD=session",
            "FAITHD_ID=7",
            "FAITHD_PROTOCOL=tcp",
            "FAITHD_CLIENT=2001:db8::1",
            "FAITHD_CLIENT_PORT=40000",
            "FAITHD_DESTINATION=64:ff9b::c633:6402",
            "FAITHD_DESTINATION_PORT=80",
            "FAITHD_SERVER=198.51.100.2",
            "FAITHD_SERVER_PORT=80",
            "FAITHD_REASON=closed",
            "FAITHD_BYTES_UP=12",
            "FAITHD_BYTES_DOWN=17",
            "FAITHD_STARTED_AT=2026-11-30T13:03:07.123Z",
            "FAITHD_DURATION_MS=1500.250",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_value_with_a_line_feed_has_its_length() {
        let said = Entry::Said {
            time: samples::session().started,
            level: Level::Fatal,
            facts: r#"{"code":"E\nF","list":["a","b"],"on":true}"#.to_owned(),
            message: "a\nb".to_owned(),
        };
        let expected = b"SYSLOG_IDENTIFIER=faithd\nPRIORITY=2\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\
            FAITHD_CODE\n\x03\0\0\0\0\0\0\0E\nF\nFAITHD_LIST=[\"a\",\"b\"]\nFAITHD_ON=true\n";
        assert_eq!(shown(Form::Text, &said), expected);
    }

    #[test]
    fn a_tag_cannot_forge_a_field() {
        let tag = Some(Arc::from("x\nFAITHD_CLIENT=::1"));
        let bytes =
            shown(Form::Text, &Entry::Session(SessionRecord { tag, ..samples::session() }, Shown::ALL));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("FAITHD_TAG\n\u{13}\0\0\0\0\0\0\0x\nFAITHD_CLIENT=::1\n"), "{text:?}");
        assert!(text.contains("MESSAGE=[2001"));
    }
}
