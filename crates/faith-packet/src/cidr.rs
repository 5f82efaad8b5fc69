//! IPv4 and IPv6 prefixes of any length, as access lists and mappings write them.
//!
//! Prefixes for capture are more restricted: see [`FaithPrefix`](crate::prefix::FaithPrefix).

mod address;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::excerpt::excerpt;

pub use address::Address;

/// An IPv4 prefix without host bits, `/0` to `/32`.
pub type Ipv4Prefix = Prefix<Ipv4Addr>;

/// An IPv6 prefix without host bits, `/0` to `/128`.
pub type Ipv6Prefix = Prefix<Ipv6Addr>;

/// Errors of reading or building a [`Prefix`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CidrError<A: Address> {
    /// The text is neither an address nor `ADDRESS/LENGTH`.
    #[error("{0:?} is not an {family} prefix; write ADDRESS or ADDRESS/LENGTH, like {example}",
        family = A::FAMILY, example = A::EXAMPLE)]
    Syntax(String),
    /// The length exceeds the number of bits in an address.
    #[error("an {family} prefix cannot be /{0}; use /0 to /{longest}",
        family = A::FAMILY, longest = A::LENGTH)]
    Length(u8),
    /// Bits behind the prefix length are set.
    #[error("{address}/{length} has host bits set; write {network}/{length} or {address}/{longest}",
        longest = A::LENGTH)]
    HostBits {
        /// The address as given.
        address: A,
        /// The length as given.
        length: u8,
        /// The address without its host bits.
        network: A,
    },
}

/// A prefix without host bits, of any length its address family has.
///
/// Prefixes are ordered by address, then by length: a prefix comes before those inside it.
///
/// ```
/// use faith_packet::cidr::{Ipv4Prefix, Ipv6Prefix};
/// let clients: Ipv6Prefix = "2001:db8:1::/48".parse()?;
/// assert!(clients.contains("2001:db8:1:2::3".parse().unwrap()));
/// assert!("198.51.100.2/24".parse::<Ipv4Prefix>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix<A: Address> {
    bits: A::Bits,
    length: u8,
}

impl<A: Address> Prefix<A> {
    /// A prefix from its address and length.
    ///
    /// # Errors
    ///
    /// [`CidrError::Length`] and [`CidrError::HostBits`].
    pub fn new(address: A, length: u8) -> Result<Self, CidrError<A>> {
        if length > A::LENGTH {
            return Err(CidrError::Length(length));
        }
        let prefix = Self { bits: address.bits() & A::mask(length), length };
        if prefix.bits != address.bits() {
            return Err(CidrError::HostBits { address, length, network: prefix.address() });
        }
        Ok(prefix)
    }

    /// The prefix that holds every address.
    #[must_use]
    pub fn all() -> Self {
        Self { bits: A::mask(0), length: 0 }
    }

    /// The prefix that holds this address alone.
    #[must_use]
    pub fn single(address: A) -> Self {
        Self { bits: address.bits(), length: A::LENGTH }
    }

    /// The prefix's own address, all host bits zero.
    #[must_use]
    pub fn address(&self) -> A {
        A::from_bits(self.bits)
    }

    /// The prefix length.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The number of host bits.
    #[must_use]
    pub fn suffix_length(&self) -> u8 {
        A::LENGTH.saturating_sub(self.length)
    }

    /// Returns true if `address` is inside the prefix.
    #[must_use]
    #[inline]
    pub fn contains(&self, address: A) -> bool {
        self.contains_bits(address.bits())
    }

    #[inline]
    pub(crate) fn contains_bits(&self, address: A::Bits) -> bool {
        (address ^ self.bits) & A::mask(self.length) == A::mask(0)
    }

    /// The prefix's own address as a number.
    #[inline]
    pub(crate) fn bits(&self) -> A::Bits {
        self.bits
    }
}

/// Reads `ADDRESS/LENGTH`, or `ADDRESS` for the prefix that holds this address alone.
impl<A: Address> FromStr for Prefix<A> {
    type Err = CidrError<A>;

    fn from_str(text: &str) -> Result<Self, CidrError<A>> {
        let syntax = || CidrError::Syntax(excerpt(text));
        let (address, length) = match text.split_once('/') {
            // u8::from_str accepts "+24", which no other tool prints or reads.
            Some((_, length)) if !length.bytes().all(|byte| byte.is_ascii_digit()) => return Err(syntax()),
            Some((address, length)) => (address, length.parse().map_err(|_| syntax())?),
            None => (text, A::LENGTH),
        };
        Self::new(address.parse().map_err(|_| syntax())?, length)
    }
}

/// Writes `ADDRESS/LENGTH`, for a single address too.
impl<A: Address> fmt::Display for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}

#[cfg(test)]
mod tests;
