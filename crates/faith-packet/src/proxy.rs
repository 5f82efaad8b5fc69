//! The PROXY protocol: a header in the first bytes of a connection gives the server the client's address.
//!
//! HAProxy's `doc/proxy-protocol.txt` defines it. A relay uses one form: TCP over IPv6, from the client
//! to the address that the client dialled.

use std::fmt::{self, Write};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::ops::Deref;

/// The longest line of version 1 for TCP over IPv6 (section 2.1); headers of version 2 have 52 octets.
const LONGEST: usize = 104;

/// The first octets of a header of version 2 (section 2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_COMMAND: u8 = 0x21;
/// AF_INET6, STREAM.
const FAMILY_PROTOCOL: u8 = 0x21;
/// Two addresses and two ports.
const ADDRESSES_LEN: u16 = 2 * 16 + 2 * 2;

/// The version of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A header. The relay sends it whole, before any other byte.
#[derive(Clone, Copy)]
pub struct Header {
    octets: [u8; LONGEST],
    len: usize,
}

/// The header for a connection from `client` to `destination`, the address that the client dialled.
/// It has no field for scopes and flow labels.
///
/// ```
/// use faith_packet::proxy::{Version, header};
/// let client = "[2001:db8::1]:49152".parse().unwrap();
/// let destination = "[64:ff9b::c633:6402]:80".parse().unwrap();
/// let line = header(Version::V1, client, destination);
/// assert_eq!(&line[..], b"PROXY TCP6 2001:db8::1 64:ff9b::c633:6402 49152 80\r\n");
/// assert_eq!(header(Version::V2, client, destination).len(), 52);
/// ```
#[must_use]
pub fn header(version: Version, client: SocketAddrV6, destination: SocketAddrV6) -> Header {
    let mut header = Header { octets: [0; LONGEST], len: 0 };
    match version {
        Version::V1 => {
            let (from, to) = (Groups(*client.ip()), Groups(*destination.ip()));
            let (from_port, to_port) = (client.port(), destination.port());
            // This cannot fail: the longest line fits.
            let _ = write!(header, "PROXY TCP6 {from} {to} {from_port} {to_port}\r\n");
        }
        Version::V2 => {
            header.push(SIGNATURE);
            header.push(&[VERSION_COMMAND, FAMILY_PROTOCOL]);
            header.push(&ADDRESSES_LEN.to_be_bytes());
            header.push(&client.ip().octets());
            header.push(&destination.ip().octets());
            header.push(&client.port().to_be_bytes());
            header.push(&destination.port().to_be_bytes());
        }
    }
    header
}

impl Header {
    /// Appends as many octets as fit.
    fn push(&mut self, octets: &[u8]) {
        let free = self.octets.iter_mut().skip(self.len);
        self.len += free.zip(octets).map(|(place, octet)| *place = *octet).count();
    }
}

impl Write for Header {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header(\"{}\")", self.escape_ascii())
    }
}

/// An address in hexadecimal groups only, as section 2.1 requires. The standard library writes the
/// end of an IPv4-mapped address in decimal.
struct Groups(Ipv6Addr);

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.to_ipv4_mapped().is_none() {
            return self.0.fmt(f);
        }
        let [.., high, low] = self.0.segments();
        write!(f, "::ffff:{high:x}:{low:x}")
    }
}

#[cfg(test)]
mod tests;
