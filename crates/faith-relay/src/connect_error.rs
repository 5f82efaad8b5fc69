//! The ways in which a connection to a server fails.

use std::io;
use std::net::IpAddr;

use crate::cause::Cause;

/// The error of a connection to a server.
#[derive(Debug)]
pub enum ConnectError {
    /// bind(2) does not let the connection come from this address.
    Source {
        /// The address; unspecified if only the port was chosen.
        address: IpAddr,
        /// The error of bind(2).
        error: io::Error,
    },
    /// A router on the way, or the server's host, prohibits the connection (RFC 4443 section 3.1): `EACCES`. Only ICMPv6 has
    /// an error of its own for this. The kernel turns the error of ICMP into `EHOSTUNREACH`.
    Prohibited(io::Error),
    /// The client has no port left: `EADDRNOTAVAIL`.
    Ports {
        /// [`Cause::MaxPortsPerClient`] or [`Cause::NoPortBlock`].
        cause: Cause,
        /// The error that connect(2) would return.
        error: io::Error,
    },
    /// Any other error of socket(2), bind(2) or connect(2), and `ETIMEDOUT` if the server did not answer in time.
    Other(io::Error),
}

impl ConnectError {
    /// The error of the system call that failed.
    #[must_use]
    pub fn error(&self) -> &io::Error {
        match self {
            Self::Source { error, .. }
            | Self::Prohibited(error)
            | Self::Ports { error, .. }
            | Self::Other(error) => error,
        }
    }

    /// Does the same as [`error`](Self::error).
    #[must_use]
    pub fn into_error(self) -> io::Error {
        match self {
            Self::Source { error, .. }
            | Self::Prohibited(error)
            | Self::Ports { error, .. }
            | Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}
