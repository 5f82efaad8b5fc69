//! The record of a block of source ports: a client network gets it, and gives it back.

use std::net::{IpAddr, Ipv6Addr};
use std::time::SystemTime;

/// A block of source ports that a client network got or gave back.
///
/// From `assigned` until `released`, no other client's connections come from these ports of `source`. So the records of a
/// block tell the client of a source address, a port and a time (RFC 6269 section 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortBlockRecord {
    /// The client network's address.
    pub network: Ipv6Addr,
    /// The client network's length in bits: [`ClientLimits::prefix_length`](crate::ClientLimits::prefix_length).
    pub prefix_length: u8,
    /// The address that the client's connections to servers come from.
    pub source: IpAddr,
    /// The first port of the block.
    pub first: u16,
    /// The last port of the block.
    pub last: u16,
    /// Time at which the client got the block.
    pub assigned: SystemTime,
    /// Time at which the client gave it back; `None` in the record of the assignment.
    pub released: Option<SystemTime>,
}
