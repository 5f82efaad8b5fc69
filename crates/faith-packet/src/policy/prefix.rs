//! An IPv4 prefix as access lists write it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use thiserror::Error;

/// Why something is not an [`Ipv4Prefix`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Ipv4PrefixError {
    /// The text is neither an address nor `ADDRESS/LENGTH`.
    #[error("{0:?} is not an IPv4 prefix; write ADDRESS or ADDRESS/LENGTH, like 198.51.100.0/24")]
    Syntax(String),
    /// The length is above 32.
    #[error("an IPv4 prefix cannot be /{0}; use /0 to /32")]
    Length(u8),
    /// Bits behind the prefix length are set.
    #[error("{address}/{length} has host bits set; write {network}/{length} or {address}/32")]
    HostBits {
        /// The address as given.
        address: Ipv4Addr,
        /// The length as given.
        length: u8,
        /// The address without its host bits.
        network: Ipv4Addr,
    },
}

/// An IPv4 prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv4Prefix {
    bits: u32,
    length: u8,
}

impl Ipv4Prefix {
    /// A prefix from its address and length.
    ///
    /// # Errors
    ///
    /// [`Ipv4PrefixError::Length`] and [`Ipv4PrefixError::HostBits`].
    pub fn new(address: Ipv4Addr, length: u8) -> Result<Self, Ipv4PrefixError> {
        if length > 32 {
            return Err(Ipv4PrefixError::Length(length));
        }
        let prefix = Self::covering(address, length);
        let network = prefix.address();
        if network != address {
            return Err(Ipv4PrefixError::HostBits { address, length, network });
        }
        Ok(prefix)
    }

    /// The prefix of this length, at most 32, that `address` is inside.
    pub(super) const fn covering(address: Ipv4Addr, length: u8) -> Self {
        Self { bits: address.to_bits() & mask(length), length }
    }

    /// The prefix's own address, all host bits zero.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.bits)
    }

    /// The prefix length, 0 to 32.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is inside the prefix.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.bits) & mask(self.length) == 0
    }
}

const fn mask(length: u8) -> u32 {
    match u32::MAX.checked_shr(length as u32) {
        Some(host_bits) => !host_bits,
        None => u32::MAX,
    }
}

/// `ADDRESS/LENGTH`, or `ADDRESS` for a `/32`.
impl FromStr for Ipv4Prefix {
    type Err = Ipv4PrefixError;

    fn from_str(text: &str) -> Result<Self, Ipv4PrefixError> {
        let syntax = || Ipv4PrefixError::Syntax(text.to_owned());
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        // u8::from_str takes "+24", which no other tool prints or reads.
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(syntax());
        }
        let address = address.parse().map_err(|_| syntax())?;
        let length = length.parse().map_err(|_| syntax())?;
        Self::new(address, length)
    }
}

/// `ADDRESS/LENGTH`, for a `/32` too.
impl fmt::Display for Ipv4Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}
