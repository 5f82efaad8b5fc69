//! The sessions of a relay that go on.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use faith_relay::{LiveSession, Relay};
use napi_derive::napi;

use crate::stats::{milliseconds, number};

/// A session that goes on.
#[napi(object)]
pub struct NativeLiveSession {
    /// Unique within the relay.
    pub id: f64,
    /// Who connected.
    pub client: String,
    /// Who connected.
    pub client_port: u16,
    /// What the client dialled.
    pub destination: String,
    /// What the client dialled.
    pub destination_port: u16,
    /// The server, where there was one.
    pub server: Option<String>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// From client to server, so far.
    pub bytes_up: f64,
    /// From server to client, so far.
    pub bytes_down: f64,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: f64,
    /// How long ago that is.
    pub age_ms: f64,
    /// The mark that a verdict has given it.
    pub tag: Option<String>,
}

/// Some of the sessions that go on.
#[napi(object)]
#[derive(Default)]
pub struct NativeLiveSessions {
    /// In the order of their ids.
    pub sessions: Vec<NativeLiveSession>,
    /// The id of the last session that has begun.
    pub newest: f64,
}

/// The sessions after `id`, `most` of them.
pub(crate) fn list(relay: &Relay, id: f64, most: u32) -> NativeLiveSessions {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
    let sessions = relay.sessions(id as u64, most as usize);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let describe = |session: LiveSession| NativeLiveSession {
        id: number(session.id),
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
        tag: session.tag.as_deref().map(str::to_owned),
    };
    NativeLiveSessions {
        sessions: sessions.into_iter().map(describe).collect(),
        newest: number(relay.newest()),
    }
}
