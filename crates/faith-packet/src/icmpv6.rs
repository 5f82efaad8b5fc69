//! ICMPv6 errors (RFC 4443): those that faithd sends to clients about their packets, and those that it gets about
//! datagrams to clients.

use std::net::Ipv6Addr;

use crate::flow::Flow;
use crate::prefix::network_of;
use crate::translate::Icmpv6Error;
use crate::udp::{self, Head};
use crate::{chain, checksum, echo, ipv6};

/// The longest reply: an ICMPv6 error stays within the minimum MTU (RFC 4443 section 2.4(c)).
pub const MAX_LEN: usize = 1280;

const DESTINATION_UNREACHABLE: u8 = 1;

const PARAMETER_PROBLEM: u8 = 4;

/// Type, code, checksum and the unused word.
const HEADER_LEN: usize = 8;

/// The codes of Destination Unreachable that faithd sends, with the error that `connect(2)` of a
/// Linux client returns for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Unreachable {
    /// No route to destination: `ENETUNREACH`.
    NoRoute = 0,
    /// Communication administratively prohibited: `EACCES`.
    Prohibited = 1,
    /// Address unreachable: `EHOSTUNREACH`.
    AddressUnreachable = 3,
    /// Port unreachable: `ECONNREFUSED`.
    PortUnreachable = 4,
}

impl Unreachable {
    /// The code field's value.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Unreachable> for Icmpv6Error {
    fn from(code: Unreachable) -> Self {
        Self { kind: DESTINATION_UNREACHABLE, code: code.code(), word: 0 }
    }
}

/// The /64 network of the client that sent `offending`.
#[must_use]
pub fn client_network(offending: &[u8]) -> Option<u128> {
    let (header, _) = ipv6::Header::parse(offending)?;
    Some(network_of(header.source.into(), 64))
}

/// Writes the Destination Unreachable that answers `offending`, an IPv6 packet, and returns its
/// length. The message goes from the packet's destination; otherwise it is as of [`build_about`].
#[must_use]
pub fn build_unreachable(code: Unreachable, offending: &[u8], out: &mut [u8; MAX_LEN]) -> Option<usize> {
    let (header, _) = ipv6::Header::parse_quoted(offending)?;
    build_about(code.into(), header.destination.into(), offending, out)
}

/// Writes the error about `offending`, an IPv6 packet, and returns its length.
///
/// The message goes from `from` to the packet's source with hop limit 64. It quotes as much
/// of the packet as fits, which is always the whole header chain of a packet that the classifier let
/// pass. `None` if `offending` is too short to have addresses, or if its source does not name one
/// node (RFC 4443 section 2.4(e.6)). The classifier enforces the section's other exceptions.
#[must_use]
pub fn build_about(
    error: Icmpv6Error,
    from: Ipv6Addr,
    offending: &[u8],
    out: &mut [u8; MAX_LEN],
) -> Option<usize> {
    let (header, _) = ipv6::Header::parse_quoted(offending)?;
    if ipv6::is_martian_source(header.source) {
        return None;
    }
    build(error, from.to_bits(), header.source, out, |quote| {
        let length = offending.len().min(quote.len());
        quote.get_mut(..length)?.copy_from_slice(offending.get(..length)?);
        Some(length)
    })
}

/// Writes the error that a router or a server on the way sent about a datagram of a client, and returns its length. It
/// comes from `offender`, and quotes the datagram: its headers from `head`, the length of its data, and the beginning of
/// that as far as it is known.
#[must_use]
pub fn build_about_datagram(
    error: Icmpv6Error,
    offender: Ipv6Addr,
    head: &Head,
    length: usize,
    known: &[u8],
    out: &mut [u8; MAX_LEN],
) -> Option<usize> {
    let client = head.flow.client.ip().to_bits();
    build(error, offender.to_bits(), client, out, |quote| {
        let data = known.len().min(length).min(quote.len().checked_sub(udp::OVERHEAD)?);
        head.quote(quote, length)?;
        quote.get_mut(udp::OVERHEAD..)?.get_mut(..data)?.copy_from_slice(known.get(..data)?);
        Some(udp::OVERHEAD + data)
    })
}

/// Writes an ICMPv6 error. `quote` writes the beginning of the packet that it is about, and returns its length.
fn build(
    error: Icmpv6Error,
    from: u128,
    to: u128,
    out: &mut [u8; MAX_LEN],
    quote: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let (fixed, rest) = out.split_first_chunk_mut()?;
    let (start, quoted) = rest.split_first_chunk_mut::<HEADER_LEN>()?;
    let [w0, w1, w2, w3] = error.word.to_be_bytes();
    *start = [error.kind, error.code, 0, 0, w0, w1, w2, w3];
    let length = HEADER_LEN + quote(quoted)?;
    let message = rest.get_mut(..length)?;
    let sum = checksum::ipv6(from, to, ipv6::ICMPV6, message);
    *message.get_mut(2..)?.first_chunk_mut()? = sum.to_be_bytes();
    ipv6::write_header(fixed, u16::try_from(length).ok()?, ipv6::ICMPV6, from, to);
    Some(ipv6::HEADER_LEN + length)
}

/// An ICMPv6 error about a datagram that was sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AboutDatagram<'a> {
    /// The error.
    pub error: Icmpv6Error,
    /// Octets of data in the datagram.
    pub length: u16,
    /// The beginning of the data.
    pub known: &'a [u8],
}

/// Reads an ICMPv6 error about a datagram that was sent to a client, from the packet that holds the error. `None` if its
/// checksum is wrong. The classifier has judged the packet.
#[must_use]
pub fn error_about_datagram(packet: &[u8]) -> Option<AboutDatagram<'_>> {
    let (header, payload) = ipv6::Header::parse(packet)?;
    let message = chain::walk(header.next, payload).ok()?.payload;
    let (&[kind, code, _, _, w0, w1, w2, w3], quoted) = message.split_first_chunk::<HEADER_LEN>()?;
    if checksum::ipv6(header.source, header.destination, ipv6::ICMPV6, message) != 0 {
        return None;
    }
    let (inner, payload) = ipv6::Header::parse_quoted(quoted)?;
    let datagram = chain::walk(inner.next, payload).ok()?.payload;
    let error = Icmpv6Error { kind, code, word: u32::from_be_bytes([w0, w1, w2, w3]) };
    let (length, known) = (udp::Header::parse(datagram)?.data_length(), datagram.get(udp::HEADER_LEN..)?);
    Some(AboutDatagram { error, length, known })
}

/// The first fields of a packet of the stack or of faithd that an ICMPv6 error quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Quoted {
    /// A TCP segment.
    Tcp,
    /// A datagram to a client.
    Datagram(Flow),
    /// An echo reply to a client.
    Reply(Flow),
}

/// The captured packet that `message`, which came with this header, is about. `None` if it is no error about one.
///
/// Destination Unreachable, Packet Too Big and Time Exceeded qualify, and Parameter Problem about a datagram. An error goes to the source of the packet that it
/// quotes, so the quoted source must equal the message's destination, which is inside a prefix. The kernel checks that the
/// quoted connection exists and that the sequence number is in the window; it needs the first eight octets of the TCP
/// header for that.
pub(crate) fn quoted(header: &ipv6::Header, message: &[u8]) -> Option<Quoted> {
    let ([kind, ..], quoted) = message.split_first_chunk::<HEADER_LEN>()?;
    let (inner, payload) = ipv6::Header::parse_quoted(quoted)?;
    if !matches!(kind, 1..=4) || inner.source != header.destination {
        return None;
    }
    let chain = chain::walk(inner.next, payload).ok()?;
    if !chain.fragment.is_none_or(chain::Fragment::is_first) {
        return None;
    }
    let udp = udp::Header::parse(chain.payload)?;
    match chain.protocol {
        ipv6::TCP if *kind < PARAMETER_PROBLEM => Some(Quoted::Tcp),
        ipv6::UDP => {
            let Flow { client: from, destination: to } = udp::flow(&inner, udp);
            Some(Quoted::Datagram(Flow { client: to, destination: from }))
        }
        ipv6::ICMPV6 => {
            let &[ipv6::ECHO_REPLY, _, _, _, i0, i1, _, _] = chain.payload.first_chunk()? else {
                return None;
            };
            Some(Quoted::Reply(echo::flow_of(inner.destination, u16::from_be_bytes([i0, i1]), inner.source)))
        }
        _ => None,
    }
}
