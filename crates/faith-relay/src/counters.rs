//! A relay's counters, without locks and without cache lines shared between workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use faith_packet::protocol::Protocol;

use crate::cause::Cause;
use crate::durations::{ConnectDurations, LiveDurations};
use crate::record::{RefusalReason, SessionEnd};
use crate::tally::{AbortTally, LiveAborts, LiveRefusals, LiveSessions, RefusalTally, SessionTally};
use crate::udp::UdpStats;

/// A relay's counters at one moment. Each attempt that ever began became a session, was refused, was handed over, or still
/// goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Connections accepted for the relay.
    pub accepted: u64,
    /// Connections given to the [`Route`](crate::Route). They count neither as sessions nor as refused.
    pub handed_over: u64,
    /// Attempts at this moment: held SYNs, and accepted clients that have no server yet.
    pub attempts: u64,
    /// Sessions.
    pub sessions: SessionStats,
    /// Attempts that ended without a session.
    pub refused: RefusalTally,
    /// Times from SYN or accept until the server had answered, of each server that did.
    pub connect_durations: ConnectDurations,
    /// Records that the observer was not told, or did not take.
    pub untold: Untold,
    /// Connections from another of [`sources`](crate::RelayOptions::sources) than their client's own. The client's own had
    /// no port left towards the server, or was not the host's.
    pub source_fallbacks: u64,
    /// Limit of held SYNs: the option's, or fewer if descriptors do not suffice.
    pub max_held: u32,
    /// Limit of sessions, likewise; `None` is no limit.
    pub max_sessions: Option<u32>,
    /// Datagrams; `None` if the relay carries none.
    pub udp: Option<UdpStats>,
}

/// Counters of sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Sessions at this moment.
    pub active: u64,
    /// Sessions that began, including those that ended.
    pub begun: u64,
    /// Those of each protocol, by [`Protocol::index`].
    pub by_protocol: [ProtocolStats; Protocol::ALL.len()],
    /// Sessions that ended.
    pub ended: SessionTally,
    /// Those that ended as [`SessionEnd::Aborted`], by cause.
    pub aborted: AbortTally,
    /// Bytes passed from clients to servers, including those of active sessions.
    pub bytes_up: u64,
    /// Bytes passed from servers to clients, likewise.
    pub bytes_down: u64,
}

/// Counters of the sessions of one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProtocolStats {
    /// Sessions at this moment.
    pub active: u64,
    /// Sessions that began, including those that ended.
    pub begun: u64,
    /// Sessions that ended.
    pub ended: u64,
}

/// Records that the observer did not get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Untold {
    /// Sessions that ended.
    pub sessions: u64,
    /// Attempts that were refused.
    pub refused: RefusalTally,
}

/// One worker's part. Only that worker's thread writes, so an addition is a load and a store. Other threads read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    accepted: AtomicU64,
    handed_over: AtomicU64,
    begun: [AtomicU64; Protocol::ALL.len()],
    over: [AtomicU64; Protocol::ALL.len()],
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    ended: LiveSessions,
    aborted: LiveAborts,
    refused: LiveRefusals,
    connects: LiveDurations,
    untold_sessions: AtomicU64,
    untold_refusals: LiveRefusals,
}

impl Counters {
    pub(crate) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(crate) fn handed_over(&self) {
        add(&self.handed_over, 1);
    }

    #[inline]
    pub(crate) fn moved(&self, up: u64, down: u64) {
        add(&self.bytes_up, up);
        add(&self.bytes_down, down);
    }

    pub(crate) fn connected(&self, after: Duration) {
        self.connects.add(after);
    }

    pub(crate) fn begun(&self, protocol: Protocol) {
        add(&self.begun[protocol.index()], 1);
    }

    /// Counts the end of a session. The cause is about an abort.
    pub(crate) fn ended(&self, protocol: Protocol, reason: SessionEnd, cause: Option<Cause>) {
        add(&self.over[protocol.index()], 1);
        self.ended.add(reason);
        if reason == SessionEnd::Aborted {
            self.aborted.add(cause);
        }
    }

    pub(crate) fn refused(&self, reason: RefusalReason, cause: Option<Cause>) {
        self.refused.add(reason, cause);
    }

    pub(crate) fn untold_session(&self) {
        add(&self.untold_sessions, 1);
    }

    pub(crate) fn untold_refusal(&self, reason: RefusalReason, cause: Option<Cause>) {
        self.untold_refusals.add(reason, cause);
    }

    pub(crate) fn add_to(&self, stats: &mut RelayStats) {
        stats.accepted += self.accepted.load(Relaxed);
        stats.handed_over += self.handed_over.load(Relaxed);
        stats.sessions.bytes_up += self.bytes_up.load(Relaxed);
        stats.sessions.bytes_down += self.bytes_down.load(Relaxed);
        self.ended.add_to(&mut stats.sessions.ended);
        self.aborted.add_to(&mut stats.sessions.aborted);
        for (stats, over) in stats.sessions.by_protocol.iter_mut().zip(&self.over) {
            stats.ended += over.load(Relaxed);
        }
        for (stats, begun) in stats.sessions.by_protocol.iter_mut().zip(&self.begun) {
            stats.begun += begun.load(Relaxed);
        }
        self.refused.add_to(&mut stats.refused);
        self.connects.add_to(&mut stats.connect_durations);
        stats.untold.sessions += self.untold_sessions.load(Relaxed);
        self.untold_refusals.add_to(&mut stats.untold.refused);
    }
}

impl RelayStats {
    /// Derives the active sessions and attempts from `entered`, the number of attempts that ever began. Other threads count
    /// meanwhile, so a difference may be below zero for a moment, and counts as zero then.
    pub(crate) fn settle(&mut self, entered: u64) {
        let Self { sessions, refused, handed_over, .. } = self;
        for of in &mut sessions.by_protocol {
            of.active = of.begun.saturating_sub(of.ended);
        }
        sessions.begun = sessions.by_protocol.iter().map(|of| of.begun).sum();
        sessions.active = sessions.begun.saturating_sub(sessions.ended.sum());
        let decided = sessions.begun + refused.sum() + *handed_over;
        self.attempts = entered.saturating_sub(decided);
    }
}

#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}
