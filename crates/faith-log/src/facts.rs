//! Records as objects of JSON.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, SystemTime};

use faith_packet::access::WrittenRule;
use faith_relay::{PortBlockRecord, RefusalRecord, SessionBegin, SessionRecord};
use faith_stack::errno_name;

use crate::calendar;
use crate::ipfix::Loss;
use crate::json::{self, Object};
use crate::shown::Shown;
use crate::sums::Sum;

pub(crate) fn session(out: &mut String, record: &SessionRecord, shown: Shown) {
    let mut object = Object::begin(out);
    object.plain("id", record.id);
    object.word("protocol", record.protocol);
    ends(&mut object, shown, &record.client, &record.destination, record.server, record.source);
    object.plain("bytesUp", record.bytes_up);
    object.plain("bytesDown", record.bytes_down);
    times(&mut object, record.started, record.duration);
    object.word("reason", record.reason);
    if let Some(cause) = record.cause {
        object.word("cause", cause.name());
    }
    mark(&mut object, "name", record.name.as_deref(), shown);
    mark(&mut object, "tag", record.tag.as_deref(), shown);
    object.end();
}

pub(crate) fn refusal(out: &mut String, record: &RefusalRecord, shown: Shown, rule: Option<&WrittenRule>) {
    let mut object = Object::begin(out);
    object.plain("id", record.id);
    object.word("protocol", record.protocol);
    ends(&mut object, shown, &record.client, &record.destination, record.server, None);
    times(&mut object, record.started, record.duration);
    object.word("reason", record.reason);
    if let Some(cause) = record.cause {
        object.word("cause", cause.name());
    }
    if let Some(WrittenRule { text, line, file }) = rule {
        let mut rule = Object::begin(object.field("rule"));
        rule.text("text", text);
        if let Some(line) = line {
            rule.plain("line", line);
        }
        if let Some(file) = file {
            rule.text("file", file);
        }
        rule.end();
    }
    if let Some(code) = record.errno.and_then(errno_name) {
        object.word("code", code);
    }
    mark(&mut object, "tag", record.tag.as_deref(), shown);
    object.end();
}

pub(crate) fn begin(out: &mut String, session: &SessionBegin, shown: Shown) {
    let mut object = Object::begin(out);
    object.plain("id", session.id);
    object.word("protocol", session.protocol);
    ends(&mut object, shown, &session.client, &session.destination, session.server, session.source);
    mark(&mut object, "name", session.name.as_deref(), shown);
    mark(&mut object, "tag", session.tag.as_deref(), shown);
    object.end();
}

pub(crate) fn port_block(out: &mut String, block: &PortBlockRecord) {
    let mut object = Object::begin(out);
    object.word("network", format_args!("{}/{}", block.network, block.prefix_length));
    object.word("source", block.source);
    object.plain("first", block.first);
    object.plain("last", block.last);
    time(&mut object, "assignedAt", block.assigned);
    if let Some(released) = block.released {
        time(&mut object, "releasedAt", released);
    }
    object.end();
}

fn ends(
    object: &mut Object<'_>,
    shown: Shown,
    client: &SocketAddrV6,
    destination: &SocketAddrV6,
    server: Option<SocketAddr>,
    source: Option<SocketAddr>,
) {
    let known = [
        ("client", Some(SocketAddr::V6(*client))),
        ("destination", Some(SocketAddr::V6(*destination)).filter(|_| shown.destination)),
        ("server", server.filter(|_| shown.destination)),
        ("source", source.filter(|_| shown.source)),
    ];
    for (name, end) in known.into_iter().filter_map(|(name, end)| Some((name, end?))) {
        let mut endpoint = Object::begin(object.field(name));
        endpoint.word("address", end.ip());
        endpoint.plain("port", end.port());
        endpoint.end();
    }
}

fn times(object: &mut Object<'_>, started: SystemTime, duration: Duration) {
    time(object, "startedAt", started);
    let microseconds = duration.as_micros();
    object.plain("durationMs", format_args!("{}.{:03}", microseconds / 1000, microseconds % 1000));
}

fn time(object: &mut Object<'_>, name: &str, time: SystemTime) {
    let at = object.field(name);
    at.push('"');
    calendar::utc(at, time);
    at.push('"');
}

fn mark(object: &mut Object<'_>, what: &str, mark: Option<&str>, shown: Shown) {
    if let Some(mark) = mark.filter(|_| shown.destination) {
        json::text(object.field(what), mark);
    }
}

pub(crate) fn unexported(out: &mut String, loss: &Loss) {
    let mut object = Object::begin(out);
    object.word("collector", loss.collector);
    object.plain("records", loss.records);
    if let Some(error) = &loss.error {
        object.text("error", error);
    }
    object.end();
}

pub(crate) fn sum(out: &mut String, sum: &Sum) {
    let mut object = Object::begin(out);
    if let Some(network) = sum.network {
        object.word("network", network);
    }
    let mut refused = Object::begin(object.field("refused"));
    for (word, count) in sum.words() {
        refused.plain(word, count);
    }
    refused.end();
    object.end();
}
