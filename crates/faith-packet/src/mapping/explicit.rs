//! One explicit mapping.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};
use std::str::FromStr;

use thiserror::Error;

use crate::cidr::{CidrError, Ipv4Prefix, Ipv6Prefix};
use crate::excerpt::excerpt;

/// The IPv4 side of an explicit mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The address with the same last bits in this prefix, and the port dialled.
    Prefix(Ipv4Prefix),
    /// This server, for every port dialled.
    Server(SocketAddrV4),
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(ipv4) => ipv4.fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

/// Errors of reading or building an [`ExplicitMapping`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MappingError {
    /// There is no equals sign.
    #[error("{0:?} is not a mapping; write IPV6/LENGTH=IPV4/LENGTH or IPV6=IPV4:PORT")]
    Syntax(String),
    /// The left side is not an IPv6 prefix.
    #[error(transparent)]
    Ipv6(#[from] CidrError<Ipv6Addr>),
    /// The right side is not an IPv4 prefix.
    #[error(transparent)]
    Ipv4(#[from] CidrError<Ipv4Addr>),
    /// The right side has a colon, but is not an IPv4 address with a port.
    #[error("{0:?} is not a server; write ADDRESS:PORT, like 198.51.100.80:8080")]
    Server(String),
    /// The prefixes have different numbers of host bits.
    #[error("{ipv6} leaves {} bits of an address open and {ipv4} leaves {}; for {ipv4} write an IPv6 prefix of /{}",
        .ipv6.suffix_length(), .ipv4.suffix_length(), 96 + .ipv4.length())]
    SuffixLength {
        /// The IPv6 prefix.
        ipv6: Ipv6Prefix,
        /// The IPv4 prefix.
        ipv4: Ipv4Prefix,
    },
    /// A port is given for more than one address.
    #[error("{ipv6} is more than one address and cannot mean {server}; write one, or leave out the port")]
    PortOfMany {
        /// The IPv6 prefix.
        ipv6: Ipv6Prefix,
        /// The server.
        server: SocketAddrV4,
    },
    /// The server's port is 0, which cannot be dialled.
    #[error("{0}: port 0 is not a port; use 1 to 65535")]
    PortZero(SocketAddrV4),
}

/// Maps the addresses of an IPv6 prefix to those of an IPv4 prefix, or a single address to one
/// server. [The module](super) describes the notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExplicitMapping {
    ipv6: Ipv6Prefix,
    meaning: Meaning,
}

impl ExplicitMapping {
    /// Maps a prefix to one with as many host bits.
    ///
    /// # Errors
    ///
    /// [`MappingError::SuffixLength`].
    pub fn prefix(ipv6: Ipv6Prefix, ipv4: Ipv4Prefix) -> Result<Self, MappingError> {
        if ipv6.suffix_length() != ipv4.suffix_length() {
            return Err(MappingError::SuffixLength { ipv6, ipv4 });
        }
        Ok(Self { ipv6, meaning: Meaning::Prefix(ipv4) })
    }

    /// Maps every port of one address to one port of a server.
    ///
    /// # Errors
    ///
    /// [`MappingError::PortZero`].
    pub fn server(ipv6: Ipv6Addr, server: SocketAddrV4) -> Result<Self, MappingError> {
        if server.port() == 0 {
            return Err(MappingError::PortZero(server));
        }
        Ok(Self { ipv6: Ipv6Prefix::single(ipv6), meaning: Meaning::Server(server) })
    }

    /// The addresses that are mapped.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Prefix {
        self.ipv6
    }

    /// The IPv4 side of the mapping.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }
}

impl FromStr for ExplicitMapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let (ipv6, meaning) = text.split_once('=').ok_or_else(|| MappingError::Syntax(excerpt(text)))?;
        let ipv6: Ipv6Prefix = ipv6.parse()?;
        if !meaning.contains(':') {
            return Self::prefix(ipv6, meaning.parse()?);
        }
        let server = meaning.parse().map_err(|_| MappingError::Server(excerpt(meaning)))?;
        if ipv6.suffix_length() > 0 {
            return Err(MappingError::PortOfMany { ipv6, server });
        }
        Self::server(ipv6.address(), server)
    }
}

/// Writes the text from which the mapping can be read, with `/32` and `/128` for single addresses.
impl fmt::Display for ExplicitMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.ipv6, self.meaning)
    }
}
