//! The state of an active session that its worker shares with other threads.

use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// An active session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The id that its [`SessionRecord`](crate::SessionRecord) will have.
    pub id: u64,
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
    /// The mark that the [`Route`](crate::Route) gave it.
    pub tag: Option<Arc<str>>,
}

/// The shared part of a session. Only the worker's thread writes.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: u64,
    pub(crate) client: SocketAddrV6,
    pub(crate) destination: SocketAddrV6,
    pub(crate) started: Instant,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

impl Live {
    pub(crate) fn new(id: u64, client: SocketAddrV6, destination: SocketAddrV6) -> Self {
        let (bytes_up, bytes_down) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { id, client, destination, started: Instant::now(), bytes_up, bytes_down }
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

    pub(crate) fn look(&self, server: Option<SocketAddr>, now: Instant) -> LiveSession {
        LiveSession {
            id: self.id,
            client: self.client,
            destination: self.destination,
            server,
            bytes_up: self.bytes_up(),
            bytes_down: self.bytes_down(),
            age: now.saturating_duration_since(self.started),
            tag: None,
        }
    }
}
