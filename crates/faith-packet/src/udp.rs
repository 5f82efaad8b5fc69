//! UDP datagrams over IPv6: those that clients send, and those that faithd sends to clients. Echo messages (`echo`) are
//! sent alike: their header has the same length.
//!
//! A frame is a packet behind its virtio header, as TUN devices carry it.

use std::net::SocketAddrV6;

use crate::flow::Flow;
use crate::virtio;
use crate::{chain, checksum, ipv6};

/// The length of a UDP header.
pub const HEADER_LEN: usize = 8;

/// The room for the headers before the data in a frame: virtio, IPv6 and UDP.
pub const HEADROOM: usize = virtio::LEN + ipv6::HEADER_LEN + HEADER_LEN;

/// The octets that IPv6 and UDP add to the data of a datagram.
pub const OVERHEAD: usize = ipv6::HEADER_LEN + HEADER_LEN;

/// The most octets of data that a datagram or a superframe over IPv6 can have.
pub const MAX_DATA: usize = 65_535 - HEADER_LEN;

/// A datagram of a client, or a superframe of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The two ends.
    pub flow: Flow,
    /// The IPv6 header's hop limit.
    pub hop_limit: u8,
    /// The IPv6 header's traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// The data, of all datagrams of a superframe.
    pub data: &'a [u8],
    /// The octets of data in each datagram but the last, if this is a superframe; not 0.
    pub segment: Option<u16>,
    /// True if the packet has a fragment header, so that it may be fragmented on its way (RFC 7915 section 5.1.1).
    pub fragmentable: bool,
}

/// The reason for which a frame is no good datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The packet is no whole UDP datagram.
    Malformed,
    /// The checksum is wrong, or there is none, which IPv6 forbids (RFC 8200 section 8.1).
    Checksum,
}

/// The header of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    length: u16,
    checksum: u16,
}

impl Header {
    #[inline]
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let (&[s0, s1, d0, d1, l0, l1, c0, c1], _) = octets.split_first_chunk::<HEADER_LEN>()?;
        Some(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            length: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        })
    }

    /// Octets of data in the datagram, which a quote may not hold all.
    pub(crate) fn data_length(self) -> u16 {
        self.length.saturating_sub(8)
    }
}

impl<'a> Datagram<'a> {
    /// Reads a frame that holds a whole datagram, and verifies its checksum unless the virtio header vouches for it.
    ///
    /// # Errors
    ///
    /// [`Fault`].
    pub fn parse(frame: &'a [u8]) -> Result<Self, Fault> {
        let (virtio, packet) = frame.split_first_chunk().ok_or(Fault::Malformed)?;
        let virtio = virtio::Header::parse(virtio);
        let (header, payload) = ipv6::Header::parse(packet).ok_or(Fault::Malformed)?;
        let chain = chain::walk(header.next, payload).map_err(|_| Fault::Malformed)?;
        if chain.protocol != ipv6::UDP || chain.fragment.is_some() {
            return Err(Fault::Malformed);
        }
        let udp = Header::parse(chain.payload).ok_or(Fault::Malformed)?;
        // A datagram may be shorter than its packet (RFC 768); the rest is no data.
        let datagram = chain.payload.get(..usize::from(udp.length)).ok_or(Fault::Malformed)?;
        let data = datagram.get(HEADER_LEN..).ok_or(Fault::Malformed)?;
        let verify = || checksum::ipv6(header.source, header.destination, ipv6::UDP, datagram) == 0;
        if !virtio.vouched && (udp.checksum == 0 || !verify()) {
            return Err(Fault::Checksum);
        }
        Ok(Self {
            flow: flow(&header, udp),
            hop_limit: header.hop_limit,
            traffic_class: header.traffic_class,
            data,
            segment: virtio.segment.filter(|segment| *segment > 0),
            fragmentable: chain.fragmentable,
        })
    }
}

/// The two ends of a client's datagram.
pub(crate) fn flow(header: &ipv6::Header, udp: Header) -> Flow {
    Flow {
        client: SocketAddrV6::new(header.source.into(), udp.source_port, 0, 0),
        destination: SocketAddrV6::new(header.destination.into(), udp.destination_port, 0, 0),
    }
}

/// The headers of a datagram to a client, of a superframe, or of an echo message.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The two ends: the datagram goes from the destination to the client.
    pub flow: Flow,
    /// The sequence number of an echo message, whose identifier is the client's port of `flow`; `None` for UDP.
    pub sequence: Option<u16>,
    /// The IPv6 header's hop limit.
    pub hop_limit: u8,
    /// The IPv6 header's traffic class.
    pub traffic_class: u8,
}

impl Head {
    /// Writes the headers of a frame with `length` octets of data, or of a superframe of `segment` octets each. The
    /// checksum is left to the device, as its virtio header says: for UDP only. `None` if the data is longer than
    /// [`MAX_DATA`].
    #[must_use]
    pub fn write(&self, out: &mut [u8; HEADROOM], length: usize, segment: Option<u16>) -> Option<()> {
        let (start, packet) = out.split_first_chunk_mut()?;
        *start = virtio::partial_udp(segment);
        let length = self.write_packet(packet, length, Role::Sent)?;
        let (source, destination) = self.addresses();
        let sum = checksum::pseudo_header(source, destination, ipv6::UDP, length);
        *packet.last_chunk_mut()? = sum.to_be_bytes();
        Some(())
    }

    /// Writes both headers before the data in `packet`, with a complete checksum. `None` if the data is longer than
    /// [`MAX_DATA`], or if there is no room for the headers.
    #[must_use]
    pub fn complete(&self, packet: &mut [u8]) -> Option<()> {
        let length = packet.len().checked_sub(OVERHEAD)?;
        self.write_packet(packet, length, Role::Sent)?;
        let (source, destination) = self.addresses();
        let datagram = packet.get_mut(ipv6::HEADER_LEN..)?;
        let (protocol, place) = if self.sequence.is_some() { (ipv6::ICMPV6, 2) } else { (ipv6::UDP, 6) };
        // All ones mean the same as all zeros, which would mean no checksum (RFC 768).
        let sum = match checksum::ipv6(source, destination, protocol, datagram) {
            0 => u16::MAX,
            sum => sum,
        };
        *datagram.get_mut(place..)?.first_chunk_mut()? = sum.to_be_bytes();
        Some(())
    }

    /// Writes the headers of the *client's* datagram, for a quote, as far as they are known: without a checksum.
    pub(crate) fn quote(&self, out: &mut [u8], length: usize) -> Option<()> {
        self.write_packet(out, length, Role::Quoted).map(drop)
    }

    fn addresses(&self) -> (u128, u128) {
        (self.flow.destination.ip().to_bits(), self.flow.client.ip().to_bits())
    }

    /// Writes both headers with an empty checksum field, and returns the length of the IPv6 payload.
    fn write_packet(&self, out: &mut [u8], length: usize, role: Role) -> Option<u16> {
        let length = u16::try_from(length.checked_add(HEADER_LEN)?).ok()?;
        let Flow { client, destination } = self.flow;
        let (from, to) = match role {
            Role::Sent => (destination, client),
            Role::Quoted => (client, destination),
        };
        let (fixed, rest) = out.split_first_chunk_mut()?;
        let next = if self.sequence.is_some() { ipv6::ICMPV6 } else { ipv6::UDP };
        ipv6::write_header(fixed, length, next, from.ip().to_bits(), to.ip().to_bits());
        ipv6::set_limit_and_class(fixed, self.hop_limit, self.traffic_class);
        *rest.first_chunk_mut()? = if let Some(sequence) = self.sequence {
            let kind = if role == Role::Sent { ipv6::ECHO_REPLY } else { ipv6::ECHO_REQUEST };
            let ([i0, i1], [s0, s1]) = (client.port().to_be_bytes(), sequence.to_be_bytes());
            [kind, 0, 0, 0, i0, i1, s0, s1]
        } else {
            let ([s0, s1], [d0, d1]) = (from.port().to_be_bytes(), to.port().to_be_bytes());
            let [l0, l1] = length.to_be_bytes();
            [s0, s1, d0, d1, l0, l1, 0, 0]
        };
        Some(length)
    }
}

/// The packet that headers are written for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// One to the client.
    Sent,
    /// One of the client, in an error about it.
    Quoted,
}
