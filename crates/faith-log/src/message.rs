//! The sentences of records.

use std::fmt::{Display, Write as _};
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use faith_packet::access::WrittenRule;
use faith_relay::{
    Cause, PortBlockRecord, Protocol, RefusalReason, RefusalRecord, SessionBegin, SessionRecord,
};
use faith_stack::errno_name;

use crate::ipfix::Loss;
use crate::shown::Shown;
use crate::sums::Sum;

/// Writes `[client]:port to [destination]:port (server): 12 bytes up, 17 down in 1.500 s, closed`.
pub(crate) fn session(out: &mut String, record: &SessionRecord, shown: Shown) {
    protocol(out, record.protocol);
    client(out, &record.client);
    if shown.destination {
        to(out, &record.destination, record.server);
    }
    from(out, record.source.filter(|_| shown.source));
    let SessionRecord { bytes_up, bytes_down, reason, cause, .. } = record;
    let bytes = if *bytes_up == 1 { "byte" } else { "bytes" };
    add(out, format_args!(": {bytes_up} {bytes} up, {bytes_down} down in "));
    seconds(out, record.duration);
    add(out, format_args!(", {}", cause.map_or(reason.name(), Cause::name)));
    marked(out, "name", record.name.as_deref(), shown);
    marked(out, "tag", record.tag.as_deref(), shown);
}

/// Writes `[client]:port to [destination]:port (server): no session after 0.003 s, denied-by-rule FILE:12`.
pub(crate) fn refusal(out: &mut String, record: &RefusalRecord, shown: Shown, rule: Option<&WrittenRule>) {
    protocol(out, record.protocol);
    client(out, &record.client);
    if shown.destination {
        to(out, &record.destination, record.server);
    }
    out.push_str(": no session after ");
    seconds(out, record.duration);
    let RefusalRecord { reason, cause, errno, .. } = *record;
    add(out, format_args!(", {}", cause.map_or(reason.name(), Cause::name)));
    match rule {
        Some(WrittenRule { file: Some(file), line: Some(line), .. }) => {
            out.push(' ');
            one_line(out, file);
            add(out, format_args!(":{line}"));
        }
        Some(WrittenRule { text, .. }) => add(out, format_args!(" ({text})")),
        None => {}
    }
    // ECONNREFUSED would only repeat `refused`.
    if let Some(name) = errno.and_then(errno_name).filter(|_| reason != RefusalReason::Refused) {
        add(out, format_args!(" ({name})"));
    }
    marked(out, "tag", record.tag.as_deref(), shown);
}

/// Writes `[client]:port to [destination]:port (server): session begins`.
pub(crate) fn begin(out: &mut String, session: &SessionBegin, shown: Shown) {
    protocol(out, session.protocol);
    client(out, &session.client);
    if shown.destination {
        to(out, &session.destination, session.server);
    }
    from(out, session.source.filter(|_| shown.source));
    out.push_str(": session begins");
    marked(out, "name", session.name.as_deref(), shown);
    marked(out, "tag", session.tag.as_deref(), shown);
}

/// Begins the sentence of a record with its protocol, unless it is TCP.
fn protocol(out: &mut String, protocol: Protocol) {
    if protocol != Protocol::Tcp {
        add(out, protocol);
        out.push(' ');
    }
}

/// Writes `4,197 more denied-by-rule, 12 more refused from 2001:db8:1::/64 in 10.0 s`.
pub(crate) fn sum(out: &mut String, sum: &Sum, interval: Duration) {
    for (index, (word, count)) in sum.words().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        grouped(out, count);
        add(out, format_args!(" more {word}"));
    }
    out.push_str(" from ");
    match sum.network {
        Some(network) => add(out, network),
        None => out.push_str("other networks"),
    }
    add(out, format_args!(" in {:.1} s", interval.as_secs_f64()));
}

/// Tells the number of lines that were lost, and why.
pub(crate) fn lost(lost: u64, why: &str) -> String {
    let lines = if lost == 1 { "line of this log was" } else { "lines of this log were" };
    format!("{lost} {lines} lost: {why}")
}

/// Writes the number of records that a collector did not get.
pub(crate) fn unexported(out: &mut String, loss: &Loss) {
    let Loss { collector, records, error } = loss;
    let records_were = if *records == 1 { "record was" } else { "records were" };
    add(out, format_args!("{records} IPFIX {records_were} lost: "));
    match error {
        Some(error) => add(out, format_args!("{collector}: {error}")),
        None => add(out, format_args!("the queue for {collector} was full")),
    }
}

/// Writes `2001:db8:1::/64 has ports 1024-1535 of 198.51.100.1`.
pub(crate) fn port_block(out: &mut String, block: &PortBlockRecord) {
    let PortBlockRecord { network, prefix_length, source, first, last, assigned, released } = block;
    let what = if released.is_some() { "gave back" } else { "has" };
    add(out, format_args!("{network}/{prefix_length} {what} ports {first}-{last} of {source}"));
    if let Some(kept) = released.and_then(|released| released.duration_since(*assigned).ok()) {
        out.push_str(" after ");
        seconds(out, kept);
    }
}

/// Names the client.
fn client(out: &mut String, client: &SocketAddrV6) {
    add(out, format_args!("[{}]:{}", client.ip(), client.port()));
}

/// Names the source of the connection to the server.
fn from(out: &mut String, source: Option<SocketAddr>) {
    if let Some(source) = source {
        add(out, format_args!(" from {source}"));
    }
}

/// Names the dialled address, and the server with its port if the client dialled another.
fn to(out: &mut String, destination: &SocketAddrV6, server: Option<SocketAddr>) {
    add(out, format_args!(" to [{}]:{}", destination.ip(), destination.port()));
    match server {
        Some(server) if server.port() == destination.port() => add(out, format_args!(" ({})", server.ip())),
        Some(server) => add(out, format_args!(" ({server})")),
        None => {}
    }
}

/// Writes seconds to the millisecond.
fn seconds(out: &mut String, duration: Duration) {
    let milliseconds = (duration.as_micros() + 500) / 1000;
    add(out, format_args!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000));
}

/// Writes the name or the tag of a session. Both may name the destination.
fn marked(out: &mut String, what: &str, mark: Option<&str>, shown: Shown) {
    if let Some(mark) = mark.filter(|_| shown.destination) {
        add(out, format_args!(", {what} "));
        one_line(out, mark);
    }
}

/// Writes a text without characters that would end the line or steer a terminal.
pub(crate) fn one_line(out: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            add(out, character.escape_default());
        } else {
            out.push(character);
        }
    }
}

/// Writes a number with a comma between thousands.
fn grouped(out: &mut String, number: u64) {
    let digits = number.to_string();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
}

fn add(out: &mut String, what: impl Display) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{what}");
}

#[cfg(test)]
mod tests {
    use faith_relay::Cause;

    use super::*;
    use crate::sums::Network;

    #[test]
    fn a_sum_names_its_network_and_its_words() {
        let network = Network::of("2001:db8:1::7".parse().unwrap(), 64);
        let denied = ((RefusalReason::Denied, Some(Cause::DeniedByRule)), 4197);
        let refused = ((RefusalReason::Refused, None), 1_234_567);
        let shown = |network, counts| {
            let mut shown = String::new();
            sum(&mut shown, &Sum::of(network, counts), Duration::from_millis(10_003));
            shown
        };
        assert_eq!(
            shown(Some(network), vec![denied]),
            "4,197 more denied-by-rule from 2001:db8:1::/64 in 10.0 s"
        );
        assert_eq!(
            shown(None, vec![denied, refused]),
            "1,234,567 more refused, 4,197 more denied-by-rule from other networks in 10.0 s"
        );
    }

    #[test]
    fn one_lost_line_is_singular() {
        assert_eq!(lost(1, "its reader was asleep"), "1 line of this log was lost: its reader was asleep");
    }
}
