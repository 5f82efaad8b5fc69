//! Echo requests of clients, and the replies to them, as ICMPv6 (RFC 4443 section 4) and as ICMPv4 (RFC 792).
//!
//! The identifier of a request takes the place of the client's port; a destination has no port.

use std::net::SocketAddrV6;

use crate::flow::Flow;
use crate::udp::{Datagram, Fault, HEADER_LEN};
use crate::{chain, checksum, ipv6, virtio};

const IPV4_REQUEST: u8 = 8;
const IPV4_REPLY: u8 = 0;

/// The two ends of an echo request. `None` if `message` is none.
pub(crate) fn flow(header: &ipv6::Header, message: &[u8]) -> Option<Flow> {
    let &[ipv6::ECHO_REQUEST, _, _, _, i0, i1, _, _] = message.first_chunk::<HEADER_LEN>()? else {
        return None;
    };
    Some(flow_of(header.source, u16::from_be_bytes([i0, i1]), header.destination))
}

pub(crate) fn flow_of(client: u128, identifier: u16, destination: u128) -> Flow {
    Flow {
        client: SocketAddrV6::new(client.into(), identifier, 0, 0),
        destination: SocketAddrV6::new(destination.into(), 0, 0, 0),
    }
}

/// Reads a frame that holds a whole echo request, verifies its checksum unless the virtio header vouches for it, and returns
/// the request with its sequence number.
///
/// # Errors
///
/// [`Fault`].
pub fn parse(frame: &[u8]) -> Result<(Datagram<'_>, u16), Fault> {
    let (virtio, packet) = frame.split_first_chunk().ok_or(Fault::Malformed)?;
    let virtio = virtio::Header::parse(virtio);
    let (header, payload) = ipv6::Header::parse(packet).ok_or(Fault::Malformed)?;
    let chain = chain::walk(header.next, payload).map_err(|_| Fault::Malformed)?;
    if chain.protocol != ipv6::ICMPV6 || chain.fragment.is_some() {
        return Err(Fault::Malformed);
    }
    let flow = flow(&header, chain.payload).ok_or(Fault::Malformed)?;
    let (&[_, _, _, _, _, _, s0, s1], data) =
        chain.payload.split_first_chunk::<HEADER_LEN>().ok_or(Fault::Malformed)?;
    let sum = || checksum::ipv6(header.source, header.destination, ipv6::ICMPV6, chain.payload);
    if !virtio.vouched && sum() != 0 {
        return Err(Fault::Checksum);
    }
    let ipv6::Header { hop_limit, traffic_class, .. } = header;
    let fragmentable = chain.fragmentable;
    let datagram = Datagram { flow, hop_limit, traffic_class, data, segment: None, fragmentable };
    Ok((datagram, u16::from_be_bytes([s0, s1])))
}

/// Writes an ICMPv4 echo request, and returns its length. `None` if there is no room.
#[must_use]
pub fn write_request(identifier: u16, sequence: u16, data: &[u8], out: &mut [u8]) -> Option<usize> {
    let message = out.get_mut(..HEADER_LEN + data.len())?;
    let (header, rest) = message.split_first_chunk_mut::<HEADER_LEN>()?;
    let ([i0, i1], [s0, s1]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    *header = [IPV4_REQUEST, 0, 0, 0, i0, i1, s0, s1];
    rest.copy_from_slice(data);
    let sum = checksum::internet(message);
    *message.get_mut(2..)?.first_chunk_mut()? = sum.to_be_bytes();
    Some(message.len())
}

/// The fields of an ICMPv4 echo reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The identifier.
    pub identifier: u16,
    /// The sequence number.
    pub sequence: u16,
}

impl Reply {
    /// Reads an ICMPv4 message. `None` if it is no echo reply, or if its checksum is wrong.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let &[IPV4_REPLY, 0, _, _, ref fields @ ..] = message.first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        (checksum::internet(message) == 0).then_some(Self::of(*fields))
    }

    /// Reads the identifier and the sequence number of a request that an ICMPv4 error quotes.
    #[must_use]
    pub fn quoted(message: &[u8]) -> Option<Self> {
        let &[IPV4_REQUEST, _, _, _, ref fields @ ..] = message.first_chunk::<HEADER_LEN>()? else {
            return None;
        };
        Some(Self::of(*fields))
    }

    fn of([i0, i1, s0, s1]: [u8; 4]) -> Self {
        Self { identifier: u16::from_be_bytes([i0, i1]), sequence: u16::from_be_bytes([s0, s1]) }
    }
}

/// The length of the header of an IPv4 packet, which raw sockets receive before the message.
#[must_use]
pub fn ipv4_header_len(packet: &[u8]) -> Option<usize> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    (packet.first()? >> 4 == 4 && (20..=packet.len()).contains(&length)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_right_checksum_and_its_fields() {
        for data in [&b""[..], b"odd", b"some data", &vec![0xff; 65_507]] {
            let mut out = vec![0; 70_000];
            let length = write_request(0x1234, 7, data, &mut out).unwrap();
            let message = &out[..length];
            assert_eq!((length, checksum::internet(message)), (8 + data.len(), 0));
            assert_eq!((&message[..2], &message[8..]), (&[8, 0][..], data));
            assert_eq!(Reply::quoted(message), Some(Reply { identifier: 0x1234, sequence: 7 }));
            assert_eq!(Reply::parse(message), None, "it is no reply");
        }
        assert_eq!(write_request(1, 1, b"data", &mut [0; 11]), None);
    }

    #[test]
    fn a_reply_is_read_only_if_it_is_sound() {
        let mut message = [0, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3];
        let sum = checksum::internet(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(Reply::parse(&message), Some(Reply { identifier: 0x1234, sequence: 7 }));
        for place in 0..message.len() {
            let mut damaged = message;
            damaged[place] ^= 0x40;
            assert_eq!(Reply::parse(&damaged), None, "octet {place}");
        }
        assert!((0..8).all(|length| Reply::parse(&message[..length]).is_none()));
    }

    #[test]
    fn options_lengthen_the_header_of_ipv4() {
        let mut packet = [0; 60];
        for (first, expected) in [(0x45, Some(20)), (0x4f, Some(60)), (0x44, None), (0x65, None), (0, None)] {
            packet[0] = first;
            assert_eq!(ipv4_header_len(&packet), expected, "{first:x}");
        }
        packet[0] = 0x46;
        assert_eq!((ipv4_header_len(&packet[..23]), ipv4_header_len(&[])), (None, None));
    }
}
