//! The TCP header, and the reset a closed port answers a SYN with.

use crate::{chain, checksum, icmpv6, ipv6};

/// The length of a TCP header without options.
const HEADER_LEN: usize = 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What faithd needs of a TCP segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    sequence: u32,
    flags: u8,
    data_len: usize,
}

impl Segment {
    /// Reads a segment whose header is whole: at least five words, and inside the octets.
    #[inline]
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let (&[s0, s1, d0, d1, q0, q1, q2, q3, _, _, _, _, offset, flags, ..], _) =
            octets.split_first_chunk::<HEADER_LEN>()?;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < HEADER_LEN {
            return None;
        }
        Some(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            flags,
            data_len: octets.len().checked_sub(header_len)?,
        })
    }

    /// Whether this asks for a new connection: SYN, and none of ACK, RST and FIN.
    #[inline]
    pub(crate) fn is_initial_syn(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == SYN
    }

    /// Whether this is how a host answers a segment of a connection it does not have: RST without ACK, where
    /// the segment had one (RFC 9293 section 3.10.7.1).
    #[inline]
    pub(crate) fn is_bare_reset(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == RST
    }
}

/// The sequence number of an IPv6 packet that is a whole TCP segment.
#[must_use]
pub fn sequence(packet: &[u8]) -> Option<u32> {
    whole_segment(packet).map(|(_, segment)| segment.sequence)
}

fn whole_segment(packet: &[u8]) -> Option<(ipv6::Header, Segment)> {
    let (header, payload) = ipv6::Header::parse(packet)?;
    let chain = chain::walk(header.next, payload).ok()?;
    if chain.protocol != ipv6::TCP || chain.fragment.is_some() {
        return None;
    }
    Some((header, Segment::parse(chain.payload)?))
}

/// Writes the reset that a closed port gives to `syn`, an IPv6 packet, and returns its length.
///
/// It is RFC 9293 section 3.10.7.1's: RST and ACK, sequence number 0, acknowledging the SYN and the
/// data it carries. `None` when `syn` is not an unfragmented initial SYN, and for a source address
/// that cannot be answered.
#[must_use]
pub fn build_reset(syn: &[u8], out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let (header, segment) = whole_segment(syn)?;
    if !segment.is_initial_syn() || ipv6::is_martian_source(header.source) {
        return None;
    }

    let data_len = u32::try_from(segment.data_len).ok()?;
    let acknowledgement = segment.sequence.wrapping_add(data_len).wrapping_add(1);
    let [s0, s1] = segment.destination_port.to_be_bytes();
    let [d0, d1] = segment.source_port.to_be_bytes();
    let [a0, a1, a2, a3] = acknowledgement.to_be_bytes();
    let reset = |checksum: u16| -> [u8; HEADER_LEN] {
        let [c0, c1] = checksum.to_be_bytes();
        let (offset, flags) = (5 << 4, RST | ACK);
        [s0, s1, d0, d1, 0, 0, 0, 0, a0, a1, a2, a3, offset, flags, 0, 0, c0, c1, 0, 0]
    };
    let sum = checksum::ipv6(header.destination, header.source, ipv6::TCP, &reset(0));

    let (fixed, behind) = out.split_first_chunk_mut()?;
    let length = u16::try_from(HEADER_LEN).ok()?;
    ipv6::write_header(fixed, length, ipv6::TCP, header.destination, header.source);
    *behind.first_chunk_mut()? = reset(sum);
    Some(ipv6::HEADER_LEN + HEADER_LEN)
}
