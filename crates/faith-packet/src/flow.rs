//! The 4-tuple, which tells one captured connection from another.

use std::net::SocketAddrV6;

/// The two ends of a captured connection, with neither scope nor flow label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where the connection comes from.
    pub client: SocketAddrV6,
    /// What the client dialled.
    pub destination: SocketAddrV6,
}
