//! Resets clients after the faith interface was deleted, when no packets pass any more.
//!
//! Resets leave by a raw socket in the host's namespace, as if the host itself had sent them. A client that has lost
//! something on the way objects to its reset (RFC 5961 section 3.2), and the host has no route any more for what it says;
//! so a packet socket hears it, and each segment for one of the prefixes is answered with a reset. Both need
//! `CAP_NET_RAW`; without it clients hear nothing.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};

use faith_packet::prefix::PrefixSet;
use faith_packet::tcp;
use faith_sys::tun::VIRTIO_HEADER;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::cut::Frame;

/// `IPPROTO_RAW`: packets come with their IPv6 header.
const RAW: i32 = 255;
const ETH_P_IPV6: u16 = 0x86dd;

/// Takes the place of a device that is gone.
pub(crate) struct StandIn {
    sender: Socket,
    /// One worker's alone, as each would hear everything.
    ear: Option<Socket>,
}

impl StandIn {
    /// Opens its sockets in the network namespace of the calling thread; `hears` is whether it answers.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, and others of socket(2).
    pub(crate) fn open(hears: bool) -> io::Result<Self> {
        let sender = Socket::new(Domain::IPV6, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(RAW)))?;
        let protocol = Protocol::from(i32::from(ETH_P_IPV6.to_be()));
        // Without link-layer headers, and from all devices; what the host sends itself does not come.
        let listen = || Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(protocol));
        let ear = hears.then(listen).transpose()?;
        Ok(Self { sender, ear })
    }

    /// Sends the packet in `frame` if it is a reset; whether it did.
    pub(crate) fn send(&self, frame: &[u8]) -> bool {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return false };
        Frame::build(|out| tcp::rebuild_reset(packet, out)).is_some_and(|reset| self.send_packet(&reset))
    }

    /// Answers one packet that is for one of `prefixes`; whether there was a packet.
    pub(crate) fn answer(&self, prefixes: &PrefixSet, buffer: &mut [u8]) -> bool {
        let Some(ear) = &self.ear else { return false };
        let Ok((_, length)) = recv(ear, &mut *buffer, RecvFlags::DONTWAIT) else { return false };
        let packet = buffer.get(..length).unwrap_or_default();
        let ours = tcp::destination(packet).is_some_and(|address| prefixes.find(&address).is_some());
        if ours && let Some(reset) = Frame::build(|out| tcp::build_refusal(packet, out)) {
            self.send_packet(&reset);
        }
        true
    }

    fn send_packet(&self, frame: &Frame) -> bool {
        let Some(packet) = frame.octets().get(VIRTIO_HEADER..) else { return false };
        let to = tcp::destination(packet).unwrap_or(Ipv6Addr::UNSPECIFIED);
        self.sender.send_to(packet, &SockAddr::from(SocketAddrV6::new(to, 0, 0, 0))).is_ok()
    }
}

/// The packet socket, or the raw one, which never receives.
impl AsFd for StandIn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_ref().unwrap_or(&self.sender).as_fd()
    }
}
