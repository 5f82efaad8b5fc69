//! Counters as JavaScript reads them. Numbers are exact up to 2^53.

use std::collections::HashMap;
use std::time::Duration;

use faith_packet::classify::DropReason;
use faith_packet::protocol::Protocol;
use faith_relay::{Cause, ConnectDurations, ProtocolStats, RefusalTally, SessionEnd, SessionStats, UdpStats};
use faith_stack::FaithInterface;
use napi_derive::napi;

/// Packets and their bytes.
#[napi(object)]
pub struct NativeCounters {
    /// Number of packets.
    pub packets: f64,
    /// Their bytes, including IPv6 headers.
    pub bytes: f64,
}

/// An interface's counters.
#[napi(object)]
pub struct NativeInterfaceStats {
    /// Packets from the host to the stack.
    pub captured: NativeCounters,
    /// Packets from the stack to the host.
    pub returned: NativeCounters,
    /// ICMPv6 Destination Unreachable messages sent.
    pub unreachable_sent: f64,
    /// ICMPv6 Destination Unreachable messages that their rate limit suppressed.
    pub unreachable_limited: f64,
    /// Link-local multicast that the host itself sent.
    pub host_multicast: f64,
    /// SYNs offered to a relay before the kernel saw them.
    pub syns_held: f64,
    /// SYNs that were not held because the relay held as many as it may.
    pub syns_beyond_hold: f64,
    /// SYNs that were not held because of their client's limits, of SYNs at a time or per second.
    pub syns_beyond_client_hold: f64,
    /// Packets dropped, by reason.
    pub drops: HashMap<String, f64>,
    /// `sk_lookup` or `on-demand`.
    pub steering: String,
    /// True if established connections bypass the pump.
    pub shortcut: bool,
    /// Worker threads.
    pub workers: u32,
    /// MTU in bytes.
    pub mtu: u32,
    /// Sessions of connections that JavaScript accepted and gave back.
    pub splices: NativeSessionStats,
}

/// Counters of sessions, or of splices.
#[napi(object)]
pub struct NativeSessionStats {
    /// Sessions that go on.
    pub active: f64,
    /// Sessions that began, including those that ended.
    pub begun: f64,
    /// Those of each protocol.
    pub by_protocol: HashMap<String, NativeProtocolStats>,
    /// Sessions that ended, by reason.
    pub ended: HashMap<String, f64>,
    /// Aborted sessions by cause; those without a cause are `interface-lost`.
    pub aborted: HashMap<String, f64>,
    /// Bytes from clients to servers.
    pub bytes_up: f64,
    /// Bytes from servers to clients.
    pub bytes_down: f64,
}

/// Counters of the sessions of one protocol.
#[napi(object)]
pub struct NativeProtocolStats {
    /// Sessions that go on.
    pub active: f64,
    /// Sessions that began, including those that ended.
    pub begun: f64,
}

/// Counters of datagrams.
#[napi(object)]
pub struct NativeUdpStats {
    /// Ports of clients that have a socket now.
    pub mappings: u32,
    /// Limit of these.
    pub max_mappings: u32,
    /// Frames sent to servers.
    pub frames_up: f64,
    /// Frames sent to clients.
    pub frames_down: f64,
    /// Datagrams of servers that the kernel dropped.
    pub dropped: f64,
    /// Frames of servers that no client had asked for.
    pub filtered: f64,
    /// Frames that went to clients in fragments.
    pub fragmented: f64,
    /// Frames that were dropped because they were too long for a client.
    pub oversize: f64,
    /// Frames that were lost on their way to servers.
    pub lost: f64,
    /// Sockets whose way takes no superframes.
    pub without_superframes: f64,
    /// Errors that were passed on to clients.
    pub errors_down: f64,
    /// Errors that servers were told.
    pub errors_up: f64,
}

pub(crate) fn of_udp(udp: &UdpStats) -> NativeUdpStats {
    NativeUdpStats {
        mappings: udp.mappings,
        max_mappings: udp.max_mappings,
        frames_up: number(udp.frames_up),
        frames_down: number(udp.frames_down),
        dropped: number(udp.dropped),
        filtered: number(udp.filtered),
        fragmented: number(udp.fragmented),
        oversize: number(udp.oversize),
        lost: number(udp.lost),
        without_superframes: number(udp.without_superframes),
        errors_down: number(udp.errors_down),
        errors_up: number(udp.errors_up),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which no counter reaches")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// Milliseconds, rounded down to microseconds: more digits would be noise.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    number(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)) / 1000.0
}

pub(crate) fn of_sessions(sessions: &SessionStats) -> NativeSessionStats {
    let ended = SessionEnd::ALL.map(|end| (end.name().to_owned(), number(sessions.ended.of(end))));
    let aborted = [
        (Some(Cause::EndDenied), Cause::EndDenied.name()),
        (Some(Cause::EndedOnRequest), Cause::EndedOnRequest.name()),
        (Some(Cause::RelayClosed), Cause::RelayClosed.name()),
        (None, "interface-lost"),
    ]
    .map(|(cause, name)| (name.to_owned(), number(sessions.aborted.of(cause))));
    let by_protocol = Protocol::ALL.map(|protocol| {
        let ProtocolStats { active, begun, .. } = sessions.by_protocol[protocol.index()];
        let stats = NativeProtocolStats { active: number(active), begun: number(begun) };
        (protocol.name().to_owned(), stats)
    });
    NativeSessionStats {
        active: number(sessions.active),
        begun: number(sessions.begun),
        by_protocol: by_protocol.into(),
        ended: ended.into(),
        aborted: aborted.into(),
        bytes_up: number(sessions.bytes_up),
        bytes_down: number(sessions.bytes_down),
    }
}

/// Times until servers had answered.
#[napi(object)]
pub struct NativeConnectDurations {
    /// Upper bounds in milliseconds, with the number of servers that answered within them.
    pub buckets: Vec<NativeDurationBucket>,
    /// Servers that answered.
    pub count: f64,
    /// Sum of the times in milliseconds.
    pub sum_ms: f64,
}

/// The durations up to an upper bound.
#[napi(object)]
pub struct NativeDurationBucket {
    /// The bound in milliseconds.
    pub up_to_ms: f64,
    /// Number of durations.
    pub count: f64,
}

pub(crate) fn of_connects(durations: &ConnectDurations) -> NativeConnectDurations {
    let bucket =
        |(bound, count)| NativeDurationBucket { up_to_ms: milliseconds(bound), count: number(count) };
    NativeConnectDurations {
        buckets: durations.up_to().map(bucket).collect(),
        count: number(durations.count()),
        sum_ms: milliseconds(durations.sum),
    }
}

/// Number of attempts that were refused for the same reason and cause.
#[napi(object)]
pub struct NativeRefusalCount {
    /// The reason.
    pub reason: String,
    /// The cause, if the reason has several.
    pub cause: Option<String>,
    /// Number of attempts.
    pub count: f64,
}

/// Numbers of refused attempts by reason and cause, without those that are 0.
pub(crate) fn refusals(tally: &RefusalTally) -> Vec<NativeRefusalCount> {
    let counts = tally.iter().map(|(reason, cause, count)| NativeRefusalCount {
        reason: reason.name().to_owned(),
        cause: cause.map(|cause| cause.name().to_owned()),
        count: number(count),
    });
    counts.collect()
}

pub(crate) fn of_interface(interface: &FaithInterface, splices: &SessionStats) -> NativeInterfaceStats {
    let stats = interface.stats();
    let drops = DropReason::ALL
        .iter()
        .zip(stats.drops)
        .map(|(reason, count)| (reason.name().to_owned(), number(count)))
        .collect();
    NativeInterfaceStats {
        captured: NativeCounters {
            packets: number(stats.captured_packets),
            bytes: number(stats.captured_bytes),
        },
        returned: NativeCounters {
            packets: number(stats.returned_packets),
            bytes: number(stats.returned_bytes),
        },
        unreachable_sent: number(stats.unreachable_sent),
        unreachable_limited: number(stats.unreachable_limited),
        host_multicast: number(stats.host_multicast),
        syns_held: number(stats.syns_held),
        syns_beyond_hold: number(stats.syns_beyond_hold),
        syns_beyond_client_hold: number(stats.syns_beyond_client_hold),
        drops,
        steering: if interface.is_steered() { "sk_lookup" } else { "on-demand" }.to_owned(),
        shortcut: interface.has_shortcut(),
        workers: u32::try_from(interface.workers()).unwrap_or(u32::MAX),
        mtu: interface.mtu(),
        splices: of_sessions(splices),
    }
}
