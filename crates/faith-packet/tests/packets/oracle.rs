//! A second implementation of the classifier's rules, on etherparse's parsers.

use std::net::{Ipv6Addr, SocketAddrV6};

use etherparse::{
    Icmpv6Slice, IpAuthHeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    TcpSlice, UdpHeaderSlice,
};
use faith_packet::classify::{Classifier, DropReason, Flow, Kind, Piece, ToStack, Unsupported};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const EXTENSIONS: [u8; 5] = [HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, 60];

struct Walked<'a> {
    protocol: u8,
    payload: &'a [u8],
    /// The offset in octets, and true if more fragments follow.
    fragment: Option<(usize, bool)>,
}

/// Reads the headers one at a time: if etherparse can follow only part of a chain, its iterator
/// (`Ipv6ExtensionsSlice::from_slice_lax`) runs past the end of that part.
fn walk(first: u8, payload: &[u8]) -> Result<Walked<'_>, DropReason> {
    let (mut protocol, mut rest) = (first, payload);
    let mut seen: Vec<u8> = Vec::new();
    while EXTENSIONS.contains(&protocol) {
        let truncated = DropReason::Extension;
        let (next, length, segments_left, fragment) = match protocol {
            FRAGMENT => {
                let header = Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| truncated)?;
                let offset = usize::from(header.fragment_offset().value()) * 8;
                let place = header.is_fragmenting_payload().then(|| (offset, header.more_fragments()));
                (header.next_header(), header.slice().len(), 0, place)
            }
            AUTHENTICATION => {
                let header = IpAuthHeaderSlice::from_slice(rest).map_err(|_| truncated)?;
                (header.next_header(), header.slice().len(), 0, None)
            }
            _ => {
                let header = Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| truncated)?;
                let segments_left = if protocol == ROUTING { header.payload()[1] } else { 0 };
                (header.next_header(), header.slice().len(), segments_left, None)
            }
        };
        rest = &rest[length..];
        let too_much = seen.len() == 8 || payload.len() - rest.len() > 1024;
        let misplaced = protocol == HOP_BY_HOP && !seen.is_empty();
        if too_much || misplaced || segments_left > 0 {
            return Err(DropReason::Extension);
        }
        if protocol == FRAGMENT && seen.contains(&FRAGMENT) {
            return Err(DropReason::Fragment);
        }
        seen.push(protocol);
        protocol = next.0;
        if fragment.is_some() {
            return Ok(Walked { protocol, payload: rest, fragment });
        }
    }
    Ok(Walked { protocol, payload: rest, fragment: None })
}

fn is_captured(classifier: &Classifier, address: Ipv6Addr) -> bool {
    classifier.prefixes().iter().any(|prefix| {
        let host_bits = 128 - u32::from(prefix.length());
        address.to_bits() >> host_bits == prefix.address().to_bits() >> host_bits
    })
}

/// The protocol of the captured packet that an error is about, and its two ends, the other way round.
fn quoted(destination: Ipv6Addr, message: &[u8]) -> Option<(u8, Flow)> {
    let message = Icmpv6Slice::from_slice(message).ok()?;
    let header = Ipv6HeaderSlice::from_slice(message.payload()).ok()?;
    let behind = &message.payload()[40..];
    let behind = &behind[..behind.len().min(header.payload_length().into())];
    let walked = walk(header.next_header().0, behind).ok()?;
    let ports = UdpHeaderSlice::from_slice(walked.payload).ok()?;
    let flow = Flow {
        client: SocketAddrV6::new(header.destination_addr(), ports.destination_port(), 0, 0),
        destination: SocketAddrV6::new(header.source_addr(), ports.source_port(), 0, 0),
    };
    // The kernel has no use for "parameter problem" about a segment.
    let kinds: &[u8] = if walked.protocol == TCP { &[1, 2, 3] } else { &[1, 2, 3, 4] };
    let ours = kinds.contains(&message.type_u8())
        && header.source_addr() == destination
        && walked.fragment.is_none_or(|(offset, _)| offset == 0);
    ours.then_some((walked.protocol, flow))
}

fn quotes_our_tcp(destination: Ipv6Addr, message: &[u8]) -> bool {
    quoted(destination, message).is_some_and(|(protocol, _)| protocol == TCP)
}

/// The identifier of an echo request.
fn ping(message: &[u8]) -> Option<u16> {
    let message = Icmpv6Slice::from_slice(message).ok().filter(|message| message.type_u8() == 128)?;
    let [high, low, ..] = message.bytes5to8();
    Some(u16::from_be_bytes([high, low]))
}

/// The flow of an echo reply that an error is about.
fn quoted_reply(destination: Ipv6Addr, message: &[u8]) -> Option<Flow> {
    // The first ports of the quote are the reply's type and code, and its checksum.
    let (ICMPV6, flow) = quoted(destination, message)? else { return None };
    let message = Icmpv6Slice::from_slice(message).ok()?;
    let header = Ipv6HeaderSlice::from_slice(message.payload()).ok()?;
    let behind = &message.payload()[40..];
    let behind = &behind[..behind.len().min(header.payload_length().into())];
    let reply = Icmpv6Slice::from_slice(walk(header.next_header().0, behind).ok()?.payload).ok()?;
    let [high, low, ..] = reply.bytes5to8();
    let client = SocketAddrV6::new(*flow.client.ip(), u16::from_be_bytes([high, low]), 0, 0);
    let destination = SocketAddrV6::new(*flow.destination.ip(), 0, 0, 0);
    (reply.type_u8() == 129).then_some(Flow { client, destination })
}

fn whole_header(packet: &[u8]) -> Option<Ipv6HeaderSlice<'_>> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    (packet.len() == 40 + usize::from(header.payload_length())).then_some(header)
}

pub(crate) fn to_stack(classifier: &Classifier, packet: &[u8]) -> ToStack {
    let unsupported = match classifier.unsupported() {
        Unsupported::Unreachable => ToStack::Unreachable,
        Unsupported::Drop => ToStack::Drop(DropReason::Unsupported),
    };
    let Some(header) = whole_header(packet) else {
        return ToStack::Drop(DropReason::Malformed);
    };
    let (source, destination) = (header.source_addr(), header.destination_addr());
    let unusable = source.is_multicast()
        || source.is_unspecified()
        || source.is_loopback()
        || source.to_ipv4_mapped().is_some();
    if unusable || is_captured(classifier, source) || !is_captured(classifier, destination) {
        return match destination.segments() {
            [0xff02, ..] => ToStack::Multicast,
            _ => ToStack::Drop(DropReason::Martian),
        };
    }
    let walked = match walk(header.next_header().0, &packet[40..]) {
        Ok(walked) => walked,
        Err(reason) => return ToStack::Drop(reason),
    };

    let Some((offset, more)) = walked.fragment else {
        return match walked.protocol {
            TCP => match TcpSlice::from_slice(walked.payload) {
                Err(_) => ToStack::Drop(DropReason::Malformed),
                Ok(tcp) => {
                    let flow = Flow {
                        client: SocketAddrV6::new(source, tcp.source_port(), 0, 0),
                        destination: SocketAddrV6::new(destination, tcp.destination_port(), 0, 0),
                    };
                    match (tcp.syn(), tcp.ack(), tcp.rst(), tcp.fin()) {
                        (true, false, false, false) => ToStack::Syn(flow),
                        (false, false, true, false) => ToStack::Reset(flow),
                        _ => ToStack::Tcp,
                    }
                }
            },
            UDP => match UdpHeaderSlice::from_slice(walked.payload) {
                Err(_) => ToStack::Drop(DropReason::Malformed),
                Ok(udp) => ToStack::Datagram(Flow {
                    client: SocketAddrV6::new(source, udp.source_port(), 0, 0),
                    destination: SocketAddrV6::new(destination, udp.destination_port(), 0, 0),
                }),
            },
            ICMPV6 if quotes_our_tcp(destination, walked.payload) => ToStack::Icmp,
            ICMPV6 if let Some((UDP, flow)) = quoted(destination, walked.payload) => {
                ToStack::DatagramError(flow)
            }
            ICMPV6 if let Some(flow) = quoted_reply(destination, walked.payload) => ToStack::EchoError(flow),
            ICMPV6 if let Some(identifier) = ping(walked.payload) => ToStack::Echo(Flow {
                client: SocketAddrV6::new(source, identifier, 0, 0),
                destination: SocketAddrV6::new(destination, 0, 0, 0),
            }),
            ICMPV6 => ToStack::Drop(DropReason::Icmp),
            _ => unsupported,
        };
    };

    let length = walked.payload.len();
    let impossible = length == 0 || (more && length % 8 != 0) || offset + length > 65_535;
    if impossible || EXTENSIONS.contains(&walked.protocol) {
        return ToStack::Drop(DropReason::Fragment);
    }
    match walked.protocol {
        TCP if offset == 0 && TcpSlice::from_slice(walked.payload).is_err() => {
            ToStack::Drop(DropReason::Fragment)
        }
        UDP if offset > 0 => ToStack::Piece(Piece::Later(Kind::Udp)),
        UDP if UdpHeaderSlice::from_slice(walked.payload).is_err() => ToStack::Drop(DropReason::Fragment),
        UDP => ToStack::Piece(Piece::First(Kind::Udp)),
        ICMPV6 if offset > 0 => ToStack::Piece(Piece::Later(Kind::Echo)),
        ICMPV6 if ping(walked.payload).is_some() => ToStack::Piece(Piece::First(Kind::Echo)),
        ICMPV6 if !quotes_our_tcp(destination, walked.payload) => ToStack::Drop(DropReason::Icmp),
        TCP | ICMPV6 => ToStack::Fragment,
        _ if offset == 0 => unsupported,
        _ => ToStack::Drop(DropReason::Unsupported),
    }
}

pub(crate) fn to_host(classifier: &Classifier, packet: &[u8]) -> Option<DropReason> {
    let Some(header) = whole_header(packet) else {
        return Some(DropReason::Malformed);
    };
    let leaves = is_captured(classifier, header.source_addr())
        && walk(header.next_header().0, &packet[40..]).is_ok_and(|walked| {
            let is_error = || {
                Icmpv6Slice::from_slice(walked.payload)
                    .is_ok_and(|message| (1..=4).contains(&message.type_u8()))
            };
            match walked.protocol {
                TCP => true,
                ICMPV6 => walked.fragment.is_none() && is_error(),
                _ => false,
            }
        });
    (!leaves).then_some(DropReason::Outbound)
}
