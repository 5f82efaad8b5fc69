//! The ways in which a connection to a server fails.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

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
    /// an error number of its own for this.
    Prohibited(io::Error),
    /// A router on the way to an IPv4 server, or its host, sent an ICMP message (Linux 5.8).
    Reported {
        /// Type and code of the message.
        icmp: (u8, u8),
        /// The sender.
        offender: Ipv4Addr,
        /// The error that the kernel makes of it.
        error: io::Error,
    },
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
            | Self::Reported { error, .. }
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
            | Self::Reported { error, .. }
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
