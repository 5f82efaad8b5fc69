//! Embeds IPv4 addresses into IPv6 addresses, and extracts them.
//!
//! RFC 6052 puts the IPv4 address right behind the prefix, but skips bits 64 to 71:
//!
//! ```text
//! PL   0-------------32--40--48--56--64--72--80--88--96--104---------
//! 32  |     prefix    |v4(32)         | u | suffix                    |
//! 40  |     prefix        |v4(24)     | u |(8)| suffix                |
//! 48  |     prefix            |v4(16) | u | (16)  | suffix            |
//! 56  |     prefix                |(8)| u |  v4(24)   | suffix        |
//! 64  |     prefix                    | u |   v4(32)      | suffix    |
//! 96  |     prefix                                    |    v4(32)     |
//! ```
//!
//! Extraction reads only the four octets. It ignores the suffix, because section 2.2 says that a
//! translator SHOULD treat it as zero, and the "u" octet, because the algorithm of section 2.3
//! removes it unread. Several IPv6 addresses can therefore mean one IPv4 address, so the access list
//! always judges the extracted address.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::prefix::FaithPrefix;

/// The bits below the "u" octet.
const BELOW_U: u128 = (1 << 56) - 1;

/// The address inside `prefix` that means `address`. Its "u" octet and suffix are zero.
///
/// ```
/// use faith_packet::rfc6052::{embed, extract};
/// let prefix = "64:ff9b::/96".parse()?;
/// let server = "198.51.100.2".parse().unwrap();
/// let dialled = embed(&prefix, server);
/// assert_eq!(dialled.to_string(), "64:ff9b::c633:6402");
/// assert_eq!(extract(&prefix, dialled), Some(server));
/// # Ok::<(), faith_packet::prefix::PrefixError>(())
/// ```
#[must_use]
pub fn embed(prefix: &FaithPrefix, address: Ipv4Addr) -> Ipv6Addr {
    let value = u128::from(address.to_bits());
    let host = match shift(prefix) {
        None => value,
        Some(shift) => {
            let squeezed = value << shift;
            (squeezed & !BELOW_U) << 8 | (squeezed & BELOW_U)
        }
    };
    Ipv6Addr::from_bits(prefix.address().to_bits() | host)
}

/// The IPv4 address that `address` means by RFC 6052; `None` if it is outside `prefix`.
#[must_use]
pub fn extract(prefix: &FaithPrefix, address: Ipv6Addr) -> Option<Ipv4Addr> {
    if !prefix.contains(&address) {
        return None;
    }
    let Some(shift) = shift(prefix) else {
        return Some(low32(address));
    };
    let bits = address.to_bits();
    let squeezed = (bits >> 64) << 56 | (bits & BELOW_U);
    Some(truncate(squeezed >> shift))
}

/// The last 32 bits of an address.
#[must_use]
pub fn low32(address: Ipv6Addr) -> Ipv4Addr {
    truncate(address.to_bits())
}

/// The way of reading the IPv4 destination from a captured address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// RFC 6052: the 32 bits behind the prefix, without the "u" octet.
    #[default]
    Rfc6052,
    /// The last 32 bits for every prefix length, as RFC 3142 and BSD's faithd do. On a `/96` both
    /// ways give the same address.
    Low32,
}

impl Mapping {
    /// The IPv4 address that `address` means; `None` if it is outside `prefix`.
    #[must_use]
    pub fn extract(self, prefix: &FaithPrefix, address: Ipv6Addr) -> Option<Ipv4Addr> {
        match self {
            Self::Rfc6052 => extract(prefix, address),
            Self::Low32 => prefix.contains(&address).then(|| low32(address)),
        }
    }

    /// The address inside `prefix` that means `address`, with zeros in the bits that mean nothing.
    #[must_use]
    pub fn embed(self, prefix: &FaithPrefix, address: Ipv4Addr) -> Ipv6Addr {
        match self {
            Self::Rfc6052 => embed(prefix, address),
            Self::Low32 => Ipv6Addr::from_bits(prefix.address().to_bits() | u128::from(address.to_bits())),
        }
    }
}

/// The offset of the IPv4 address from bit 0, in an address without its "u" octet (120 bits). `None`
/// for `/96`, whose prefix includes the octet.
fn shift(prefix: &FaithPrefix) -> Option<u8> {
    88_u8.checked_sub(prefix.length())
}

fn truncate(bits: u128) -> Ipv4Addr {
    let [.., a, b, c, d] = bits.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests;
