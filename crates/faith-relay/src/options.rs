//! What a relay takes and how it treats it.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::mapping::Mappings;
use faith_packet::ports::PortSet;
use faith_packet::proxy::Version;
use faith_stack::HoldLimits;

use crate::clients::ClientLimits;
use crate::route::Routing;

/// The settings of a relay; [`new`](Self::new) gives the defaults.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// The TCP ports it takes.
    pub ports: PortSet,
    /// One address inside a prefix of the interface; `None`, the default, is every address.
    pub address: Option<Ipv6Addr>,
    /// Length of the kernel's accept queue, per worker; 4096.
    pub backlog: u32,
    /// How the IPv4 destination is read from the address dialled; RFC 6052, and nothing explicit.
    pub mappings: Mappings,
    /// Who may be relayed where; everybody to public addresses.
    pub access: AccessList,
    /// The addresses that connections come from, where neither the access list nor a route names one: those of the
    /// server's family. None of that family is the routing table's choice. A client, its network of [`ClientLimits::prefix_length`], keeps one of them as long as it
    /// serves.
    pub sources: Vec<IpAddr>,
    /// Connect from a privileged port (rresvport(3)); false.
    pub privileged_source: bool,
    /// Tell the server who the client is by the PROXY protocol; not.
    pub proxy: Option<Version>,
    /// Give what goes to the server the DSCP of the client's SYN; false.
    pub copy_dscp: bool,
    /// Who is asked where each connection goes; nobody.
    pub routing: Option<Routing>,
    /// Connect to the server before the client's handshake completes; true.
    pub connect_first: bool,
    /// How many SYNs connect-first may hold.
    pub hold: HoldLimits,
    /// How long a server may take to answer; 10 s.
    pub connect_timeout: Duration,
    /// How long a session may pass no byte; 30 min, `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may be silent to keep-alive probes before it counts as gone; 2 min, whole seconds.
    pub keep_alive: Duration,
    /// Accepted connections at a time; `None`, the default, is as many as descriptors last.
    pub max_sessions: Option<u32>,
    /// What one client may take up; no limit.
    pub clients: ClientLimits,
}

impl RelayOptions {
    /// The defaults, for these ports.
    #[must_use]
    pub fn new(ports: PortSet) -> Self {
        Self {
            ports,
            address: None,
            backlog: 4096,
            mappings: Mappings::default(),
            access: AccessList::default(),
            sources: Vec::new(),
            privileged_source: false,
            proxy: None,
            copy_dscp: false,
            routing: None,
            connect_first: true,
            hold: HoldLimits::default(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_mins(30)),
            keep_alive: Duration::from_mins(2),
            max_sessions: None,
            clients: ClientLimits::default(),
        }
    }
}
