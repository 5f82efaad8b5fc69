//! ICMPv6 Destination Unreachable (RFC 4443 section 3.1): it tells a client at once that its packet
//! gets no other answer.

use crate::prefix::network_of;
use crate::{checksum, ipv6};

/// The longest reply: an ICMPv6 error stays within the minimum MTU (RFC 4443 section 2.4(c)).
pub const MAX_LEN: usize = 1280;

const DESTINATION_UNREACHABLE: u8 = 1;

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

/// The /64 network of the client that sent `offending`.
#[must_use]
pub fn client_network(offending: &[u8]) -> Option<u128> {
    let (header, _) = ipv6::Header::parse(offending)?;
    Some(network_of(header.source.into(), 64))
}

/// Writes the Destination Unreachable that answers `offending`, an IPv6 packet, and returns its
/// length.
///
/// The message goes from the packet's destination to its source with hop limit 64. It quotes as much
/// of the packet as fits, which is always the whole header chain of a packet that the classifier let
/// pass. `None` if `offending` is too short to have addresses, or if its source does not name one
/// node (RFC 4443 section 2.4(e.6)). The classifier enforces the section's other exceptions.
#[must_use]
pub fn build_unreachable(code: Unreachable, offending: &[u8], out: &mut [u8; MAX_LEN]) -> Option<usize> {
    let (header, _) = ipv6::Header::parse_quoted(offending)?;
    if ipv6::is_martian_source(header.source) {
        return None;
    }
    let (fixed, rest) = out.split_first_chunk_mut()?;
    let quote_len = offending.len().min(rest.len() - HEADER_LEN);
    let message = rest.get_mut(..HEADER_LEN + quote_len)?;
    let (start, quote) = message.split_first_chunk_mut::<HEADER_LEN>()?;

    *start = [DESTINATION_UNREACHABLE, code.code(), 0, 0, 0, 0, 0, 0];
    quote.copy_from_slice(offending.get(..quote_len)?);
    let sum = checksum::ipv6(header.destination, header.source, ipv6::ICMPV6, message);
    *message.get_mut(2..)?.first_chunk_mut()? = sum.to_be_bytes();

    let length = u16::try_from(message.len()).ok()?;
    ipv6::write_header(fixed, length, ipv6::ICMPV6, header.destination, header.source);
    Some(ipv6::HEADER_LEN + usize::from(length))
}
