//! The fixed IPv6 header.

/// TCP's protocol number.
pub(crate) const TCP: u8 = 6;
/// UDP's protocol number.
pub(crate) const UDP: u8 = 17;
/// ICMPv6's protocol number.
pub(crate) const ICMPV6: u8 = 58;

/// The ICMPv6 type of a ping (RFC 4443 section 4.1).
pub(crate) const ECHO_REQUEST: u8 = 128;

/// The ICMPv6 type of the answer to a ping (RFC 4443 section 4.2).
pub(crate) const ECHO_REPLY: u8 = 129;

/// The length of the fixed header.
pub(crate) const HEADER_LEN: usize = 40;

/// The fields of the fixed header that the classifier needs. Addresses are numbers, most significant bit first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) next: u8,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
    payload_length: u16,
}

impl Header {
    /// Splits a whole packet into header and payload. `None` if the payload length is not the
    /// packet's: it is false, or the packet is a jumbogram (RFC 2675), which faithd's devices never carry.
    #[inline]
    pub(crate) fn parse(packet: &[u8]) -> Option<(Self, &[u8])> {
        let (header, payload) = Self::split(packet)?;
        (payload.len() == usize::from(header.payload_length)).then_some((header, payload))
    }

    /// Splits a packet that an ICMPv6 error quotes. The quote may be cut short anywhere.
    pub(crate) fn parse_quoted(quoted: &[u8]) -> Option<(Self, &[u8])> {
        let (header, payload) = Self::split(quoted)?;
        let length = usize::from(header.payload_length);
        Some((header, payload.get(..length).unwrap_or(payload)))
    }

    #[inline]
    fn split(packet: &[u8]) -> Option<(Self, &[u8])> {
        let (fixed, payload) = packet.split_first_chunk::<HEADER_LEN>()?;
        let &[version, second, _, _, l0, l1, next, hop_limit, ref addresses @ ..] = fixed;
        if version >> 4 != 6 {
            return None;
        }
        let ([source, destination], []) = addresses.as_chunks::<16>() else {
            return None;
        };
        let header = Self {
            source: u128::from_be_bytes(*source),
            destination: u128::from_be_bytes(*destination),
            next,
            hop_limit,
            traffic_class: version << 4 | second >> 4,
            payload_length: u16::from_be_bytes([l0, l1]),
        };
        Some((header, payload))
    }
}

/// Returns true if packets from `address` must get no answer: unspecified, loopback, multicast or
/// IPv4-mapped.
#[inline]
pub(crate) fn is_martian_source(address: u128) -> bool {
    address >> 32 == 0xffff || address <= 1 || address >> 120 == 0xff
}

/// Returns true for a multicast group of one link (`ff02::/16`; RFC 4291 section 2.7).
#[inline]
pub(crate) fn is_link_local_multicast(address: u128) -> bool {
    address >> 112 == 0xff02
}

/// Writes a fixed header with hop limit 64, traffic class 0 and flow label 0.
pub(crate) fn write_header(
    out: &mut [u8; HEADER_LEN],
    payload_length: u16,
    next: u8,
    source: u128,
    destination: u128,
) {
    let [l0, l1] = payload_length.to_be_bytes();
    let (start, addresses) = out.split_at_mut(8);
    start.copy_from_slice(&[0x60, 0, 0, 0, l0, l1, next, 64]);
    let (first, second) = addresses.split_at_mut(16);
    first.copy_from_slice(&source.to_be_bytes());
    second.copy_from_slice(&destination.to_be_bytes());
}

/// Sets hop limit and traffic class of a header.
pub(crate) fn set_limit_and_class(header: &mut [u8; HEADER_LEN], hop_limit: u8, traffic_class: u8) {
    let [first, second, _, _, _, _, _, limit, ..] = header;
    *first = 6 << 4 | traffic_class >> 4;
    *second = traffic_class << 4 | *second & 0x0f;
    *limit = hop_limit;
}
