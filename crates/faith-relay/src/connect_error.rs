//! The ways in which a connection to a server fails.

use std::io;
use std::net::IpAddr;

/// Why a server could not be connected to.
#[derive(Debug)]
pub enum ConnectError {
    /// bind(2) does not let the connection come from this address.
    Source {
        /// The address; unspecified where only the port was chosen.
        address: IpAddr,
        /// Why.
        error: io::Error,
    },
    /// A router on the way, or the server's host, prohibits it (RFC 4443 section 3.1): `EACCES`. ICMPv6 alone has an error
    /// of its own for that; of ICMP the kernel makes `EHOSTUNREACH`.
    Prohibited(io::Error),
    /// Any other error of socket(2), bind(2) or connect(2); `ETIMEDOUT` too where the server took too long to answer.
    Other(io::Error),
}

impl ConnectError {
    /// The error of the system call that failed.
    #[must_use]
    pub fn error(&self) -> &io::Error {
        match self {
            Self::Source { error, .. } | Self::Prohibited(error) | Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}
