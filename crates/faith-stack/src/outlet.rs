//! A lane is the way of its worker's datagrams to the host.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::classify::DropReason;
use faith_packet::icmpv6::Unreachable;
use faith_sys::icmp::IcmpSender;
use faith_sys::tun::VIRTIO_HEADER;

use crate::cut::Frame;
use crate::datagrams::{BuildError, Outlet};
use crate::lane::Lane;
use crate::warning;

impl Outlet for Lane {
    fn worker(&self) -> usize {
        self.worker
    }

    fn takes_superframes(&self) -> bool {
        self.shared.superframes
    }

    fn mtu(&self) -> u16 {
        self.shared.mtu
    }

    fn send(&self, frame: &[u8]) -> bool {
        let sent = self.to_host(frame);
        if sent {
            self.counters().returned_packets.add(1);
            self.counters().returned_bytes.add(frame.len().saturating_sub(VIRTIO_HEADER) as u64);
        }
        sent
    }

    fn dropped(&self, reason: DropReason) {
        self.counters().drop(reason);
    }

    fn unreachable(&self, code: Unreachable, frame: &[u8]) {
        self.send_unreachable(code, frame);
    }

    fn report(&self, client: Ipv6Addr, build: &mut BuildError<'_>) {
        if self.may_report(client)
            && let Some(error) = Frame::build(build)
        {
            // A lost error is counted as dropped.
            self.to_host(error.octets());
        }
    }

    fn warn_without_superframes(&self, error: &io::Error) {
        self.shared.warnings.send(warning::Kind::NoSuperframes(error.to_string()));
    }

    fn tells_servers(&self) -> bool {
        self.icmp().is_some()
    }

    fn tell_server(&self, server: Ipv4Addr, from: Ipv4Addr, message: &[u8]) -> bool {
        self.icmp().is_some_and(|icmp| icmp.send(server, from, message).is_ok())
    }
}

impl Lane {
    fn icmp(&self) -> Option<&IcmpSender> {
        self.shared.icmp.get().and_then(Option::as_ref)
    }
}
