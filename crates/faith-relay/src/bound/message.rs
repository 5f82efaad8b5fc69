//! Datagrams between a client and a program with ports of its own.

use std::net::SocketAddrV6;

/// A datagram between a client and the program, or a superframe of several from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The client.
    pub client: SocketAddrV6,
    /// This side: the address and port that the client dialled, or that the client sees as the sender.
    pub destination: SocketAddrV6,
    /// The hop limit of the IPv6 header.
    pub hop_limit: u8,
    /// The traffic class of the IPv6 header: DSCP and ECN.
    pub traffic_class: u8,
    /// The data, of all datagrams of a superframe.
    pub data: Vec<u8>,
    /// The octets of data in each datagram but the last, if this is a superframe; not 0.
    pub segment: Option<u16>,
}

/// A program that hears datagrams.
pub trait Hearer: Send + Sync + 'static {
    /// Takes a message. Returns false if there is no room for it, which drops it. Called on a worker's thread, between
    /// packets: it must return in microseconds and never block.
    fn hear(&self, message: Message) -> bool;
}
