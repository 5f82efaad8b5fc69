//! Facts as names and values, for sinks that keep fields. The names are those of the JSON form, in one level.

use std::fmt::Display;
use std::net::SocketAddr;

use faith_packet::access::WrittenRule;
use faith_relay::{PortBlockRecord, RefusalRecord, SessionRecord};
use faith_stack::errno_name;

use crate::calendar;
use crate::entry::Entry;
use crate::json;
use crate::shown::Shown;

/// Gives the facts of an entry to `take`, the most important first.
pub(crate) fn facts(entry: &Entry, rule: Option<&WrittenRule>, take: &mut impl FnMut(&str, &dyn Display)) {
    match entry {
        Entry::Said { facts, .. } => {
            for (name, value) in json::fields(facts) {
                take(name, &json::plain_text(value));
            }
        }
        Entry::Session(record, shown) => session(record, *shown, take),
        Entry::Refusal(record, shown) => refusal(record, *shown, rule, take),
        Entry::PortBlock(block) => port_block(block, take),
        Entry::Begin { session, shown, .. } => {
            take("id", &session.id);
            take("protocol", &session.protocol);
            take_end("client", session.client.into(), take);
            if shown.destination {
                destination(session.destination.into(), session.server, take);
            }
            source(session.source.filter(|_| shown.source), take);
            mark("name", session.name.as_deref(), *shown, take);
            mark("tag", session.tag.as_deref(), *shown, take);
        }
        Entry::Sum { sum, interval, .. } => {
            if let Some(network) = &sum.network {
                take("network", network);
            }
            take("untold", &sum.count());
            take("intervalMs", &interval.as_millis());
        }
    }
}

/// The kind of an entry in a word; `None` for sentences of JavaScript.
pub(crate) fn kind(entry: &Entry) -> Option<&'static str> {
    match entry {
        Entry::Said { .. } => None,
        Entry::Session(..) => Some("session"),
        Entry::Refusal(..) => Some("refusal"),
        Entry::PortBlock(_) => Some("portBlock"),
        Entry::Begin { .. } => Some("begin"),
        Entry::Sum { .. } => Some("untold"),
    }
}

fn session(record: &SessionRecord, shown: Shown, take: &mut impl FnMut(&str, &dyn Display)) {
    take("id", &record.id);
    take("protocol", &record.protocol);
    take_end("client", record.client.into(), take);
    if shown.destination {
        destination(record.destination.into(), record.server, take);
    }
    source(record.source.filter(|_| shown.source), take);
    take("reason", &record.reason);
    if let Some(cause) = record.cause {
        take("cause", &cause.name());
    }
    take("bytesUp", &record.bytes_up);
    take("bytesDown", &record.bytes_down);
    times(record.started, record.duration, take);
    mark("name", record.name.as_deref(), shown, take);
    mark("tag", record.tag.as_deref(), shown, take);
}

fn refusal(
    record: &RefusalRecord,
    shown: Shown,
    rule: Option<&WrittenRule>,
    take: &mut impl FnMut(&str, &dyn Display),
) {
    take("id", &record.id);
    take("protocol", &record.protocol);
    take_end("client", record.client.into(), take);
    if shown.destination {
        destination(record.destination.into(), record.server, take);
    }
    take("reason", &record.reason);
    if let Some(cause) = record.cause {
        take("cause", &cause.name());
    }
    if let Some(code) = record.errno.and_then(errno_name) {
        take("code", &code);
    }
    if let Some(WrittenRule { text, line, file }) = rule {
        take("rule", text);
        if let Some(file) = file {
            take("ruleFile", file);
        }
        if let Some(line) = line {
            take("ruleLine", line);
        }
    }
    times(record.started, record.duration, take);
    mark("tag", record.tag.as_deref(), shown, take);
}

fn destination(dialled: SocketAddr, server: Option<SocketAddr>, take: &mut impl FnMut(&str, &dyn Display)) {
    take_end("destination", dialled, take);
    if let Some(server) = server {
        take_end("server", server, take);
    }
}

fn source(source: Option<SocketAddr>, take: &mut impl FnMut(&str, &dyn Display)) {
    if let Some(source) = source {
        take_end("source", source, take);
    }
}

fn take_end(name: &str, end: SocketAddr, take: &mut impl FnMut(&str, &dyn Display)) {
    take(name, &end.ip());
    take(&format!("{name}Port"), &end.port());
}

fn port_block(block: &PortBlockRecord, take: &mut impl FnMut(&str, &dyn Display)) {
    take("network", &format_args!("{}/{}", block.network, block.prefix_length));
    take("source", &block.source);
    take("firstPort", &block.first);
    take("lastPort", &block.last);
    time("assignedAt", block.assigned, take);
    if let Some(released) = block.released {
        time("releasedAt", released, take);
    }
}

fn time(name: &str, time: std::time::SystemTime, take: &mut impl FnMut(&str, &dyn Display)) {
    let mut at = String::new();
    calendar::utc(&mut at, time);
    take(name, &at);
}

fn times(
    started: std::time::SystemTime,
    duration: std::time::Duration,
    take: &mut impl FnMut(&str, &dyn Display),
) {
    time("startedAt", started, take);
    let microseconds = duration.as_micros();
    take("durationMs", &format_args!("{}.{:03}", microseconds / 1000, microseconds % 1000));
}

fn mark(what: &str, mark: Option<&str>, shown: Shown, take: &mut impl FnMut(&str, &dyn Display)) {
    if let Some(mark) = mark.filter(|_| shown.destination) {
        take(what, &mark);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::samples;

    #[test]
    fn the_facts_of_a_line_without_destination_have_the_source_and_nothing_of_the_server() {
        let shown = Shown { destination: false, source: true };
        let tag = Some(Arc::from("ftp"));
        let name = Some(Arc::from("www.example.net"));
        let session = SessionRecord { tag: tag.clone(), name, ..samples::session() };
        let refusal = RefusalRecord { tag, ..samples::refusal() };
        let entries = [Entry::Session(session, shown), Entry::Refusal(refusal, shown)];
        for entry in entries {
            let mut names = Vec::new();
            let mut take = |name: &str, value: &dyn Display| {
                let value = value.to_string();
                assert!(!value.contains("198.51.100.2") && !value.contains("c633:6402"), "{name}: {value}");
                names.push(name.to_owned());
            };
            facts(&entry, entry.rule().as_ref(), &mut take);
            let has = |name: &str| names.iter().any(|known| known == name);
            assert!(has("client") && !has("destination") && !has("server"), "{names:?}");
            assert!(!has("tag") && !has("name"), "{names:?}");
            assert_eq!(has("sourcePort"), matches!(entry, Entry::Session(..)));
        }
    }
}
