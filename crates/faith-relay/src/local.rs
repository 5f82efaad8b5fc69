//! The destinations that this host serves itself: by a program, or by its own listeners.
//!
//! Without them, an address of the router is denied, because no client must reach the router by mistake.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use faith_packet::ports::PortSet;
use faith_stack::Captured;

/// Takes connections that the relay hands over instead of connecting them to a server.
pub trait Taker: Send + Sync {
    /// Takes a connection. The relay calls this on the thread of the connection's worker, between packets: it must return
    /// in microseconds and never block. The socket is an ordinary one, registered with no runtime.
    fn take(&self, worker: usize, connection: Captured);

    /// Takes the two ends of a session whose [`Terms::between`](crate::Terms::between) a route has set: `client` is a socket
    /// whose other end the relay joins with the client, and `server` is the server's connection. The session ends when the
    /// taker has closed `client`. The relay calls this on the thread of the connection's worker, likewise. Closes both by
    /// default.
    fn stand_between(&self, worker: usize, client: Captured, server: OwnedFd) {
        let _ = (worker, client, server);
    }

    /// Notes that the interface closes; see [`Service::closing`](faith_stack::Service::closing).
    fn closing(&self) {}
}

/// Destinations whose connections go to the [`Taker`].
#[derive(Debug, Clone)]
pub struct LocalService {
    /// Its address; `None` is every address of the host except loopback ones.
    pub address: Option<Ipv4Addr>,
    /// Its ports.
    pub ports: PortSet,
}

/// The destinations that this host serves itself; default none.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The services; the first that fits takes a connection.
    pub services: Vec<LocalService>,
    /// True connects other connections to the host's own addresses, so that the host's listeners serve them.
    pub host: bool,
}

/// The way in which this host serves a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// The [`Taker`] gets the connection.
    ByService,
    /// The host's listeners get it.
    ByHost,
}

impl Local {
    /// The way in which this host serves a destination; `None` if it does not. `owns` returns true if an address is surely
    /// the host's own.
    pub(crate) fn serves(
        &self,
        address: Ipv4Addr,
        port: u16,
        owns: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Served> {
        // The normal path: a relay without local services asks nothing.
        if self.services.is_empty() && !self.host {
            return None;
        }
        let is_host = is_host(address, owns);
        let fits = |service: &LocalService| service.ports.contains(port) && service.has(address, is_host);
        if self.services.iter().any(fits) {
            return Some(Served::ByService);
        }
        (self.host && is_host).then_some(Served::ByHost)
    }

    /// Returns true if this host serves a port of the address. `owns` is that of [`serves`](Self::serves).
    pub(crate) fn serves_some_port(&self, address: Ipv4Addr, owns: impl Fn(Ipv4Addr) -> bool) -> bool {
        if self.services.is_empty() && !self.host {
            return false;
        }
        let is_host = is_host(address, owns);
        self.host && is_host || self.services.iter().any(|service| service.has(address, is_host))
    }
}

impl LocalService {
    /// Returns true if the service is for this address. `is_host` tells whether the address is the host's own.
    fn has(&self, address: Ipv4Addr, is_host: bool) -> bool {
        self.address.map_or(is_host, |named| named == address)
    }
}

fn is_host(address: Ipv4Addr, owns: impl Fn(Ipv4Addr) -> bool) -> bool {
    !address.is_loopback() && !address.is_unspecified() && owns(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    fn serves(local: &Local, address: Ipv4Addr, port: u16) -> Option<Served> {
        local.serves(address, port, |address| address == OWN || address.is_loopback())
    }

    fn service(address: Option<Ipv4Addr>, port: u16) -> LocalService {
        LocalService { address, ports: PortSet::from_ranges([(port, port)]).unwrap() }
    }

    #[test]
    fn a_service_without_an_address_takes_its_port_of_the_hosts_own_addresses() {
        let local = Local { services: vec![service(None, 22)], host: false };
        assert_eq!(serves(&local, OWN, 22), Some(Served::ByService));
        assert_eq!(serves(&local, OWN, 23), None);
        assert!(local.serves_some_port(OWN, |address| address == OWN));
        assert!(!local.serves_some_port(OTHER, |address| address == OWN));
        assert_eq!(serves(&local, OTHER, 22), None);
        assert_eq!(serves(&local, Ipv4Addr::LOCALHOST, 22), None);
        assert_eq!(serves(&local, Ipv4Addr::UNSPECIFIED, 22), None);
    }

    #[test]
    fn a_service_with_an_address_takes_that_address_alone() {
        let local = Local { services: vec![service(Some(OTHER), 22)], host: false };
        assert_eq!(serves(&local, OTHER, 22), Some(Served::ByService));
        assert_eq!(serves(&local, OWN, 22), None);
    }

    #[test]
    fn the_host_serves_its_own_addresses_where_no_service_does() {
        let local = Local { services: vec![service(None, 22)], host: true };
        assert_eq!(serves(&local, OWN, 22), Some(Served::ByService));
        assert_eq!(serves(&local, OWN, 80), Some(Served::ByHost));
        assert_eq!(serves(&local, OTHER, 80), None);
        assert_eq!(serves(&local, Ipv4Addr::LOCALHOST, 80), None);
        assert_eq!(serves(&Local::default(), OWN, 80), None);
    }
}
