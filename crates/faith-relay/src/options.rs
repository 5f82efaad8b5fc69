//! The settings of a relay.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use faith_packet::access::AccessList;
use faith_packet::mapping::Mappings;
use faith_packet::ports::PortSet;
use faith_packet::proxy::Version;
use faith_stack::HoldLimits;

use crate::clients::ClientLimits;
use crate::local::{Local, Taker};
use crate::port_blocks::PortBlockOptions;
use crate::route::Routing;
use crate::udp::UdpOptions;

/// The settings of a relay. [`new`](Self::new) gives the defaults.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct RelayOptions {
    /// The ports that the relay serves, of each of its protocols.
    pub ports: PortSet,
    /// Relays connections of TCP; default true.
    pub tcp: bool,
    /// Relays datagrams of UDP, echo requests or both by these settings; default `None`, does not. A [`Route`](crate::Route) is not asked about
    /// them.
    pub udp: Option<UdpOptions>,
    /// One address inside a prefix of the interface; `None`, the default, is every address.
    pub address: Option<Ipv6Addr>,
    /// Length of the kernel's accept queue, per worker; default 4096.
    pub backlog: u32,
    /// The mappings from dialled addresses to IPv4 servers; default RFC 6052 without explicit mappings.
    pub mappings: Mappings,
    /// The permitted clients and destinations; default every client, to public addresses.
    pub access: AccessList,
    /// The addresses of this host to connect from, if neither the access list nor a route names one. Those of the server's
    /// family apply; default, and if none is of that family: the routing table chooses. A client (a network of
    /// [`ClientLimits::prefix_length`] bits) keeps one of them while that has ports left.
    pub sources: Vec<IpAddr>,
    /// Connections of a client leave from its own blocks of ports of a named source; default `None`, from any port.
    pub port_blocks: Option<PortBlockOptions>,
    /// Connect from a privileged port (rresvport(3)), if clients have no blocks; default false.
    pub privileged_source: bool,
    /// The version of the PROXY protocol that tells the server the client's address; default `None`, no header.
    pub proxy: Option<Version>,
    /// Give packets to the server the DSCP of the client's SYN; default false.
    pub copy_dscp: bool,
    /// The route that decides about each connection; default `None`, the mappings and the access list decide alone.
    pub routing: Option<Routing>,
    /// The destinations that this host serves itself; default none.
    pub local: Local,
    /// Gets the connections of [`Local::services`], and those that a route takes; default `None`, which closes them.
    pub taker: Option<Arc<dyn Taker>>,
    /// Connect to the server before the client's handshake completes; default true.
    pub connect_first: bool,
    /// The limits of SYNs that connect-first may hold.
    pub hold: HoldLimits,
    /// Longest time that a server may take to answer; default 10 s.
    pub connect_timeout: Duration,
    /// Longest time that a session may pass no byte; default 30 min, `None` is no limit.
    pub idle_timeout: Option<Duration>,
    /// Declare a silent peer dead after this long: one that leaves data or keep-alive probes unanswered. Whole seconds;
    /// default 2 min.
    pub keep_alive: Duration,
    /// Accepted connections at a time; `None`, the default, is no limit but the process's descriptors.
    pub max_sessions: Option<u32>,
    /// Limits for each client; default no limits.
    pub clients: ClientLimits,
}

impl RelayOptions {
    /// The defaults, for these ports.
    #[must_use]
    pub fn new(ports: PortSet) -> Self {
        Self {
            ports,
            tcp: true,
            udp: None,
            address: None,
            backlog: 4096,
            mappings: Mappings::default(),
            access: AccessList::default(),
            sources: Vec::new(),
            port_blocks: None,
            privileged_source: false,
            proxy: None,
            copy_dscp: false,
            routing: None,
            local: Local::default(),
            taker: None,
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

impl fmt::Debug for RelayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayOptions").field("ports", &self.ports).finish_non_exhaustive()
    }
}
