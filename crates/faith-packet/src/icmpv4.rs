//! ICMPv4 errors (RFC 792) that faithd sends to servers: what clients and the routers on their side say about the servers'
//! datagrams.

use std::net::SocketAddrV4;

use crate::checksum;
use crate::translate::Icmpv4Error;

/// The longest message: the packet with it is at most 576 octets long (RFC 1812 section 4.3.2.3).
pub const MAX_LEN: usize = 576 - IPV4_LEN;

/// The length of an IPv4 header without options.
const IPV4_LEN: usize = 20;

const UDP_LEN: usize = 8;

/// Type, code, checksum and a word.
const HEADER_LEN: usize = 8;

/// A datagram as the server sent it, without the fields that its receiver does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// The server.
    pub from: SocketAddrV4,
    /// The address and port of this host that it was sent to.
    pub to: SocketAddrV4,
    /// Octets of data.
    pub length: u16,
    /// The beginning of the data.
    pub known: &'a [u8],
}

/// Writes the ICMPv4 message with this error about a datagram, and returns its length.
#[must_use]
pub fn build_about_datagram(error: Icmpv4Error, quote: &Quote<'_>, out: &mut [u8; MAX_LEN]) -> Option<usize> {
    let (start, quoted) = out.split_first_chunk_mut::<HEADER_LEN>()?;
    let [w0, w1, w2, w3] = error.word().to_be_bytes();
    *start = [error.kind, error.code, 0, 0, w0, w1, w2, w3];
    let (ipv4, rest) = quoted.split_first_chunk_mut::<IPV4_LEN>()?;
    let (udp, data) = rest.split_first_chunk_mut::<UDP_LEN>()?;

    let length = quote.length.checked_add(8)?;
    let [t0, t1] = length.checked_add(20)?.to_be_bytes();
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (quote.from.ip().octets(), quote.to.ip().octets());
    // The identification is not known. A hop was left for the last link.
    *ipv4 = [0x45, 0, t0, t1, 0, 0, 0, 0, 1, 17, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let sum = checksum::internet(ipv4);
    *ipv4.get_mut(10..)?.first_chunk_mut()? = sum.to_be_bytes();

    let ([f0, f1], [p0, p1]) = (quote.from.port().to_be_bytes(), quote.to.port().to_be_bytes());
    let [l0, l1] = length.to_be_bytes();
    *udp = [f0, f1, p0, p1, l0, l1, 0, 0];
    let known = quote.known.len().min(quote.length.into()).min(data.len());
    data.get_mut(..known)?.copy_from_slice(quote.known.get(..known)?);

    let whole = HEADER_LEN + IPV4_LEN + UDP_LEN + known;
    let sum = checksum::internet(out.get(..whole)?);
    *out.get_mut(2..)?.first_chunk_mut()? = sum.to_be_bytes();
    Some(whole)
}

#[cfg(test)]
mod tests {
    use etherparse::{Icmpv4Slice, Ipv4HeaderSlice, UdpHeaderSlice, icmpv4};

    use super::*;

    fn built(error: Icmpv4Error, length: u16, known: &[u8]) -> Vec<u8> {
        let quote = Quote {
            from: "198.51.100.2:53".parse().unwrap(),
            to: "203.0.113.9:40000".parse().unwrap(),
            length,
            known,
        };
        let mut out = [0; MAX_LEN];
        let length = build_about_datagram(error, &quote, &mut out).unwrap();
        out[..length].to_vec()
    }

    #[test]
    fn a_message_quotes_the_datagram_and_has_right_checksums() {
        let message = built(Icmpv4Error { kind: 3, code: 3, info: 0 }, 5, b"hello");
        let icmp = Icmpv4Slice::from_slice(&message).unwrap();
        assert_eq!(
            (icmp.type_u8(), icmp.code_u8()),
            (icmpv4::TYPE_DEST_UNREACH, icmpv4::CODE_DST_UNREACH_PORT)
        );
        assert_eq!(checksum::internet(&message), 0);
        let ipv4 = Ipv4HeaderSlice::from_slice(icmp.payload()).unwrap();
        assert_eq!((ipv4.source(), ipv4.destination()), ([198, 51, 100, 2], [203, 0, 113, 9]));
        assert_eq!((ipv4.total_len(), ipv4.to_header().calc_header_checksum()), (33, ipv4.header_checksum()));
        let udp = UdpHeaderSlice::from_slice(&icmp.payload()[20..]).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port(), udp.length()), (53, 40_000, 13));
        assert_eq!(&icmp.payload()[28..], b"hello");
    }

    #[test]
    fn a_message_about_a_long_datagram_has_its_beginning() {
        let message = built(Icmpv4Error::too_big(1400), 60_000, &[7; 5000]);
        assert_eq!(message.len(), MAX_LEN);
        assert_eq!(message[..8], [3, 4, message[2], message[3], 0, 0, 0x05, 0x64]);
        assert_eq!(built(Icmpv4Error::too_big(1400), 60_000, b"").len(), 36);
    }

    #[test]
    fn a_datagram_that_no_packet_holds_has_no_message() {
        let quote = Quote {
            from: "198.51.100.2:53".parse().unwrap(),
            to: "203.0.113.9:40000".parse().unwrap(),
            length: u16::MAX - 27,
            known: b"",
        };
        let error = Icmpv4Error::too_big(1400);
        assert_eq!(build_about_datagram(error, &quote, &mut [0; MAX_LEN]), None);
    }
}
