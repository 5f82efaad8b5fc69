//! The upstreams of a server, as they are given.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::secure::{SecureUpstream, UpstreamSyntaxError};

/// A DNS server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Over UDP, and over TCP if a response is truncated. Written `192.0.2.53:53`.
    Plain(SocketAddr),
    /// Over TLS or HTTPS.
    Secure(SecureUpstream),
}

impl FromStr for Upstream {
    type Err = UpstreamSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.parse().map(Self::Plain);
        plain.or_else(|_| text.parse().map(Self::Secure))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(formatter),
            Self::Secure(upstream) => upstream.fmt(formatter),
        }
    }
}

/// The upstreams of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// These, in this order.
    Given(Vec<Upstream>),
    /// Those of a file in the form of resolv.conf(5), which is read again when it changes.
    ResolvConf(PathBuf),
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::ResolvConf("/etc/resolv.conf".into())
    }
}

impl Upstreams {
    /// Returns true if one of them is asked over TLS.
    pub(crate) fn has_secure(&self) -> bool {
        matches!(self, Self::Given(upstreams) if upstreams.iter().any(|one| matches!(one, Upstream::Secure(_))))
    }

    /// An upstream whose name none of the others can look up.
    pub(crate) fn unreachable(&self) -> Option<&SecureUpstream> {
        let Self::Given(upstreams) = self else { return None };
        let has_address = |upstream: &Upstream| match upstream {
            Upstream::Plain(_) => true,
            Upstream::Secure(upstream) => upstream.address().is_some(),
        };
        if upstreams.iter().any(has_address) {
            return None;
        }
        upstreams.iter().find_map(|upstream| match upstream {
            Upstream::Secure(upstream) => Some(upstream),
            Upstream::Plain(_) => None,
        })
    }
}
