//! The upstreams that are asked over TLS: their addresses, and the names in their certificates.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hickory_proto::rr::Name;
use rustls::pki_types::ServerName;
use thiserror::Error;

/// The port of DNS over TLS (RFC 7858).
pub(crate) const TLS_PORT: u16 = 853;

/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;

/// A DNS server that is asked over TLS (RFC 7858) or HTTPS (RFC 8484), as `tls://192.0.2.53:853#dns.example` or
/// `https://192.0.2.53/dns-query#dns.example`. Its certificate must be for the name behind `#`; without one, for the
/// host itself. The host may be a name, which the upstreams with addresses then look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureUpstream {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The name in the certificate, if it is not the host.
    pub(crate) name: Option<String>,
    /// The path of the requests; without one, DNS over TLS.
    pub(crate) path: Option<String>,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

/// The text is no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected an address and port, tls://ADDRESS[:PORT][#NAME], or https://ADDRESS[:PORT]/PATH[#NAME]")]
pub struct UpstreamSyntaxError;

impl SecureUpstream {
    /// The name in the certificate.
    pub(crate) fn certified(&self) -> Option<ServerName<'static>> {
        match (&self.name, &self.host) {
            (Some(name), _) | (None, Host::Name(name)) => ServerName::try_from(name.clone()).ok(),
            (None, Host::Address(address)) => Some(ServerName::IpAddress((*address).into())),
        }
    }

    /// The address, if the host is one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(address) => Some(SocketAddr::new(address, self.port)),
            Host::Name(_) => None,
        }
    }

    /// The host and port as a request for HTTP names them.
    pub(crate) fn authority(&self) -> String {
        let host = self.name.clone().unwrap_or_else(|| self.host.to_string());
        if self.port == HTTPS_PORT { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for SecureUpstream {
    type Err = UpstreamSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(UpstreamSyntaxError)?;
        let (rest, name) = rest.split_once('#').map_or((rest, None), |(rest, name)| (rest, Some(name)));
        let (place, path) = match (scheme, rest.split_once('/')) {
            ("tls", None) => (rest, None),
            ("https", Some((place, path))) if is_path(path) => (place, Some(format!("/{path}"))),
            _ => return Err(UpstreamSyntaxError),
        };
        let usual = if path.is_some() { HTTPS_PORT } else { TLS_PORT };
        let (host, port) = split_port(place, usual).ok_or(UpstreamSyntaxError)?;
        let upstream = Self { host: host.parse()?, port, name: name.map(str::to_owned), path };
        let is_named = name.is_none_or(|name| name.parse::<Host>().is_ok());
        if is_named && upstream.certified().is_some() { Ok(upstream) } else { Err(UpstreamSyntaxError) }
    }
}

impl fmt::Display for SecureUpstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.path.is_some() { "https" } else { "tls" };
        write!(formatter, "{scheme}://{}:{}{}", self.host, self.port, self.path.as_deref().unwrap_or(""))?;
        self.name.as_ref().map_or(Ok(()), |name| write!(formatter, "#{name}"))
    }
}

impl FromStr for Host {
    type Err = UpstreamSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inside
                .parse::<Ipv6Addr>()
                .map(|address| Self::Address(address.into()))
                .or(Err(UpstreamSyntaxError));
        }
        match text.parse() {
            Ok(IpAddr::V4(address)) => Ok(Self::Address(address.into())),
            Err(_) if is_name(text) => Ok(Self::Name(text.to_ascii_lowercase())),
            // Brackets keep the colons of an IPv6 address apart from the one before a port.
            _ => Err(UpstreamSyntaxError),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
            Self::Address(address) => address.fmt(formatter),
            Self::Name(name) => name.fmt(formatter),
        }
    }
}

/// Returns true for letters, digits, hyphens and dots that make a name, and no address with a mistake in it.
fn is_name(text: &str) -> bool {
    let is_plain =
        text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_'));
    let is_number =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
    is_plain && !is_number && Name::from_ascii(text).is_ok()
}

fn is_path(path: &str) -> bool {
    path.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'<' | b'>' | b'{' | b'}'))
}

/// Splits `HOST:PORT`, where the port may be missing.
fn split_port(text: &str, usual: u16) -> Option<(&str, u16)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            Some((host, port))
        }
        _ => Some((text, usual)),
    }
}

#[cfg(test)]
mod tests;
