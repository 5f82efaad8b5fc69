//! The settings of a relay for datagrams.

use std::time::Duration;

/// The datagrams of servers that reach a client (RFC 4787 section 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Those of any server that the access list permits.
    EndpointIndependent,
    /// Those of addresses that the client has sent to, from any port.
    #[default]
    AddressDependent,
    /// Those of addresses and ports that the client has sent to.
    AddressAndPortDependent,
}

/// The treatment of datagrams of servers that are too long for the path to their client and did not come in fragments. The
/// server learns the length that fits either way, if the process may tell it. Datagrams that came in fragments go on in
/// fragments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Oversize {
    /// They go on in fragments.
    #[default]
    Fragment,
    /// They are dropped, as RFC 7915 section 4 has it for packets with "don't fragment", unless the server cannot be told.
    Drop,
}

/// The times after which a session ends, from the client's last datagram on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpTimeouts {
    /// That of ports without one of their own.
    pub otherwise: Duration,
    /// Those of single ports of servers.
    pub ports: Vec<(u16, Duration)>,
}

impl Default for UdpTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            otherwise: seconds(300),
            ports: vec![(53, seconds(10)), (123, seconds(30)), (3478, seconds(30))],
        }
    }
}

impl UdpTimeouts {
    pub(crate) fn of(&self, port: u16) -> Duration {
        let own = self.ports.iter().find(|(other, _)| *other == port);
        own.map_or(self.otherwise, |(_, timeout)| *timeout)
    }
}

/// The time after which a session of echo requests ends (RFC 5508 REQ-1, RFC 6146 section 4).
pub(crate) const ECHO_TIMEOUT: Duration = Duration::from_mins(1);

/// The settings of a relay for datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpOptions {
    /// Relays datagrams of UDP; default true.
    pub udp: bool,
    /// Relays echo requests (ping), within the same limits: an identifier counts as a port. Default false.
    pub icmp: bool,
    /// The datagrams of servers that reach a client; default [`Filtering::AddressDependent`].
    pub filtering: Filtering,
    /// The treatment of datagrams that are too long for a client; default [`Oversize::Fragment`].
    pub oversize: Oversize,
    /// Default 5 min; 10 s to port 53, 30 s to ports 123 and 3478.
    pub timeouts: UdpTimeouts,
    /// Most ports of clients at a time, each of which has a socket; default 16384, and at most a quarter of the descriptors
    /// that the process may open.
    pub max_mappings: u32,
    /// Most ports of one client at a time; default 1000, `None` is no limit.
    pub max_mappings_per_client: Option<u32>,
    /// Rate of new mappings of one client per second; default `None`, no limit.
    pub max_rate_per_client: Option<u32>,
    /// Rate of new sessions of all clients per second; default 100000.
    pub max_rate: u32,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            udp: true,
            icmp: false,
            filtering: Filtering::default(),
            oversize: Oversize::default(),
            timeouts: UdpTimeouts::default(),
            max_mappings: 16_384,
            max_mappings_per_client: Some(1000),
            max_rate_per_client: None,
            max_rate: 100_000,
        }
    }
}
