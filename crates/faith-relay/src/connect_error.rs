//! The ways in which a connection to a server fails.

use std::io;
use std::net::Ipv4Addr;

/// Why a server could not be connected to.
#[derive(Debug)]
pub enum ConnectError {
    /// bind(2) does not let the connection come from this address.
    Source {
        /// The address; unspecified where only the port was chosen.
        address: Ipv4Addr,
        /// Why.
        error: io::Error,
    },
    /// Any other error of socket(2), bind(2) or connect(2); `ETIMEDOUT` too where the server took too long to answer.
    Other(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}
