//! The 4-tuple that identifies a captured connection.

use std::net::SocketAddrV6;

/// The two ends of a captured connection, without scope and flow label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client's address and port.
    pub client: SocketAddrV6,
    /// The address and port that the client dialled.
    pub destination: SocketAddrV6,
}
