//! The TCP header, and the segments that faithd builds: resets that refuse a SYN and that cut a connection.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::flow::Flow;
use crate::{chain, checksum, icmpv6, ipv6};

/// The length of a TCP header without options.
const HEADER_LEN: usize = 20;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The fields of a TCP segment that faithd needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    data_len: usize,
}

impl Segment {
    /// Reads a segment whose header is whole: at least five words, all of them in `octets`.
    #[inline]
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let (&[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..], _) =
            octets.split_first_chunk::<HEADER_LEN>()?;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < HEADER_LEN {
            return None;
        }
        Some(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledged: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            data_len: octets.len().checked_sub(header_len)?,
        })
    }

    /// Returns true if this asks for a new connection: SYN set; ACK, RST and FIN clear.
    #[inline]
    pub(crate) fn is_initial_syn(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == SYN
    }

    /// Returns true for a RST without ACK: a host answers so a segment with an ACK for a connection that
    /// it does not have (RFC 9293 section 3.10.7.1).
    #[inline]
    pub(crate) fn is_bare_reset(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == RST
    }

    /// Returns true if this resets its connection.
    fn is_reset(self) -> bool {
        self.flags & RST != 0
    }

    /// Returns true if this carries nothing but an acknowledgement.
    fn is_bare_acknowledgement(self) -> bool {
        self.flags & (SYN | ACK | RST | FIN) == ACK && self.data_len == 0
    }
}

/// Returns true for the kernel's answer to a SYN without a listener: a RST of number 0, which no connection has (RFC 9293
/// section 3.10.7.1).
#[must_use]
#[inline]
pub fn refuses_syn(packet: &[u8]) -> bool {
    packet.len() == ipv6::HEADER_LEN + HEADER_LEN
        && whole_segment(packet)
            .is_some_and(|(_, segment)| segment.sequence == 0 && segment.flags & (RST | ACK) == RST | ACK)
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

/// Writes the reset with which a closed port answers `syn`, an IPv6 packet, and returns its length.
///
/// The reset follows RFC 9293 section 3.10.7.1: RST and ACK, sequence number 0, acknowledging the SYN
/// and its data. `None` if `syn` is not an unfragmented initial SYN, or if its source address cannot
/// be answered.
#[must_use]
pub fn build_reset(syn: &[u8], out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let (header, segment) = whole_segment(syn)?;
    if !segment.is_initial_syn() || ipv6::is_martian_source(header.source) {
        return None;
    }

    let data_len = u32::try_from(segment.data_len).ok()?;
    let reset = Bare {
        from: end(header.destination, segment.destination_port),
        to: end(header.source, segment.source_port),
        sequence: 0,
        acknowledged: segment.sequence.wrapping_add(data_len).wrapping_add(1),
        flags: RST | ACK,
    };
    reset.write(out)
}

/// The sequence numbers of both directions of a connection, as its captured end reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The next octet to the client.
    pub sent: u32,
    /// The next octet expected from the client.
    pub received: u32,
}

/// Writes an ACK as if from the client, with this sequence number, and returns its length. If the number is outside the
/// window, the captured end answers with an ACK (RFC 9293 section 3.10.7.4), which [`standing`] reads.
#[must_use]
pub fn build_question(flow: &Flow, sequence: u32, out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let Flow { client: from, destination: to } = *flow;
    Bare { from, to, sequence, acknowledged: 0, flags: ACK }.write(out)
}

/// Reads an ACK without data from the captured end: its connection and sequence numbers.
#[must_use]
pub fn standing(packet: &[u8]) -> Option<(Flow, Standing)> {
    let (header, segment) = whole_segment(packet)?;
    segment.is_bare_acknowledgement().then(|| {
        let flow = Flow {
            client: end(header.destination, segment.destination_port),
            destination: end(header.source, segment.source_port),
        };
        (flow, Standing { sent: segment.sequence, received: segment.acknowledged })
    })
}

/// Writes the reset that cuts the connection at the client, and returns its length.
#[must_use]
pub fn build_client_reset(flow: &Flow, at: Standing, out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let Flow { client: to, destination: from } = *flow;
    Bare { from, to, sequence: at.sent, acknowledged: at.received, flags: RST | ACK }.write(out)
}

/// Writes the reset that cuts the connection at the captured end, as if from the client, and returns its length.
#[must_use]
pub fn build_stack_reset(flow: &Flow, at: Standing, out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let Flow { client: from, destination: to } = *flow;
    Bare { from, to, sequence: at.received, acknowledged: at.sent, flags: RST | ACK }.write(out)
}

/// Rebuilds the reset in `packet` with a complete checksum, and returns its length. `None` if `packet` is not a reset.
#[must_use]
pub fn rebuild_reset(packet: &[u8], out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let (header, segment) = whole_segment(packet)?;
    segment.is_reset().then_some(())?;
    let reset = Bare {
        from: end(header.source, segment.source_port),
        to: end(header.destination, segment.destination_port),
        sequence: segment.sequence,
        acknowledged: segment.acknowledged,
        flags: segment.flags & (RST | ACK),
    };
    reset.write(out)
}

/// Writes the reset with which a host answers `packet`, a segment of a connection that it does not have, and returns its
/// length. The reset has RST alone and the sequence number that the segment acknowledges (RFC 9293 section 3.10.7.1).
/// `None` for segments that acknowledge nothing, for resets, and for source addresses that cannot be answered.
#[must_use]
pub fn build_refusal(packet: &[u8], out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
    let (header, segment) = whole_segment(packet)?;
    if segment.is_reset() || segment.flags & ACK == 0 || ipv6::is_martian_source(header.source) {
        return None;
    }
    let reset = Bare {
        from: end(header.destination, segment.destination_port),
        to: end(header.source, segment.source_port),
        sequence: segment.acknowledged,
        acknowledged: 0,
        flags: RST,
    };
    reset.write(out)
}

/// The destination of an IPv6 packet.
#[must_use]
pub fn destination(packet: &[u8]) -> Option<Ipv6Addr> {
    ipv6::Header::parse(packet).map(|(header, _)| header.destination.into())
}

/// A segment without data or options, with a window of 0.
struct Bare {
    from: SocketAddrV6,
    to: SocketAddrV6,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
}

impl Bare {
    fn write(&self, out: &mut [u8; icmpv6::MAX_LEN]) -> Option<usize> {
        let (source, destination) = (self.from.ip().to_bits(), self.to.ip().to_bits());
        let [s0, s1] = self.from.port().to_be_bytes();
        let [d0, d1] = self.to.port().to_be_bytes();
        let [q0, q1, q2, q3] = self.sequence.to_be_bytes();
        let [a0, a1, a2, a3] = self.acknowledged.to_be_bytes();
        let segment = |checksum: u16| -> [u8; HEADER_LEN] {
            let [c0, c1] = checksum.to_be_bytes();
            let (offset, flags) = (5 << 4, self.flags);
            [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, 0, 0, c0, c1, 0, 0]
        };
        let sum = checksum::ipv6(source, destination, ipv6::TCP, &segment(0));

        let (fixed, behind) = out.split_first_chunk_mut()?;
        let length = u16::try_from(HEADER_LEN).ok()?;
        ipv6::write_header(fixed, length, ipv6::TCP, source, destination);
        *behind.first_chunk_mut()? = segment(sum);
        Some(ipv6::HEADER_LEN + HEADER_LEN)
    }
}

fn end(address: u128, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address.into(), port, 0, 0)
}
