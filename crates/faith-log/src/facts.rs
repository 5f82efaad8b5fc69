//! Records as objects of JSON.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use faith_packet::access::WrittenRule;
use faith_relay::{RefusalRecord, SessionBegin, SessionRecord};
use faith_stack::errno_name;

use crate::calendar;
use crate::json::{self, Object};
use crate::sums::Sum;

pub(crate) fn session(out: &mut String, record: &SessionRecord) {
    let mut object = Object::begin(out);
    object.plain("id", record.id);
    ends(&mut object, record.client.into(), record.destination.into(), record.server);
    object.plain("bytesUp", record.bytes_up);
    object.plain("bytesDown", record.bytes_down);
    times(&mut object, record.started, record.duration);
    object.word("reason", record.reason);
    if let Some(cause) = record.cause {
        object.word("cause", cause.name());
    }
    tag(&mut object, record.tag.as_deref());
    object.end();
}

pub(crate) fn refusal(out: &mut String, record: &RefusalRecord, rule: Option<&WrittenRule>) {
    let mut object = Object::begin(out);
    object.plain("id", record.id);
    ends(&mut object, record.client.into(), record.destination.into(), record.server);
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
    tag(&mut object, record.tag.as_deref());
    object.end();
}

pub(crate) fn begin(out: &mut String, session: &SessionBegin) {
    let mut object = Object::begin(out);
    object.plain("id", session.id);
    ends(&mut object, session.client.into(), session.destination.into(), session.server);
    tag(&mut object, session.tag.as_deref());
    object.end();
}

fn ends(object: &mut Object<'_>, client: SocketAddr, destination: SocketAddr, server: Option<SocketAddr>) {
    let known = [("client", Some(client)), ("destination", Some(destination)), ("server", server)];
    for (name, end) in known.into_iter().filter_map(|(name, end)| Some((name, end?))) {
        let mut endpoint = Object::begin(object.field(name));
        endpoint.word("address", end.ip());
        endpoint.plain("port", end.port());
        endpoint.end();
    }
}

fn times(object: &mut Object<'_>, started: SystemTime, duration: Duration) {
    let at = object.field("startedAt");
    at.push('"');
    calendar::utc(at, started);
    at.push('"');
    let microseconds = duration.as_micros();
    object.plain("durationMs", format_args!("{}.{:03}", microseconds / 1000, microseconds % 1000));
}

fn tag(object: &mut Object<'_>, tag: Option<&str>) {
    if let Some(tag) = tag {
        json::text(object.field("tag"), tag);
    }
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
