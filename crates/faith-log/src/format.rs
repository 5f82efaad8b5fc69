//! Lines of text and of JSON.

use std::fmt::Write as _;

use faith_packet::access::WrittenRule;
use faith_sys::zone;

use crate::calendar;
use crate::entry::Entry;
use crate::facts;
use crate::json::Object;
use crate::message;

/// The form of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `[2026-11-29 14:03:07.123+01:00] INFO: message`, in local time.
    #[default]
    Text,
    /// The same with the level in colour.
    ColouredText,
    /// `{"level":"info","time":"2026-11-29T13:03:07.123Z",…,"msg":"message"}`, with the facts as fields.
    Json,
}

/// Writes lines. Dates change once a second, so it keeps the last one.
#[derive(Debug, Default)]
pub(crate) struct Formatter {
    pub(crate) form: Form,
    /// The form and the second of the date.
    dated: Option<(Form, i64)>,
    date: String,
    zone: String,
    message: String,
    whole: String,
}

impl Formatter {
    /// Adds a line with its time, its level and its line feed.
    pub(crate) fn line(&mut self, out: &mut String, entry: &Entry) {
        let (second, millisecond) = calendar::split(entry.time());
        self.date(second);
        let level = entry.level();
        match self.form {
            Form::Text | Form::ColouredText => {
                out.push('[');
                out.push_str(&self.date);
                calendar::fraction(out, millisecond);
                out.push_str(&self.zone);
                out.push_str("] ");
                if self.form == Form::ColouredText {
                    let _ = write!(out, "\u{1b}[{}m{}\u{1b}[0m", level.colour(), level.capitals());
                } else {
                    out.push_str(level.capitals());
                }
                out.push_str(": ");
                sentence(out, entry, entry.rule().as_ref());
            }
            Form::Json => {
                let rule = entry.rule();
                let mut object = Object::begin(out);
                object.word("level", level.name());
                let at = object.field("time");
                at.push('"');
                at.push_str(&self.date);
                calendar::fraction(at, millisecond);
                at.push_str("Z\"");
                fields(&mut object, entry, rule.as_ref());
                self.message.clear();
                sentence(&mut self.message, entry, rule.as_ref());
                object.text("msg", &self.message);
                object.end();
            }
        }
        out.push('\n');
    }

    /// The line for an envelope that has the time and the level already: the sentence, or the object of JSON.
    pub(crate) fn message(&mut self, entry: &Entry) -> &str {
        let mut line = std::mem::take(&mut self.whole);
        line.clear();
        if self.form == Form::Json {
            self.line(&mut line, entry);
            line.pop();
        } else {
            sentence(&mut line, entry, entry.rule().as_ref());
        }
        self.whole = line;
        &self.whole
    }

    /// Brings the date up to date.
    fn date(&mut self, second: i64) {
        if self.dated.replace((self.form, second)) == Some((self.form, second)) {
            return;
        }
        self.date.clear();
        self.zone.clear();
        if self.form == Form::Json {
            calendar::date_and_time(&mut self.date, second, 'T');
        } else {
            let east = zone::offset(second);
            calendar::date_and_time(&mut self.date, second + i64::from(east), ' ');
            calendar::zone(&mut self.zone, east);
        }
    }
}

fn sentence(out: &mut String, entry: &Entry, rule: Option<&WrittenRule>) {
    match entry {
        Entry::Said { message, .. } => out.push_str(message),
        Entry::Session(record, shown) => message::session(out, record, *shown),
        Entry::Refusal(record, shown) => message::refusal(out, record, *shown, rule),
        Entry::Begin { session, shown, .. } => message::begin(out, session, *shown),
        Entry::PortBlock(block) => message::port_block(out, block),
        Entry::Sum { sum, interval, .. } => message::sum(out, sum, *interval),
    }
}

fn fields(object: &mut Object<'_>, entry: &Entry, rule: Option<&WrittenRule>) {
    match entry {
        Entry::Said { facts, .. } => object.fields_of(facts),
        Entry::Session(record, shown) => facts::session(object.field("session"), record, *shown),
        Entry::Refusal(record, shown) => facts::refusal(object.field("refusal"), record, *shown, rule),
        Entry::Begin { session, shown, .. } => facts::begin(object.field("begin"), session, *shown),
        Entry::PortBlock(block) => facts::port_block(object.field("portBlock"), block),
        Entry::Sum { sum, interval, .. } => {
            facts::sum(object.field("untold"), sum);
            object.plain("intervalMs", interval.as_millis());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::time::Duration;

    use faith_relay::{
        Cause, PortBlockRecord, RefusalReason, RefusalRecord, SessionBegin, SessionEnd, SessionRecord,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::level::Level;
    use crate::samples;
    use crate::shown::Shown;

    fn shown(form: Form, entry: &Entry) -> String {
        let mut out = String::new();
        let mut formatter = Formatter { form, ..Formatter::default() };
        formatter.line(&mut out, entry);
        out
    }

    fn said(facts: &str, message: &str) -> Entry {
        let time = samples::session().started;
        Entry::Said { time, level: Level::Warn, facts: facts.to_owned(), message: message.to_owned() }
    }

    /// The sentence of a line of text.
    fn sentence_of(entry: &Entry) -> String {
        let shown = shown(Form::Text, entry);
        shown.split_once("] INFO: ").unwrap().1.trim_end_matches('\n').to_owned()
    }

    const ENDS: &str = "[2001:db8::1]:40000 to [64:ff9b::c633:6402]:80";

    #[test]
    fn a_line_of_text_has_the_local_time_with_its_zone() {
        let started = samples::session().started;
        let said = |form| shown(form, &said("{}", "two rules"));
        let mut stamp = String::new();
        let east = zone::offset(calendar::split(started).0);
        calendar::date_and_time(&mut stamp, calendar::split(started).0 + i64::from(east), ' ');
        stamp.push_str(".123");
        calendar::zone(&mut stamp, east);
        assert_eq!(said(Form::Text), format!("[{stamp}] WARN: two rules\n"));
        assert_eq!(said(Form::ColouredText), format!("[{stamp}] \u{1b}[33mWARN\u{1b}[0m: two rules\n"));
    }

    #[test]
    fn a_line_of_json_has_the_facts_as_fields() {
        let said = said(r#"{"rules":2}"#, "\"two\" rules");
        assert_eq!(
            shown(Form::Json, &said),
            concat!(
                r#"{"level":"warn","time":"2026-11-30T13:03:07.123Z","rules":2,"msg":"\"two\" rules"}"#,
                "\n"
            )
        );
        let session = SessionRecord {
            tag: Some(Arc::from("a \"b\"")),
            name: Some(Arc::from("www.example.net")),
            ..samples::session()
        };
        assert_eq!(
            shown(Form::Json, &Entry::Session(session.clone(), Shown::ALL)),
            concat!(
                r#"{"level":"info","time":"2026-11-30T13:03:08.623Z","session":{"id":7,"protocol":"tcp","#,
                r#""client":{"address":"2001:db8::1","port":40000},"#,
                r#""destination":{"address":"64:ff9b::c633:6402","port":80},"#,
                r#""server":{"address":"198.51.100.2","port":80},"bytesUp":12,"bytesDown":17,"#,
                r#""startedAt":"2026-11-30T13:03:07.123Z","durationMs":1500.250,"reason":"closed","#,
                r#""name":"www.example.net","tag":"a \"b\""},"msg":"[2001:db8::1]:40000 to [64:ff9b::c633:6402]:80 (198.51.100.2): "#,
                r#"12 bytes up, 17 down in 1.500 s, closed, name www.example.net, tag a \"b\""}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_session_says_its_bytes_its_time_and_the_word_for_its_end() {
        let session = samples::session();
        let text = format!("{ENDS} (198.51.100.2): 12 bytes up, 17 down in 1.500 s, closed");
        assert_eq!(sentence_of(&Entry::Session(session.clone(), Shown::ALL)), text);
        let (reason, cause) = (SessionEnd::Aborted, Some(Cause::EndDenied));
        let aborted = SessionRecord { bytes_up: 1, reason, cause, server: None, ..session };
        let text = format!("{ENDS}: 1 byte up, 17 down in 1.500 s, end-denied");
        assert_eq!(sentence_of(&Entry::Session(aborted, Shown::ALL)), text);
    }

    #[test]
    fn the_port_of_the_server_is_named_only_if_it_differs() {
        let of = |server: &str| {
            let session = SessionRecord { server: server.parse().ok(), ..samples::session() };
            let sentence = sentence_of(&Entry::Session(session.clone(), Shown::ALL));
            sentence[ENDS.len()..].split_once(": ").unwrap().0.to_owned()
        };
        assert_eq!(of("198.51.100.2:8080"), " (198.51.100.2:8080)");
        assert_eq!(of("[2001:db8:3::2]:80"), " (2001:db8:3::2)");
        assert_eq!(of("[2001:db8:3::2]:81"), " ([2001:db8:3::2]:81)");
    }

    #[test]
    fn a_refusal_says_why_in_a_word_that_tells_apart() {
        const EPERM: i32 = 1;
        const ECONNREFUSED: i32 = 111;
        const EHOSTUNREACH: i32 = 113;
        let why = |reason, cause, errno| {
            let refusal = RefusalRecord { reason, cause, errno, ..samples::refusal() };
            let sentence = sentence_of(&Entry::Refusal(refusal, Shown::ALL));
            sentence.split_once("no session after 0.003 s, ").unwrap().1.to_owned()
        };
        assert_eq!(why(RefusalReason::Refused, None, Some(ECONNREFUSED)), "refused");
        assert_eq!(why(RefusalReason::Unreachable, None, Some(EHOSTUNREACH)), "unreachable (EHOSTUNREACH)");
        let cause = Some(Cause::ProhibitedByHost);
        assert_eq!(why(RefusalReason::Denied, cause, Some(EPERM)), "prohibited-by-host (EPERM)");
        let cause = Some(Cause::MaxRatePerClient);
        assert_eq!(why(RefusalReason::Limit, cause, None), "max-rate-per-client");
    }

    #[test]
    fn a_denied_connection_names_the_file_and_line_of_its_rule() {
        let refusal = RefusalRecord {
            reason: RefusalReason::Denied,
            cause: Some(Cause::DeniedByRule),
            ..samples::refusal()
        };
        let shown = |line, file: Option<&str>| {
            let rule =
                WrittenRule { text: "::/0 deny 10.0.0.0/8".to_owned(), line, file: file.map(Arc::from) };
            let (mut message, mut object) = (String::new(), String::new());
            message::refusal(&mut message, &refusal, Shown::ALL, Some(&rule));
            facts::refusal(&mut object, &refusal, Shown::ALL, Some(&rule));
            (
                message.split_once(" s, ").unwrap().1.to_owned(),
                object.split_once("\"rule\":").unwrap().1.to_owned(),
            )
        };
        let (message, facts) = shown(Some(12), Some("/etc/faithd/faithd.conf"));
        assert_eq!(message, "denied-by-rule /etc/faithd/faithd.conf:12");
        assert_eq!(facts, r#"{"text":"::/0 deny 10.0.0.0/8","line":12,"file":"/etc/faithd/faithd.conf"}}"#);
        let (message, facts) = shown(Some(2), None);
        assert_eq!(message, "denied-by-rule (::/0 deny 10.0.0.0/8)");
        assert_eq!(facts, r#"{"text":"::/0 deny 10.0.0.0/8","line":2}}"#);
    }

    #[test]
    fn a_line_without_destination_has_the_source_and_nothing_of_the_server() {
        let shown_as = Shown { destination: false, source: true };
        let session = samples::session();
        let begin = SessionBegin {
            id: session.id,
            protocol: session.protocol,
            client: session.client,
            destination: session.destination,
            server: session.server,
            source: session.source,
            tag: None,
            name: None,
        };
        let refusal = RefusalRecord {
            reason: RefusalReason::Denied,
            cause: Some(Cause::DeniedByRule),
            ..samples::refusal()
        };
        let entries = [
            Entry::Session(session.clone(), shown_as),
            Entry::Begin { time: session.started, session: begin, shown: shown_as },
            Entry::Refusal(refusal, shown_as),
        ];
        assert_eq!(
            entries.each_ref().map(sentence_of),
            [
                "[2001:db8::1]:40000 from 198.51.100.1:45986: 12 bytes up, 17 down in 1.500 s, closed",
                "[2001:db8::1]:40000 from 198.51.100.1:45986: session begins",
                "[2001:db8::1]:40000: no session after 0.003 s, denied-by-rule",
            ]
        );
        for entry in &entries {
            let json = shown(Form::Json, entry);
            for word in ["destination", "server", "198.51.100.2", "c633:6402", "\"rule\""] {
                assert!(!json.contains(word), "{word}: {json}");
            }
        }
        let json = shown(Form::Json, &entries[0]);
        assert!(json.contains(r#""source":{"address":"198.51.100.1","port":45986}"#), "{json}");
        let all = Entry::Session(session, Shown { destination: true, source: true });
        let text = format!("{ENDS} (198.51.100.2) from 198.51.100.1:45986: 12 bytes up");
        assert!(sentence_of(&all).starts_with(&text));
    }

    #[test]
    fn a_port_block_has_a_line_when_it_is_assigned_and_when_it_is_released() {
        let assigned = samples::session().started;
        let block = PortBlockRecord {
            network: "2001:db8:1::".parse().unwrap(),
            prefix_length: 64,
            source: "198.51.100.1".parse().unwrap(),
            first: 1024,
            last: 1535,
            assigned,
            released: None,
        };
        let released = PortBlockRecord { released: Some(assigned + Duration::from_secs(90)), ..block };
        assert_eq!(
            [block, released].map(|block| sentence_of(&Entry::PortBlock(block))),
            [
                "2001:db8:1::/64 has ports 1024-1535 of 198.51.100.1",
                "2001:db8:1::/64 gave back ports 1024-1535 of 198.51.100.1 after 90.000 s",
            ]
        );
        assert!(shown(Form::Json, &Entry::PortBlock(released)).contains(concat!(
            r#""portBlock":{"network":"2001:db8:1::/64","source":"198.51.100.1","first":1024,"last":1535,"#,
            r#""assignedAt":"2026-11-30T13:03:07.123Z","releasedAt":"2026-11-30T13:04:37.123Z"},"msg":"#,
        )));
    }

    #[test]
    fn lost_lines_are_a_number_in_json_too() {
        let lost = shown(Form::Json, &Entry::lost(4900, "its reader did not keep up"));
        assert!(lost.ends_with(
            "\"lost\":4900,\"msg\":\"4900 lines of this log were lost: its reader did not keep up\"}\n"
        ));
        assert!(lost.starts_with("{\"level\":\"error\","));
    }

    proptest! {
        #[test]
        fn a_record_is_one_line_whatever_its_tag(tag in any::<String>()) {
            let session = SessionRecord { tag: Some(tag.into()), ..samples::session() };
            for form in [Form::Text, Form::Json] {
                let line = shown(form, &Entry::Session(session.clone(), Shown::ALL));
                let controls = line.chars().filter(|character| character.is_control()).count();
                prop_assert!(line.ends_with('\n') && (form == Form::Json || controls == 1), "{line:?}");
                prop_assert_eq!(line.lines().count(), 1);
            }
        }
    }
}
