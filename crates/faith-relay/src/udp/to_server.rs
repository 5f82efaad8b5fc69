//! Errors for servers about their datagrams: those of clients and of the routers on their side, and those about datagrams
//! that are too long for a client.

use std::net::SocketAddrV4;
use std::time::Instant;

use faith_packet::icmpv4::{self, Quote};
use faith_packet::translate::Icmpv4Error;
use faith_stack::Rate;
use faith_sys::udp::Received;
use faith_sys::way::source_to;

use super::mapping::Mapping;
use super::part::Part;

/// The limit of errors to servers, per worker, which RFC 1812 section 4.3.2.8 requires.
const ERRORS: Rate = Rate::per_second(1000);

/// The limit for one mapping: enough for a program that tries path MTUs, and for a traceroute.
const ERRORS_PER_MAPPING: Rate = Rate::per_second(10);

impl Part {
    /// Tells a server that the datagram in `data` is too long for a path that carries IPv6 packets of `mtu` octets. Returns
    /// false if servers cannot be told; beyond the limits it tells none, and returns true.
    pub(crate) fn tell_too_long(
        &self,
        mapping: &Mapping,
        received: &Received,
        mtu: u16,
        data: &[u8],
        now: Instant,
    ) -> bool {
        let length = received.segment.map_or(received.length, usize::from);
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.tell_server(mapping, received.from, Icmpv4Error::too_big(mtu.into()), length, data, now)
    }

    /// Sends a server the error about its datagram of this length of data, of which `known` has the beginning. Returns false
    /// if servers cannot be told.
    pub(crate) fn tell_server(
        &self,
        mapping: &Mapping,
        server: SocketAddrV4,
        error: Icmpv4Error,
        length: u16,
        known: &[u8],
        now: Instant,
    ) -> bool {
        if !self.outlet.tells_servers() {
            return false;
        }
        if !mapping.errors.take(ERRORS_PER_MAPPING, now) || !self.errors.take(ERRORS, now) {
            return true;
        }
        let local = mapping.local;
        let source =
            if local.ip().is_unspecified() { source_to(*server.ip()).ok() } else { Some(*local.ip()) };
        let mut out = [0; icmpv4::MAX_LEN];
        let sent = source.is_some_and(|source| {
            let quote = Quote { from: server, to: SocketAddrV4::new(source, local.port()), length, known };
            icmpv4::build_about_datagram(error, &quote, &mut out)
                .is_some_and(|length| self.outlet.tell_server(*server.ip(), source, &out[..length]))
        });
        if sent {
            self.counters().errors_up.add(1);
        }
        true
    }
}
