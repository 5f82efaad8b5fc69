//! Builds packets: etherparse writes the transport headers, this file the extension headers.

use std::net::Ipv6Addr;

use etherparse::{PacketBuilder, TcpHeader};
use faith_packet::classify::{Classifier, Unsupported};
use faith_packet::prefix::PrefixSet;

pub(crate) const CLIENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// 198.51.100.2 in 64:ff9b::/96.
pub(crate) const SERVER: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc633, 0x6402);
/// 198.51.100.2 in 2001:db8:64::/48.
pub(crate) const OTHER_SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0xc633, 0x64, 0x200, 0, 0);

pub(crate) const TCP: u8 = 6;
pub(crate) const ICMPV6: u8 = 58;

pub(crate) fn prefixes() -> PrefixSet {
    let mut prefixes = PrefixSet::new();
    for prefix in ["64:ff9b::/96", "2001:db8:64::/48"] {
        prefixes.insert(prefix.parse().unwrap()).unwrap();
    }
    prefixes
}

pub(crate) fn classifier() -> Classifier {
    Classifier::new(prefixes(), Unsupported::Unreachable)
}

pub(crate) fn silent_classifier() -> Classifier {
    Classifier::new(prefixes(), Unsupported::Drop)
}

/// A TCP header from port 49152 to port 80 with no flag set.
pub(crate) fn tcp_header() -> TcpHeader {
    TcpHeader::new(49152, 80, 0x0102_0304, 64240)
}

pub(crate) fn tcp(source: Ipv6Addr, destination: Ipv6Addr, header: TcpHeader, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        .tcp_header(header)
        .write(&mut packet, data)
        .unwrap();
    packet
}

pub(crate) fn syn() -> Vec<u8> {
    let mut header = tcp_header();
    header.syn = true;
    tcp(CLIENT, SERVER, header, &[])
}

/// A segment from the captured end.
pub(crate) fn answer() -> Vec<u8> {
    let mut header = TcpHeader::new(80, 49152, 7, 64240);
    header.ack = true;
    tcp(SERVER, CLIENT, header, b"response")
}

pub(crate) fn udp(source: Ipv6Addr, destination: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        .udp(49152, 443)
        .write(&mut packet, data)
        .unwrap();
    packet
}

pub(crate) fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        .icmpv6_raw(kind, code, [0, 0, 5, 0])
        .write(&mut packet, body)
        .unwrap();
    packet
}

/// A packet of any protocol, with `payload` as given.
pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    fix_length(&mut packet);
    packet
}

/// Corrects the payload length.
pub(crate) fn fix_length(packet: &mut [u8]) {
    let length = u16::try_from(packet.len() - 40).unwrap();
    packet[4..6].copy_from_slice(&length.to_be_bytes());
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Extension {
    /// The number of units of eight octets beyond the first.
    HopByHop(u8),
    Destination(u8),
    Routing {
        segments_left: u8,
    },
    /// The length field's value.
    Authentication(u8),
    /// Offset in octets, a multiple of eight.
    Fragment {
        offset: u16,
        more: bool,
    },
}

impl Extension {
    fn protocol(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
            Self::Authentication(_) => 51,
            Self::Destination(_) => 60,
        }
    }

    fn octets(self, next: u8) -> Vec<u8> {
        let (length, third, fourth, size) = match self {
            // A PadN option that fills the first unit.
            Self::HopByHop(units) | Self::Destination(units) => (units, 1, 4, (usize::from(units) + 1) * 8),
            Self::Routing { segments_left } => (0, 0, segments_left, 8),
            Self::Authentication(length) => (length, 0, 0, (usize::from(length) + 2) * 4),
            Self::Fragment { offset, more } => {
                let [high, low] = (offset | u16::from(more)).to_be_bytes();
                (0, high, low, 8)
            }
        };
        let mut octets = vec![0; size];
        octets[..4].copy_from_slice(&[next, length, third, fourth]);
        octets
    }
}

/// The packet with extension headers between the fixed header and its payload.
pub(crate) fn extend(packet: &[u8], extensions: &[Extension]) -> Vec<u8> {
    let (fixed, payload) = packet.split_at(40);
    let mut next = fixed[6];
    let mut behind = payload.to_vec();
    for extension in extensions.iter().rev() {
        behind.splice(..0, extension.octets(next));
        next = extension.protocol();
    }
    let mut extended = fixed.to_vec();
    extended[6] = next;
    extended.extend(behind);
    fix_length(&mut extended);
    extended
}

/// The packet's payload from `offset` on, at most `length` octets of it, as a fragment.
pub(crate) fn fragment(packet: &[u8], offset: u16, length: usize, more: bool) -> Vec<u8> {
    let (fixed, payload) = packet.split_at(40);
    let rest = &payload[usize::from(offset)..];
    let share = [fixed, &rest[..length.min(rest.len())]].concat();
    extend(&share, &[Extension::Fragment { offset, more }])
}
