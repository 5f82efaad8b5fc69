//! Maps a captured address to the IPv4 server that it means.
//!
//! Most addresses embed an IPv4 address, as [`rfc6052`] reads it. Explicit mappings, in the manner of
//! RFC 7757, override that for a prefix of addresses or a single one. Where several hold an address,
//! the one with the longest IPv6 prefix decides. Mappings are written with an equals sign:
//!
//! ```text
//! 2001:db8:64:a::/120=198.51.100.0/24     maps 256 addresses one-to-one, by their last 8 bits
//! 2001:db8:64::25=198.51.100.25           maps one address
//! 2001:db8:64::80=198.51.100.80:8080      maps one address, and every port of it to this port
//! ```
//!
//! RFC 7757 maps in both directions, so there an IPv4 address may stand for one IPv6 address only. A
//! relay maps in one direction, so any number of IPv6 prefixes may mean the same servers.

mod explicit;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use thiserror::Error;

use crate::cidr::{Address, Ipv6Prefix};
use crate::nest::Nest;
use crate::prefix::FaithPrefix;
use crate::rfc6052::{self, low32};

pub use explicit::{ExplicitMapping, MappingError, Meaning};

/// Errors of mappings that contradict each other.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MappingsError {
    /// Two mappings have the same IPv6 prefix.
    #[error("{ipv6} is mapped twice, to {first} and to {second}; remove one of them")]
    Duplicate {
        /// The prefix.
        ipv6: Ipv6Prefix,
        /// The meaning in the first mapping.
        first: Meaning,
        /// The meaning in the second mapping.
        second: Meaning,
    },
}

/// The explicit mappings, and the way of reading addresses without one.
///
/// ```
/// use faith_packet::mapping::Mappings;
/// use faith_packet::rfc6052::Mapping;
/// let mail = "64:ff9b::c633:6419=192.0.2.25:2525".parse()?;
/// let mappings = Mappings::new(Mapping::Rfc6052, [mail])?;
/// let prefix = "64:ff9b::/96".parse()?;
/// let resolve = |dialled: &str| mappings.resolve(&prefix, dialled.parse().unwrap());
/// assert_eq!(resolve("[64:ff9b::c633:6419]:25"), "192.0.2.25:2525".parse().ok());
/// assert_eq!(resolve("[64:ff9b::c633:6402]:25"), "198.51.100.2:25".parse().ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    explicit: Nest<Ipv6Addr, Meaning>,
    otherwise: rfc6052::Mapping,
}

impl Mappings {
    /// Takes explicit mappings in any order; `otherwise` reads the addresses without one.
    ///
    /// # Errors
    ///
    /// [`MappingsError::Duplicate`].
    pub fn new(
        otherwise: rfc6052::Mapping,
        explicit: impl IntoIterator<Item = ExplicitMapping>,
    ) -> Result<Self, MappingsError> {
        let mut sorted: Vec<ExplicitMapping> = explicit.into_iter().collect();
        // A stable sort, so that an error names duplicates in the order given.
        sorted.sort_by_key(ExplicitMapping::ipv6);

        let mut explicit = Nest::default();
        for mapping in sorted {
            let (ipv6, second) = (mapping.ipv6(), mapping.meaning());
            if let Some((_, first)) = explicit.last().filter(|(last, _)| *last == ipv6) {
                return Err(MappingsError::Duplicate { ipv6, first: *first, second });
            }
            explicit.push(0, ipv6, |_| second);
        }
        Ok(Self { explicit, otherwise })
    }

    /// The address inside `prefix` that means `server`, explicit mappings aside.
    #[must_use]
    pub fn embed_unmapped(&self, prefix: &FaithPrefix, server: Ipv4Addr) -> Ipv6Addr {
        self.otherwise.embed(prefix, server)
    }

    /// The server that `destination` means. `None` if the address has no explicit mapping and is
    /// outside `prefix`.
    #[must_use]
    pub fn resolve(&self, prefix: &FaithPrefix, destination: SocketAddrV6) -> Option<SocketAddrV4> {
        let (address, port) = (*destination.ip(), destination.port());
        let explicit = self.explicit.holding(0..self.explicit.len(), address.to_bits()).next();
        let server = match explicit.map(|(_, meaning)| meaning) {
            Some(Meaning::Server(server)) => return Some(*server),
            Some(Meaning::Prefix(ipv4)) => {
                // The two prefixes have equally many host bits, so at most 32 are kept.
                let kept = low32(address).to_bits() & !<Ipv4Addr as Address>::mask(ipv4.length());
                Ipv4Addr::from_bits(ipv4.bits() | kept)
            }
            None => self.otherwise.extract(prefix, address)?,
        };
        Some(SocketAddrV4::new(server, port))
    }

    /// The address inside `prefix` that means `server`. `None` if an explicit mapping gives that
    /// address another meaning.
    #[must_use]
    pub fn embed(&self, prefix: &FaithPrefix, server: Ipv4Addr) -> Option<Ipv6Addr> {
        let address = self.otherwise.embed(prefix, server);
        let meant = self.resolve(prefix, SocketAddrV6::new(address, 0, 0, 0))?;
        (*meant.ip() == server).then_some(address)
    }
}

#[cfg(test)]
mod tests;
