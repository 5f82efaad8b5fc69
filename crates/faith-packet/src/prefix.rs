//! The IPv6 addresses that an interface captures: an RFC 6052 prefix, and the ordered set of them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

use crate::excerpt::excerpt;

/// The prefix lengths for which RFC 6052 section 2.2 defines an embedding.
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// Address space that no prefix may overlap: packets to or from it are never ordinary unicast, so
/// capturing them would break the router itself.
const RESERVED: [(u128, u8, &str); 4] = [
    // One block for ::, ::1 and ::ffff:0:0/96: no legal prefix fits between them, and the
    // deprecated IPv4-compatible addresses (RFC 4291 section 2.5.5.1) share it.
    (0, 96, "the unspecified and loopback addresses"),
    (0xffff << 32, 96, "the IPv4-mapped addresses"),
    (0xfe80 << 112, 10, "the link-local addresses"),
    (0xff << 120, 8, "the multicast addresses"),
];

/// Errors of reading or building a [`FaithPrefix`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PrefixError {
    /// The text is not `ADDRESS/LENGTH`.
    #[error("{0:?} is not an IPv6 prefix; write ADDRESS/LENGTH, like 64:ff9b::/96")]
    Syntax(String),
    /// RFC 6052 has no embedding for this length.
    #[error("a faith prefix cannot be /{0}; use /32, /40, /48, /56, /64 or /96")]
    Length(u8),
    /// Bits behind the prefix length are set.
    #[error("{address}/{length} has host bits set; write {network}/{length}")]
    HostBits {
        /// The address as given.
        address: Ipv6Addr,
        /// The length as given.
        length: u8,
        /// The address without its host bits.
        network: Ipv6Addr,
    },
    /// The prefix holds addresses that must not be captured.
    #[error("{address}/{length} overlaps {what}; choose global or unique local address space")]
    Reserved {
        /// The address as given.
        address: Ipv6Addr,
        /// The length as given.
        length: u8,
        /// The reserved address space that it overlaps.
        what: &'static str,
    },
}

/// A prefix whose addresses are captured. Each address embeds an IPv4 address.
///
/// The prefix has one of RFC 6052's lengths, no host bits, and lies in ordinary unicast space. RFC
/// 6052 section 2.2 requires bits 64 to 71 (the "u" octet) to be zero, which a `/96` could violate.
/// Such a `/96` is accepted: it embeds the IPv4 address in the last 32 bits, which is unambiguous,
/// and RFC 7136 has since removed the octet's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaithPrefix {
    bits: u128,
    length: u8,
}

impl FaithPrefix {
    /// A prefix from its address and length.
    ///
    /// # Errors
    ///
    /// [`PrefixError`], except `Syntax`.
    pub fn new(address: Ipv6Addr, length: u8) -> Result<Self, PrefixError> {
        if !LENGTHS.contains(&length) {
            return Err(PrefixError::Length(length));
        }
        let bits = address.to_bits();
        let network = bits & mask(length);
        if network != bits {
            return Err(PrefixError::HostBits { address, length, network: Ipv6Addr::from_bits(network) });
        }
        for (reserved, reserved_length, what) in RESERVED {
            if (bits ^ reserved) & mask(length.min(reserved_length)) == 0 {
                return Err(PrefixError::Reserved { address, length, what });
            }
        }
        Ok(Self { bits, length })
    }

    /// The prefix's own address, all host bits zero.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.bits)
    }

    /// The prefix length: 32, 40, 48, 56, 64 or 96.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Returns true if `address` is inside the prefix.
    #[must_use]
    pub fn contains(&self, address: &Ipv6Addr) -> bool {
        self.contains_bits(address.to_bits())
    }

    /// Returns true if the address with these bits, most significant first, is inside the prefix.
    #[must_use]
    #[inline]
    pub fn contains_bits(&self, address: u128) -> bool {
        (address ^ self.bits) & mask(self.length) == 0
    }

    /// Returns true if the prefixes have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        (self.bits ^ other.bits) & mask(self.length.min(other.length)) == 0
    }
}

/// The first `length` bits of an address, 0 to 128, with zeros behind them.
#[must_use]
pub fn network_of(address: Ipv6Addr, length: u8) -> u128 {
    address.to_bits() & mask(length.min(128))
}

/// The network mask of a length from 0 to 128.
#[inline]
fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Reads `ADDRESS/LENGTH`.
impl FromStr for FaithPrefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let syntax = || PrefixError::Syntax(excerpt(text));
        let (address, length) = text.split_once('/').ok_or_else(syntax)?;
        // u8::from_str accepts "+96", which no other tool prints or reads.
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(syntax());
        }
        let address = address.parse().map_err(|_| syntax())?;
        let length = length.parse().map_err(|_| syntax())?;
        Self::new(address, length)
    }
}

impl fmt::Display for FaithPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

/// Errors of adding a prefix to a [`PrefixSet`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PrefixSetError {
    /// Some address would be in two prefixes, and so mean two IPv4 addresses.
    #[error("prefix {prefix} overlaps {existing}, which the interface already has")]
    Overlap {
        /// The prefix that was to be added.
        prefix: FaithPrefix,
        /// The prefix it overlaps.
        existing: FaithPrefix,
    },
}

/// The prefixes of one faith interface: ordered by address, none overlapping another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    prefixes: Vec<FaithPrefix>,
}

impl PrefixSet {
    /// A set without prefixes, which contains no address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a prefix.
    ///
    /// # Errors
    ///
    /// [`PrefixSetError::Overlap`] if the set has this prefix, one inside it or one around it.
    pub fn insert(&mut self, prefix: FaithPrefix) -> Result<(), PrefixSetError> {
        if let Some(&existing) = self.prefixes.iter().find(|have| have.overlaps(&prefix)) {
            return Err(PrefixSetError::Overlap { prefix, existing });
        }
        let position = self.prefixes.partition_point(|have| *have < prefix);
        self.prefixes.insert(position, prefix);
        Ok(())
    }

    /// Removes exactly this prefix. Returns false if the set does not have it.
    pub fn remove(&mut self, prefix: &FaithPrefix) -> bool {
        let before = self.prefixes.len();
        self.prefixes.retain(|have| have != prefix);
        self.prefixes.len() != before
    }

    /// Returns true if the address with these bits, most significant first, is inside a prefix.
    #[must_use]
    #[inline]
    pub fn contains(&self, address: u128) -> bool {
        match self.prefixes.as_slice() {
            [only] => only.contains_bits(address),
            _ => self.lookup(address).is_some(),
        }
    }

    /// The prefix that `address` is inside.
    #[must_use]
    pub fn find(&self, address: &Ipv6Addr) -> Option<&FaithPrefix> {
        self.lookup(address.to_bits())
    }

    /// The prefixes in the order of their addresses.
    pub fn iter(&self) -> std::slice::Iter<'_, FaithPrefix> {
        self.prefixes.iter()
    }

    /// The number of prefixes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// Returns true if the set has no prefix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Finds the prefix by one binary search: no two prefixes overlap, so only the last one that
    /// starts at or before the address can hold it.
    fn lookup(&self, address: u128) -> Option<&FaithPrefix> {
        let after = self.prefixes.partition_point(|have| have.bits <= address);
        let candidate = self.prefixes.get(after.checked_sub(1)?)?;
        candidate.contains_bits(address).then_some(candidate)
    }
}

impl<'a> IntoIterator for &'a PrefixSet {
    type Item = &'a FaithPrefix;
    type IntoIter = std::slice::Iter<'a, FaithPrefix>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
