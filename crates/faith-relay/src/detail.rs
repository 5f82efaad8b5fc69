//! An active session in detail. That of a connection has both sides as the kernel describes them, and the one that holds it up.

use faith_packet::access::WrittenRule;
use faith_sys::info::{SocketNumber, TcpInfo};

use crate::live::LiveSession;
use crate::side::Side;

/// The sockets of a session, which its worker's thread owns. They stay open as long as the session is in the list
/// of its worker's tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sockets {
    pub(crate) client: SocketNumber,
    pub(crate) server: SocketNumber,
}

/// A session and its sockets, as one look found them.
pub(crate) struct Inspected {
    pub(crate) session: LiveSession,
    pub(crate) routed: bool,
    /// The connections to the client and to the server; `None` for datagrams.
    pub(crate) legs: Option<(TcpInfo, TcpInfo)>,
    pub(crate) waiting: (u32, u32),
}

/// An active session in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDetail {
    /// The session.
    pub session: LiveSession,
    /// The connections to the client and to the server; `None` for datagrams, which have none.
    pub legs: Option<(TcpInfo, TcpInfo)>,
    /// Bytes that the relay has taken from the client, and the connection to the server not from the relay.
    pub waiting_up: u32,
    /// Bytes for the client, likewise.
    pub waiting_down: u32,
    /// The rule of the present access list that permits the session; `None` if a default does, if a route chose the server,
    /// or if the list does not permit it.
    pub rule: Option<WrittenRule>,
    /// The side that takes bytes more slowly than the other gives them, if one does.
    pub slow: Option<Side>,
}
