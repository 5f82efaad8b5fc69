//! The classifier decides about each packet that the pump has read: pass it on, answer it or drop it.
//!
//! Packets start at the IPv6 header. They may be GSO packets of 64 KiB whose checksums are not filled
//! in yet, so the classifier checks no transport checksum; the kernel does.
//!
//! For packets from the host to the stack it makes these checks in order, and the first that settles
//! the packet decides:
//!
//! 1. Is it an IPv6 packet of the length it claims? (`malformed`)
//! 2. Is keepfaith set? (`keepfaith`)
//! 3. Can it come from a client, and is it for a captured address? (`martian`) Link-local multicast,
//!    which only the host itself can send here, belongs to no connection and does not count as a drop.
//! 4. Can its header chain be followed within bounds? (`extension`, `fragment`)
//! 5. TCP is captured. ICMPv6 errors about TCP packets of the stack are captured too, because path
//!    MTU discovery depends on them. Other ICMPv6, except echo requests, is dropped (`icmp`).
//! 6. UDP datagrams, echo requests (pings), and ICMPv6 errors about those of faithd, are for the relays of datagrams, also
//!    in fragments.
//! 7. Other protocols are answered or ignored, as the interface is set (`unsupported`), and so are datagrams and pings that
//!    no relay wants.
//!
//! From the stack to the host, only packets of captured connections leave (`outbound`).

mod reason;

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::chain::{self, Broken, Chain, Fragment};
use crate::icmpv6::{self, Quoted};
use crate::ipv6::{self, Header};
use crate::prefix::PrefixSet;
use crate::tcp::Segment;
use crate::{echo, udp};

pub use crate::flow::Flow;
pub use reason::DropReason;

/// The treatment of packets whose protocol cannot be captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unsupported {
    /// faithd answers at once with ICMPv6 Destination Unreachable, so that QUIC falls back to TCP
    /// without waiting.
    #[default]
    Unreachable,
    /// faithd drops them in silence, as BSD does.
    Drop,
}

/// The verdict on a packet from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToStack {
    /// Captured: a whole initial SYN (SYN set; ACK, RST and FIN clear). Its ports are as the client
    /// wrote them, 0 included.
    Syn(Flow),
    /// Captured: a whole RST that acknowledges nothing (SYN, ACK and FIN clear). A client that gave
    /// up before the SYN-ACK came sends it, as it no longer has the connection.
    Reset(Flow),
    /// Captured: any other whole TCP packet.
    Tcp,
    /// Captured: an ICMPv6 error about a TCP packet of the stack.
    Icmp,
    /// Captured: a fragment, for the kernel to reassemble.
    Fragment,
    /// A whole UDP datagram, whose checksum and length are not checked yet. If no relay wants it, it is
    /// [`unsupported`](Classifier::unsupported_verdict).
    Datagram(Flow),
    /// An ICMPv6 error about a datagram that went to this flow's client. If no relay wants it, it counts as
    /// [`DropReason::Icmp`].
    DatagramError(Flow),
    /// A whole echo request, whose checksum is not checked yet. The client's port of the flow is its identifier. If no relay
    /// wants it, it is [`unsupported`](Classifier::unsupported_verdict).
    Echo(Flow),
    /// An ICMPv6 error about an echo reply that went to this flow's client. If no relay wants it, it counts as
    /// [`DropReason::Icmp`].
    EchoError(Flow),
    /// A fragment of a datagram, or one that may be of an echo request.
    Piece(Piece),
    /// Dropped. The pump answers with ICMPv6 Destination Unreachable, administratively prohibited;
    /// RFC 4443 section 2.4(e) permits it here. Counts as [`DropReason::Unsupported`].
    Unreachable,
    /// Ignored: link-local multicast that the host sends on each of its links, such as multicast
    /// listener reports, router solicitations and mDNS. Routers do not forward it, so no client sent it.
    Multicast,
    /// Dropped in silence.
    Drop(DropReason),
}

/// A fragment that is for a relay, if there is one for its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The first one of a datagram or of an echo request. Without a relay the packet is
    /// [`unsupported`](Classifier::unsupported_verdict).
    First(Kind),
    /// A later one. Without a relay it is dropped as [`DropReason::Unsupported`] if its kind is [`Kind::Udp`]; otherwise the
    /// stack gets it, because it may be of an ICMPv6 error.
    Later(Kind),
}

/// The kinds of packets that relays of datagrams take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Datagrams of UDP.
    Udp,
    /// Echo requests; behind a first fragment, any ICMPv6 message.
    Echo,
}

/// Decides about packets by an interface's prefixes and settings.
///
/// ```
/// use faith_packet::classify::{Classifier, DropReason, ToStack, Unsupported};
/// use faith_packet::prefix::PrefixSet;
/// let mut prefixes = PrefixSet::new();
/// prefixes.insert("64:ff9b::/96".parse()?)?;
/// let classifier = Classifier::new(prefixes, Unsupported::Unreachable);
/// let ipv4 = [0x45; 40];
/// assert_eq!(classifier.to_stack(&ipv4, true), ToStack::Drop(DropReason::Malformed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classifier {
    prefixes: PrefixSet,
    unsupported: Unsupported,
}

impl Classifier {
    /// A classifier for one interface.
    #[must_use]
    pub fn new(prefixes: PrefixSet, unsupported: Unsupported) -> Self {
        Self { prefixes, unsupported }
    }

    /// The prefixes whose addresses are captured.
    #[must_use]
    pub fn prefixes(&self) -> &PrefixSet {
        &self.prefixes
    }

    /// The treatment of packets whose protocol cannot be captured.
    #[must_use]
    pub fn unsupported(&self) -> Unsupported {
        self.unsupported
    }

    /// Judges a packet that the host sent to the faith interface.
    #[must_use]
    #[inline]
    pub fn to_stack(&self, packet: &[u8], keepfaith: bool) -> ToStack {
        let Some((header, payload)) = Header::parse(packet) else {
            return ToStack::Drop(DropReason::Malformed);
        };
        if !keepfaith {
            return astray(&header, DropReason::Keepfaith);
        }
        // A source inside a prefix is a hairpin: a captured address dials a captured address.
        if !self.prefixes.contains(header.destination)
            || ipv6::is_martian_source(header.source)
            || self.prefixes.contains(header.source)
        {
            return astray(&header, DropReason::Martian);
        }
        match chain::walk(header.next, payload) {
            Ok(chain) => match chain.fragment {
                None => self.whole(&header, &chain),
                Some(fragment) => self.fragment(&header, &chain, fragment),
            },
            Err(Broken::Extension) => ToStack::Drop(DropReason::Extension),
            Err(Broken::Fragment) => ToStack::Drop(DropReason::Fragment),
        }
    }

    /// Judges a packet that the stack sent: the reason to drop it, or `None` if it may leave.
    #[must_use]
    #[inline]
    pub fn to_host(&self, packet: &[u8]) -> Option<DropReason> {
        let Some((header, payload)) = Header::parse(packet) else {
            return Some(DropReason::Malformed);
        };
        if !self.prefixes.contains(header.source) {
            return Some(DropReason::Outbound);
        }
        let Ok(chain) = chain::walk(header.next, payload) else {
            return Some(DropReason::Outbound);
        };
        let leaves = match chain.protocol {
            // Fragments leave too: the kernel fragments a segment queued before the path MTU shrank.
            ipv6::TCP => true,
            ipv6::ICMPV6 => chain.fragment.is_none() && is_icmpv6_error(chain.payload),
            _ => false,
        };
        (!leaves).then_some(DropReason::Outbound)
    }

    #[inline]
    fn whole(&self, header: &Header, chain: &Chain<'_>) -> ToStack {
        match chain.protocol {
            ipv6::TCP => match Segment::parse(chain.payload) {
                Some(segment) if segment.is_initial_syn() => ToStack::Syn(flow(header, segment)),
                Some(segment) if segment.is_bare_reset() => ToStack::Reset(flow(header, segment)),
                Some(_) => ToStack::Tcp,
                None => ToStack::Drop(DropReason::Malformed),
            },
            ipv6::UDP => match udp::Header::parse(chain.payload) {
                Some(datagram) => ToStack::Datagram(udp::flow(header, datagram)),
                None => ToStack::Drop(DropReason::Malformed),
            },
            ipv6::ICMPV6 => match icmpv6::quoted(header, chain.payload) {
                Some(Quoted::Tcp) => ToStack::Icmp,
                Some(Quoted::Datagram(flow)) => ToStack::DatagramError(flow),
                Some(Quoted::Reply(flow)) => ToStack::EchoError(flow),
                // Other messages get no answer: they ask nothing, and errors must not be answered with errors (RFC 4443
                // section 2.4(e)).
                None => {
                    echo::flow(header, chain.payload).map_or(ToStack::Drop(DropReason::Icmp), ToStack::Echo)
                }
            },
            _ => self.unsupported_verdict(),
        }
    }

    /// Judges the first fragment by its transport header. Later fragments have none and pass if their
    /// fragment header names TCP, UDP or ICMPv6: without a first fragment the kernel never completes them.
    /// (Reassembly takes the protocol from the first fragment, RFC 8200 section 4.5.)
    fn fragment(&self, header: &Header, chain: &Chain<'_>, fragment: Fragment) -> ToStack {
        // Extension headers behind the fragment header hide the protocol in all later fragments.
        if !fragment.admits(chain.payload.len()) || chain::is_extension(chain.protocol) {
            return ToStack::Drop(DropReason::Fragment);
        }
        match (chain.protocol, fragment.is_first()) {
            // RFC 7112: a first fragment must hold the whole header chain.
            (ipv6::TCP, true) if Segment::parse(chain.payload).is_none() => {
                ToStack::Drop(DropReason::Fragment)
            }
            (ipv6::UDP, true) if udp::Header::parse(chain.payload).is_none() => {
                ToStack::Drop(DropReason::Fragment)
            }
            (ipv6::UDP, true) => ToStack::Piece(Piece::First(Kind::Udp)),
            (ipv6::UDP, false) => ToStack::Piece(Piece::Later(Kind::Udp)),
            (ipv6::ICMPV6, true) if echo::flow(header, chain.payload).is_some() => {
                ToStack::Piece(Piece::First(Kind::Echo))
            }
            (ipv6::ICMPV6, true) if !matches!(icmpv6::quoted(header, chain.payload), Some(Quoted::Tcp)) => {
                ToStack::Drop(DropReason::Icmp)
            }
            (ipv6::ICMPV6, false) => ToStack::Piece(Piece::Later(Kind::Echo)),
            (ipv6::TCP | ipv6::ICMPV6, _) => ToStack::Fragment,
            // A fragmented packet gets one answer only.
            (_, true) => self.unsupported_verdict(),
            (_, false) => ToStack::Drop(DropReason::Unsupported),
        }
    }

    /// The verdict on a packet whose protocol cannot be captured.
    #[must_use]
    pub fn unsupported_verdict(&self) -> ToStack {
        match self.unsupported {
            Unsupported::Unreachable => ToStack::Unreachable,
            Unsupported::Drop => ToStack::Drop(DropReason::Unsupported),
        }
    }
}

/// Returns true if the stack may connect to `address` as to a client: packets can come from it, and a route can lead to
/// it. Link-local addresses have no route without a device.
///
/// ```
/// use faith_packet::classify::is_client;
/// let verdicts = ["2001:db8::1", "fd00::1", "::1", "::ffff:192.0.2.1", "ff02::1", "fe80::1"];
/// let verdicts = verdicts.map(|address| is_client(address.parse().unwrap()));
/// assert_eq!(verdicts, [true, true, false, false, false, false]);
/// ```
#[must_use]
pub fn is_client(address: Ipv6Addr) -> bool {
    !ipv6::is_martian_source(address.to_bits()) && !address.is_unicast_link_local()
}

/// Drops a packet for this reason, unless it is the host's own link-local multicast.
fn astray(header: &Header, reason: DropReason) -> ToStack {
    if ipv6::is_link_local_multicast(header.destination) { ToStack::Multicast } else { ToStack::Drop(reason) }
}

fn flow(header: &Header, segment: Segment) -> Flow {
    let end = |address, port| SocketAddrV6::new(Ipv6Addr::from_bits(address), port, 0, 0);
    Flow {
        client: end(header.source, segment.source_port),
        destination: end(header.destination, segment.destination_port),
    }
}

/// Returns true for an ICMPv6 error (types 1 to 4 of RFC 4443) with a whole header.
fn is_icmpv6_error(message: &[u8]) -> bool {
    matches!(message, [1..=4, _, _, _, _, _, _, _, ..])
}
