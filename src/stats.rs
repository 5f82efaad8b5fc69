//! Counters as JavaScript reads them. Numbers are exact up to 2^53.

use std::collections::HashMap;
use std::time::Duration;

use faith_packet::classify::DropReason;
use faith_relay::{RefusalTally, SessionEnd, SessionStats};
use faith_stack::FaithInterface;
use napi_derive::napi;

/// Packets and their bytes.
#[napi(object)]
pub struct NativeCounters {
    /// How many.
    pub packets: f64,
    /// IPv6 headers included.
    pub bytes: f64,
}

/// What an interface has counted.
#[napi(object)]
pub struct NativeInterfaceStats {
    /// Host to stack.
    pub captured: NativeCounters,
    /// Stack to host.
    pub returned: NativeCounters,
    /// ICMPv6 Destination Unreachable messages sent.
    pub unreachable_sent: f64,
    /// Those that were not sent because of their limit.
    pub unreachable_limited: f64,
    /// Link-local multicast that the host itself sent.
    pub host_multicast: f64,
    /// SYNs offered to a relay before the kernel saw them.
    pub syns_held: f64,
    /// SYNs that went straight on because too many were held in all.
    pub syns_beyond_hold: f64,
    /// SYNs that went straight on because too many of their client were held, at a time or in a second.
    pub syns_beyond_client_hold: f64,
    /// Packets dropped, by reason.
    pub drops: HashMap<String, f64>,
    /// `sk_lookup` or `on-demand`.
    pub steering: String,
    /// Whether established TCP goes past the pump.
    pub shortcut: bool,
    /// Worker threads.
    pub workers: u32,
    /// Sockets given back.
    pub splices: NativeSessionStats,
}

/// Counters of sessions, or of splices.
#[napi(object)]
pub struct NativeSessionStats {
    /// Those that go on.
    pub active: f64,
    /// Those that have begun.
    pub begun: f64,
    /// Those that have ended, by reason.
    pub ended: HashMap<String, f64>,
    /// From clients to servers.
    pub bytes_up: f64,
    /// From servers to clients.
    pub bytes_down: f64,
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which no counter reaches")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// To the microsecond: more digits say nothing, and read as noise.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    number(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)) / 1000.0
}

pub(crate) fn of_sessions(sessions: &SessionStats) -> NativeSessionStats {
    let ended = SessionEnd::ALL.map(|end| (end.name().to_owned(), number(sessions.ended.of(end))));
    NativeSessionStats {
        active: number(sessions.active),
        begun: number(sessions.begun),
        ended: ended.into(),
        bytes_up: number(sessions.bytes_up),
        bytes_down: number(sessions.bytes_down),
    }
}

/// Attempts that were refused for the same reason and cause.
#[napi(object)]
pub struct NativeRefusalCount {
    /// Why.
    pub reason: String,
    /// The cause, where the reason does not say all.
    pub cause: Option<String>,
    /// How many.
    pub count: f64,
}

/// How many attempts were refused, by why; without those that were not.
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
        splices: of_sessions(splices),
    }
}
