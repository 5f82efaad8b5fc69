//! The header of `struct virtio_net_hdr` (linux/virtio_net.h), which stands before each packet of a TUN device.
//!
//! It tells how complete a packet is: its checksum may be missing, and it may be a superframe, which stands for many
//! datagrams of one size. Numbers are in the machine's byte order.

/// The header's length in octets.
pub(crate) const LEN: usize = 10;

/// The checksum field holds the sum of the pseudo-header only; the last device adds the rest.
const NEEDS_CSUM: u8 = 1;

/// A device has verified the checksum.
const DATA_VALID: u8 = 2;

/// A superframe of UDP datagrams (`VIRTIO_NET_HDR_GSO_UDP_L4`, Linux 6.2 for TUN devices).
const GSO_UDP_L4: u8 = 5;

/// The part of the header that concerns datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// True if the checksum cannot be wrong: it is yet to be computed, or was verified.
    pub(crate) vouched: bool,
    /// The octets of data in each datagram but the last, if this is a superframe.
    pub(crate) segment: Option<u16>,
}

impl Header {
    pub(crate) fn parse(octets: &[u8; LEN]) -> Self {
        let &[flags, kind, _, _, s0, s1, ..] = octets;
        Self {
            vouched: flags & (NEEDS_CSUM | DATA_VALID) != 0,
            segment: (kind == GSO_UDP_L4).then_some(u16::from_ne_bytes([s0, s1])),
        }
    }
}

/// The header of a UDP datagram over IPv6 whose checksum field holds the sum of the pseudo-header, or of a superframe of
/// such datagrams with `segment` octets of data each.
pub(crate) fn partial_udp(segment: Option<u16>) -> [u8; LEN] {
    /// The length of the IPv6 header.
    const START: u16 = 40;
    const OFFSET: u16 = 6;
    let (kind, size) = segment.map_or((0, 0), |segment| (GSO_UDP_L4, segment));
    let ([h0, h1], [s0, s1]) = ((START + 8).to_ne_bytes(), size.to_ne_bytes());
    let ([c0, c1], [o0, o1]) = (START.to_ne_bytes(), OFFSET.to_ne_bytes());
    [NEEDS_CSUM, kind, h0, h1, s0, s1, c0, c1, o0, o1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_header_is_read_back() {
        for segment in [None, Some(1200), Some(u16::MAX)] {
            assert_eq!(Header::parse(&partial_udp(segment)), Header { vouched: true, segment });
        }
    }

    #[test]
    fn only_a_flag_vouches_for_a_checksum() {
        let header = |flags| Header::parse(&[flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!header(0).vouched && !header(4).vouched);
        assert!(header(NEEDS_CSUM).vouched && header(DATA_VALID).vouched);
    }

    #[test]
    fn a_segment_of_tcp_is_no_superframe_of_datagrams() {
        const GSO_TCPV6: u8 = 4;
        assert_eq!(Header::parse(&[1, GSO_TCPV6, 0, 0, 9, 9, 0, 0, 0, 0]).segment, None);
    }
}
