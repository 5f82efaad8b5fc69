//! Errors about datagrams: those of servers and routers go on to the client, and a client's side tells how long a packet may
//! be.

use std::net::{Ipv6Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Instant;

use faith_packet::classify::{DropReason, Flow};
use faith_packet::echo::Reply;
use faith_packet::icmpv6;
use faith_packet::protocol::Protocol;
use faith_packet::translate::{Icmpv4Error, Icmpv6Error};
use faith_packet::udp::{HEADER_LEN, Head};
use faith_sys::error_queue::QueuedError;
use faith_sys::way::Way;

use super::endpoint::Endpoint;
use super::mapping::Mapping;
use super::part::Part;
use super::session::Session;
use super::wire::{HEADERS, Wire, WireKind};
use crate::offender;

/// The errors that are taken from a queue at a time.
const BATCH: usize = 16;

/// The octets of quoted data that are of use: an ICMPv6 error has no room for more.
const QUOTED: usize = icmpv6::MAX_LEN;

const PACKET_TOO_BIG: u8 = 2;

impl Part {
    /// Passes the errors in a socket's queue on to the clients. Returns the MTU of the device, if the host itself found a
    /// datagram too long. `owner` is the client of a socket that is not shared.
    pub(crate) fn pass_errors_on(
        &self,
        wire: &Wire,
        owner: Option<(&Rc<Endpoint>, &Rc<Mapping>)>,
    ) -> Option<u32> {
        let mut data = [0; QUOTED];
        let mut mtu = None;
        for _ in 0..BATCH {
            let Ok(error) = wire.socket.get_ref().error(&mut data) else { break };
            let known = data.get(..error.length).unwrap_or(&data);
            match error.icmp {
                None if error.info > 0 => mtu = Some(error.info),
                None => {}
                Some(icmp) if wire.kind == WireKind::Udp => {
                    if let Some((endpoint, mapping)) = owner {
                        self.pass_error_on(endpoint, mapping, icmp, &error, (known, None));
                    }
                }
                Some(icmp) => {
                    let Some(request) = Reply::quoted(known) else { continue };
                    let found = if owner.is_none() { self.owner(request.identifier) } else { None };
                    let owner = owner.or(found.as_ref().map(|(endpoint, mapping)| (endpoint, mapping)));
                    let Some((endpoint, mapping)) = owner else { continue };
                    let destination = SocketAddrV4::new(*error.destination.ip(), 0);
                    let error = QueuedError { destination, ..error };
                    let known = known.get(HEADER_LEN..).unwrap_or_default();
                    self.pass_error_on(endpoint, mapping, icmp, &error, (known, Some(request.sequence)));
                }
            }
        }
        mtu
    }

    /// Passes an error about a datagram, or about an echo request with its sequence number, on to the client.
    fn pass_error_on(
        &self,
        endpoint: &Endpoint,
        mapping: &Rc<Mapping>,
        (kind, code): (u8, u8),
        error: &QueuedError,
        known: (&[u8], Option<u16>),
    ) {
        let session = endpoint.at(mapping, |back| back.session(error.destination).cloned());
        let Some(Some(session)) = session else { return };
        let length = session.last_length.get();
        let about = Icmpv4Error { kind, code, info: error.info };
        let whole = with_headers(length);
        let flow = Flow { client: endpoint.client, destination: session.destination };
        let offender = error
            .offender
            .and_then(|it| offender::shown(&self.engine.admission, &flow, *session.server.ip(), it));
        if let (Some(about), Some(offender)) = (Icmpv6Error::from_icmpv4(about, whole), offender) {
            self.report(endpoint, &session, about, offender, length, known);
        }
    }

    /// Tells the client that a datagram of this length is too long for a device of the router itself.
    pub(crate) fn report_too_long(
        &self,
        endpoint: &Endpoint,
        session: &Session,
        mtu: u32,
        length: usize,
        known: (&[u8], Option<u16>),
    ) {
        let Ok(way) = Way::to(*endpoint.client.ip()) else { return };
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let about = Icmpv6Error::too_big(mtu, with_headers(length));
        self.report(endpoint, session, about, way.source, length, known);
    }

    fn report(
        &self,
        endpoint: &Endpoint,
        session: &Session,
        about: Icmpv6Error,
        offender: Ipv6Addr,
        length: u16,
        (known, sequence): (&[u8], Option<u16>),
    ) {
        let flow = Flow { client: endpoint.client, destination: session.destination };
        // The hop limit that was left is not known.
        let head = Head { flow, sequence, hop_limit: 1, traffic_class: 0 };
        self.counters().errors_down.add(1);
        self.outlet.report(*endpoint.client.ip(), &mut |out| {
            icmpv6::build_about_datagram(about, offender, &head, length.into(), known, out)
        });
    }

    /// Takes an ICMPv6 error about a datagram to a client: learns the MTU of the path, and tells the server.
    pub(crate) fn learn_from(&self, flow: &Flow, packet: &[u8]) {
        let Some(about) = icmpv6::error_about_datagram(packet) else {
            return self.outlet.dropped(DropReason::Checksum);
        };
        let Some((endpoint, session)) = self.session(flow) else {
            return self.outlet.dropped(DropReason::Icmp);
        };
        let now = Instant::now();
        if about.error.kind == PACKET_TOO_BIG {
            let mtu = u16::try_from(about.error.word).unwrap_or(u16::MAX);
            endpoint.path.borrow_mut().learn(mtu, now);
            self.state.paths.learn(*endpoint.client.ip(), mtu, now);
        }
        match Icmpv4Error::from_icmpv6(about.error) {
            // Hosts ignore errors about echo replies.
            _ if self.protocol == Protocol::Icmp => {}
            Some(error) => {
                self.tell_server(&session.mapping, session.server, error, about.length, about.known, now);
            }
            None => self.outlet.dropped(DropReason::Icmp),
        }
    }
}

/// The length of the IPv4 packet with this many octets of data.
fn with_headers(length: u16) -> u16 {
    u16::try_from(usize::from(length) + HEADERS).unwrap_or(u16::MAX)
}
