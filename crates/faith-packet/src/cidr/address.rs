//! The trait that IPv4 and IPv6 addresses share.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::{BitAnd, BitXor};
use std::str::FromStr;

/// An IP address: [`Ipv4Addr`] or [`Ipv6Addr`], and no other type.
pub trait Address: Copy + Debug + Display + Eq + FromStr + Hash + Ord + Sealed + 'static {
    /// An address as a number, most significant bit first.
    type Bits: BitAnd<Output = Self::Bits> + BitXor<Output = Self::Bits> + Copy + Debug + Hash + Ord;

    /// The number of bits in an address.
    const LENGTH: u8;

    /// The family's name.
    const FAMILY: &str;

    /// An example of a prefix, for error messages.
    const EXAMPLE: &str;

    /// The address as a number.
    fn bits(self) -> Self::Bits;

    /// The address that is this number.
    fn from_bits(bits: Self::Bits) -> Self;

    /// The network mask of `length` bits, at most [`LENGTH`](Self::LENGTH).
    fn mask(length: u8) -> Self::Bits;
}

impl Address for Ipv4Addr {
    type Bits = u32;

    const LENGTH: u8 = 32;
    const FAMILY: &str = "IPv4";
    const EXAMPLE: &str = "198.51.100.0/24";

    #[inline]
    fn bits(self) -> u32 {
        self.to_bits()
    }

    #[inline]
    fn from_bits(bits: u32) -> Self {
        Self::from_bits(bits)
    }

    #[inline]
    fn mask(length: u8) -> u32 {
        !u32::MAX.checked_shr(length.into()).unwrap_or(0)
    }
}

impl Address for Ipv6Addr {
    type Bits = u128;

    const LENGTH: u8 = 128;
    const FAMILY: &str = "IPv6";
    const EXAMPLE: &str = "2001:db8::/32";

    #[inline]
    fn bits(self) -> u128 {
        self.to_bits()
    }

    #[inline]
    fn from_bits(bits: u128) -> Self {
        Self::from_bits(bits)
    }

    #[inline]
    fn mask(length: u8) -> u128 {
        !u128::MAX.checked_shr(length.into()).unwrap_or(0)
    }
}

/// Seals [`Address`]: code outside this module cannot name this trait, so it cannot implement either.
pub trait Sealed {}

impl Sealed for Ipv4Addr {}
impl Sealed for Ipv6Addr {}
