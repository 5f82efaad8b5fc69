//! The protocols that a relay carries.

use std::fmt;
use std::str::FromStr;

/// A protocol that a relay carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Connections of TCP.
    #[default]
    Tcp,
    /// Datagrams of UDP.
    Udp,
    /// Echo requests (ping) and their replies: ICMP with IPv4, ICMPv6 with IPv6.
    Icmp,
}

impl Protocol {
    /// Every protocol, in the order of [`index`](Self::index).
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// Its name in access lists, records and statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }

    /// Its number in the header of an IPv4 packet, by IANA's registry of protocols.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no name of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoProtocol;

/// Reads a name, in letters of either case.
impl FromStr for Protocol {
    type Err = NoProtocol;

    fn from_str(text: &str) -> Result<Self, NoProtocol> {
        Self::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(text)).ok_or(NoProtocol)
    }
}
