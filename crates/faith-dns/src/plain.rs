//! Asks a server over UDP, and over TCP if the response is truncated.
//!
//! Each query has a socket of its own, so its port is as random as its id. The socket is connected: the kernel
//! drops what comes from other addresses, and reports at once that no server has the port.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use tokio::net::UdpSocket;

use crate::ask::Ask;
use crate::entry::Entry;
use crate::session::Session;
use crate::wire::{self, Question};

/// The response of a server, over UDP, or by `tcp` if it is truncated.
pub(crate) async fn exchange(server: SocketAddr, ask: &Ask, tcp: &Rc<Session>) -> io::Result<Entry> {
    let socket = UdpSocket::bind(any(server)).await?;
    socket.connect(server).await?;
    let query = ask.query();
    socket.send(&query).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let octets = &buffer[..length.min(buffer.len())];
        // Anything but the response to this query is a forgery, or late.
        if octets.get(..2) != query.get(..2) {
            continue;
        }
        if !Question::read(octets).is_some_and(|question| question.is_same(&ask.question)) {
            continue;
        }
        if wire::word(octets, 2).is_some_and(|flags| flags & wire::TRUNCATED != 0) {
            return tcp.exchange(query, &ask.question).await;
        }
        if let Some(entry) = Entry::read(octets.to_vec(), &ask.question) {
            return Ok(entry);
        }
    }
}

/// The address from which any server of this family can be asked, with a port of the kernel's choice.
pub(crate) fn any(server: SocketAddr) -> SocketAddr {
    if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() }
}
