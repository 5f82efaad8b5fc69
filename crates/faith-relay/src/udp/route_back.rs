//! The way back: the session of a server's datagram, or the filter that stops it (RFC 4787 section 5).

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::rc::Rc;

use super::options::Filtering;
use super::session::Session;

/// The servers that a mapping has sent to.
#[derive(Default)]
pub(crate) struct RouteBack {
    // Keyed hashes, because clients choose the servers.
    servers: HashMap<SocketAddrV4, Rc<Session>>,
    hosts: HashMap<Ipv4Addr, Host>,
}

/// One server's address.
struct Host {
    /// The address that the client dialled for it.
    dialled: Ipv6Addr,
    sessions: usize,
}

/// The origin of a server's datagram.
pub(crate) enum Origin {
    /// The server of this session.
    Session(Rc<Session>),
    /// Another port of an address for which the client dialled this one.
    Host(Ipv6Addr),
    /// An address that the client has not sent to.
    Unasked,
}

impl RouteBack {
    pub(crate) fn add(&mut self, session: &Rc<Session>) {
        let dialled = *session.destination.ip();
        let host = self.hosts.entry(*session.server.ip()).or_insert(Host { dialled, sessions: 0 });
        host.sessions += 1;
        // The client may dial a server by several addresses. Answers come from the latest.
        host.dialled = dialled;
        self.servers.insert(session.server, Rc::clone(session));
    }

    /// Removes a session. `others` are those of the same client's port.
    pub(crate) fn remove<'a>(
        &mut self,
        session: &Rc<Session>,
        others: impl Iterator<Item = &'a Rc<Session>>,
    ) {
        if let Some(host) = self.hosts.get_mut(session.server.ip()) {
            host.sessions -= 1;
            if host.sessions == 0 {
                self.hosts.remove(session.server.ip());
            }
        }
        if self.servers.get(&session.server).is_some_and(|it| Rc::ptr_eq(it, session)) {
            self.servers.remove(&session.server);
            let same = |other: &&Rc<Session>| {
                other.server == session.server && Rc::ptr_eq(&other.mapping, &session.mapping)
            };
            if let Some(other) = { others }.find(same) {
                self.servers.insert(other.server, Rc::clone(other));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The session with exactly this server.
    pub(crate) fn session(&self, server: SocketAddrV4) -> Option<&Rc<Session>> {
        self.servers.get(&server)
    }

    /// The origin of a datagram from `server`. `None` filters it.
    pub(crate) fn origin(&self, server: SocketAddrV4, filtering: Filtering) -> Option<Origin> {
        if let Some(session) = self.servers.get(&server) {
            return Some(Origin::Session(Rc::clone(session)));
        }
        if filtering == Filtering::AddressAndPortDependent {
            return None;
        }
        match self.hosts.get(server.ip()) {
            Some(host) => Some(Origin::Host(host.dialled)),
            None if filtering == Filtering::EndpointIndependent => Some(Origin::Unasked),
            None => None,
        }
    }
}
