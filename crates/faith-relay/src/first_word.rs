//! Which servers leave the first word to their clients, as those of HTTP do and those of SMTP do not.
//!
//! Such a server need not be told that it is connected before there are bytes for it, which spares both hosts a packet
//! and the server a wake-up ([`tcp::acknowledge_with_data`](faith_sys::tcp::acknowledge_with_data)). What a server does is
//! learned from the sessions that this thread has had with it. One that takes the first word after all does so 200 ms late,
//! once.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};

/// How many servers are remembered at most. Two that have the same place in the table push each other out.
const SERVERS: usize = 1024;

/// Sessions in a row that a client has begun, after which the next one is expected to be.
const SURE: u8 = 8;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known::new());
}

/// Whether the sessions with this server have been begun by their clients, all of the last ones.
pub(crate) fn is_left_to_clients(server: SocketAddr) -> bool {
    KNOWN.with_borrow_mut(|known| known.place(server).begun_by_clients >= SURE)
}

/// Takes note of who began a session with this server.
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
    /// Clients choose the servers, and are not to choose whom these push out.
    hasher: RandomState,
}

impl Known {
    fn new() -> Self {
        let nobody = Server::unknown(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Self { servers: vec![nobody; SERVERS].into(), hasher: RandomState::new() }
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
    fn it_takes_some_sessions_in_a_row_to_be_sure() {
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
    fn what_one_server_does_says_nothing_of_another() {
        for port in 1..=u16::try_from(2 * SERVERS).unwrap() {
            assert!(!is_left_to_clients(server(port)));
            begun_by_clients(port, SURE);
        }
    }
}
