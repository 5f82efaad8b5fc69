//! The state of an active session that its worker shares with other threads.

use std::net::{SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use faith_packet::protocol::Protocol;

use crate::names;

/// Progress of a session towards its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionState {
    /// Both directions are open.
    Open,
    /// The client has sent its FIN, and the relay has passed it on. The server may go on sending.
    ClientClosed,
    /// The server has sent its FIN, likewise.
    ServerClosed,
    /// One side is gone. The other gets the bytes that the gone one had sent, and is reset then.
    Ending,
}

impl SessionState {
    const ALL: [Self; 4] = [Self::Open, Self::ClientClosed, Self::ServerClosed, Self::Ending];

    /// Its name in records and in JavaScript.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ClientClosed => "client-closed",
            Self::ServerClosed => "server-closed",
            Self::Ending => "ending",
        }
    }
}

/// An active session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The id that its [`SessionRecord`](crate::SessionRecord) will have.
    pub id: u64,
    /// The protocol of both sides.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
    /// The server.
    pub server: Option<SocketAddr>,
    /// Bytes passed from the client to the server so far.
    pub bytes_up: u64,
    /// Bytes passed from the server to the client so far.
    pub bytes_down: u64,
    /// Time since its attempt began, with the client's SYN or the accepted connection.
    pub age: Duration,
    /// Time since a byte moved, or since the session began if none has. The idle timeout ends a session at this age of its
    /// last byte.
    pub idle: Duration,
    /// Its progress towards its end.
    pub state: SessionState,
    /// The mark that the [`Route`](crate::Route) gave it.
    pub tag: Option<Arc<str>>,
    /// The same as in a [`SessionRecord`](crate::SessionRecord).
    pub name: Option<Arc<str>>,
}

/// The shared part of a session. Only the worker's thread writes.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: u64,
    pub(crate) protocol: Protocol,
    pub(crate) client: SocketAddrV6,
    pub(crate) destination: SocketAddrV6,
    pub(crate) started: Instant,
    name: OnceLock<Arc<str>>,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    /// Time from `started` to the last byte, or to the begin of the session, in nanoseconds.
    moved_after: AtomicU64,
    waiting_up: AtomicU32,
    waiting_down: AtomicU32,
    state: AtomicU8,
}

impl Live {
    pub(crate) fn new(id: u64, protocol: Protocol, client: SocketAddrV6, destination: SocketAddrV6) -> Self {
        Self {
            id,
            protocol,
            client,
            destination,
            started: Instant::now(),
            name: OnceLock::new(),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
            moved_after: AtomicU64::new(0),
            waiting_up: AtomicU32::new(0),
            waiting_down: AtomicU32::new(0),
            state: AtomicU8::new(SessionState::Open as u8),
        }
    }

    /// Looks up the name that the client asked for, when the session begins.
    pub(crate) fn find_name(&self) {
        if let Some(name) = names::name_of(*self.client.ip(), *self.destination.ip()) {
            // Only this thread sets it, and once.
            let _ = self.name.set(name);
        }
    }

    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.name.get().cloned()
    }

    /// Notes the time from which the session is idle.
    #[inline]
    pub(crate) fn idle_since(&self, moment: Instant) {
        let after = moment.saturating_duration_since(self.started).as_nanos();
        self.moved_after.store(u64::try_from(after).unwrap_or(u64::MAX), Relaxed);
    }

    /// Notes the session's state, and the bytes that the relay has taken from each side and the other has not taken yet.
    #[inline]
    pub(crate) fn note(&self, state: SessionState, waiting_up: usize, waiting_down: usize) {
        self.state.store(state as u8, Relaxed);
        self.waiting_up.store(u32::try_from(waiting_up).unwrap_or(u32::MAX), Relaxed);
        self.waiting_down.store(u32::try_from(waiting_down).unwrap_or(u32::MAX), Relaxed);
    }

    #[inline]
    pub(crate) fn moved(&self, up: u64, down: u64) {
        self.bytes_up.store(self.bytes_up() + up, Relaxed);
        self.bytes_down.store(self.bytes_down() + down, Relaxed);
    }

    pub(crate) fn bytes_up(&self) -> u64 {
        self.bytes_up.load(Relaxed)
    }

    pub(crate) fn bytes_down(&self) -> u64 {
        self.bytes_down.load(Relaxed)
    }

    /// Bytes inside the relay, for the server and for the client.
    pub(crate) fn waiting(&self) -> (u32, u32) {
        (self.waiting_up.load(Relaxed), self.waiting_down.load(Relaxed))
    }

    pub(crate) fn look(&self, server: Option<SocketAddr>, now: Instant) -> LiveSession {
        let age = now.saturating_duration_since(self.started);
        LiveSession {
            id: self.id,
            protocol: self.protocol,
            client: self.client,
            destination: self.destination,
            server,
            bytes_up: self.bytes_up(),
            bytes_down: self.bytes_down(),
            age,
            // The worker may have moved a byte after `now`.
            idle: age.saturating_sub(Duration::from_nanos(self.moved_after.load(Relaxed))),
            state: SessionState::ALL[usize::from(self.state.load(Relaxed)) % SessionState::ALL.len()],
            tag: None,
            name: self.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn live() -> Live {
        let end = |text: &str| text.parse().unwrap();
        Live::new(1, Protocol::Tcp, end("[2001:db8::1]:1024"), end("[64:ff9b::1]:80"))
    }

    #[test]
    fn the_idle_time_is_that_since_the_last_byte_also_after_a_long_stop() {
        let live = live();
        live.idle_since(live.started + 2 * SECOND);
        let look = |after| {
            let session = live.look(None, live.started + after);
            (session.age, session.idle)
        };
        assert_eq!(look(5 * SECOND), (5 * SECOND, 3 * SECOND));
        // The process was stopped for a year.
        let year = Duration::from_hours(365 * 24);
        assert_eq!(look(year), (year, year.saturating_sub(2 * SECOND)));
    }

    #[test]
    fn a_byte_that_moves_after_the_look_began_leaves_no_idle_time() {
        let live = live();
        live.idle_since(live.started + 2 * SECOND);
        assert_eq!(live.look(None, live.started + SECOND).idle, Duration::ZERO);
        assert_eq!(live.look(None, live.started).idle, Duration::ZERO);
    }
}
