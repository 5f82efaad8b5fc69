//! Remembers the servers that leave the first word to their clients. HTTP servers do, and SMTP servers do not.
//!
//! The relay need not complete the handshake with such a server before there are bytes for it. This spares both hosts a
//! packet, and the server a wake-up ([`tcp::acknowledge_with_data`](faith_sys::tcp::acknowledge_with_data)). Each thread
//! learns from its own sessions with a server. A server that speaks first after all does so 200 ms late, once.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};

/// Places in the table. Two servers with the same place push each other out.
const SERVERS: usize = 1024;

/// Sessions in a row in which the client spoke first, after which the next client is expected to do so.
const SURE: u8 = 8;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known::new());
}

/// Tells whether the client spoke first in all of the last sessions with this server.
pub(crate) fn is_left_to_clients(server: SocketAddr) -> bool {
    KNOWN.with_borrow_mut(|known| known.place(server).begun_by_clients >= SURE)
}

/// Notes the side that spoke first in a session with this server.
pub(crate) fn was_taken(server: SocketAddr, by_client: bool) {
    KNOWN.with_borrow_mut(|known| {
        let place = known.place(server);
        place.begun_by_clients = if by_client { place.begun_by_clients.saturating_add(1) } else { 0 };
    });
}

#[derive(Clone, Copy)]
struct Server {
    address: SocketAddr,
    begun_by_clients: u8,
}

impl Server {
    const fn unknown(address: SocketAddr) -> Self {
        Self { address, begun_by_clients: 0 }
    }
}

struct Known {
    servers: Box<[Server]>,
    /// A keyed hash: clients choose the servers, but must not choose the servers that these push out.
    hasher: RandomState,
}

impl Known {
    fn new() -> Self {
        let none = Server::unknown(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Self { servers: vec![none; SERVERS].into(), hasher: RandomState::new() }
    }

    fn place(&mut self, server: SocketAddr) -> &mut Server {
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is one")]
        let hash = self.hasher.hash_one(server) as usize;
        let place = &mut self.servers[hash % SERVERS];
        if place.address != server {
            *place = Server::unknown(server);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn begun_by_clients(port: u16, sessions: u8) {
        (0..sessions).for_each(|_| was_taken(server(port), true));
    }

    #[test]
    fn a_server_is_known_after_some_sessions_in_a_row() {
        begun_by_clients(80, SURE - 1);
        assert!(!is_left_to_clients(server(80)));
        begun_by_clients(80, 1);
        assert!(is_left_to_clients(server(80)));
    }

    #[test]
    fn a_server_that_spoke_first_is_expected_to_do_so_again() {
        begun_by_clients(25, u8::MAX);
        was_taken(server(25), false);
        assert!(!is_left_to_clients(server(25)));
        begun_by_clients(25, SURE - 1);
        assert!(!is_left_to_clients(server(25)));
    }

    #[test]
    fn one_server_says_nothing_about_another() {
        for port in 1..=u16::try_from(2 * SERVERS).unwrap() {
            assert!(!is_left_to_clients(server(port)));
            begun_by_clients(port, SURE);
        }
    }
}
