//! The active sessions of a relay.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use faith_relay::{LiveSession, Relay};
use napi_derive::napi;

use crate::stats::{milliseconds, number};

/// An active session.
#[napi(object)]
pub struct NativeLiveSession {
    /// Unique within the relay.
    pub id: f64,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The client's address.
    pub client: String,
    /// The client's port.
    pub client_port: u16,
    /// The address that the client dialled.
    pub destination: String,
    /// The port that the client dialled.
    pub destination_port: u16,
    /// The server's address.
    pub server: Option<String>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// Bytes from the client to the server so far.
    pub bytes_up: f64,
    /// Bytes from the server to the client so far.
    pub bytes_down: f64,
    /// Time at which its attempt began, in milliseconds since 1970.
    pub started_at_ms: f64,
    /// Time since then, in milliseconds.
    pub age_ms: f64,
    /// Time since a byte moved, or since the session began, in milliseconds.
    pub idle_ms: f64,
    /// Its progress towards its end.
    pub state: String,
    /// The mark that the verdict gave it.
    pub tag: Option<String>,
    /// The name for which the client got the dialled address, if a DNS server of this process gave it.
    pub name: Option<String>,
}

impl NativeLiveSession {
    /// Describes a session at the time `now` since 1970.
    pub(crate) fn of(session: &LiveSession, now: Duration) -> Self {
        Self {
            id: number(session.id),
            protocol: session.protocol.name().to_owned(),
            client: session.client.ip().to_string(),
            client_port: session.client.port(),
            destination: session.destination.ip().to_string(),
            destination_port: session.destination.port(),
            server: session.server.map(|server| server.ip().to_string()),
            server_port: session.server.as_ref().map(SocketAddr::port),
            bytes_up: number(session.bytes_up),
            bytes_down: number(session.bytes_down),
            started_at_ms: milliseconds(now.saturating_sub(session.age)),
            age_ms: milliseconds(session.age),
            idle_ms: milliseconds(session.idle),
            state: session.state.name().to_owned(),
            tag: session.tag.as_deref().map(str::to_owned),
            name: session.name.as_deref().map(str::to_owned),
        }
    }
}

/// The time since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Some of the active sessions.
#[napi(object)]
#[derive(Default)]
pub struct NativeLiveSessions {
    /// The sessions, in the order of their ids.
    pub sessions: Vec<NativeLiveSession>,
    /// The id of the last session or attempt that began; 0 before the first.
    pub newest: f64,
}

/// Lists the active sessions with ids above `id`, `most` of them at most.
pub(crate) fn list(relay: &Relay, id: f64, most: u32) -> NativeLiveSessions {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
    let sessions = relay.sessions(id as u64, most as usize);
    let now = now();
    NativeLiveSessions {
        sessions: sessions.iter().map(|session| NativeLiveSession::of(session, now)).collect(),
        newest: number(relay.newest()),
    }
}
