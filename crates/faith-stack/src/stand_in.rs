//! Resets clients after another program deleted the faith interface, when packets cannot pass any more.
//!
//! Resets leave by a raw socket in the host's namespace, as if the host itself had sent them. A client that lost a
//! segment on the way objects to its reset (RFC 5961 section 3.2), but the host has no route for its packets any more. So
//! a packet socket receives them, and the stand-in answers each segment for one of the prefixes with a reset. Both
//! sockets need `CAP_NET_RAW`; without it clients get no reset.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};

use faith_packet::prefix::PrefixSet;
use faith_packet::tcp;
use faith_sys::tun::VIRTIO_HEADER;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::cut::Frame;

/// `IPPROTO_RAW`: the sender writes the IPv6 header itself.
const RAW: i32 = 255;
const ETH_P_IPV6: u16 = 0x86dd;

/// Replaces a deleted device.
pub(crate) struct StandIn {
    sender: Socket,
    /// The packet socket, which one worker has: every such socket receives all packets.
    receiver: Option<Socket>,
}

impl StandIn {
    /// Opens the sockets in the calling thread's network namespace; the packet socket only if `answers`.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, and others of socket(2).
    pub(crate) fn open(answers: bool) -> io::Result<Self> {
        let sender = Socket::new(Domain::IPV6, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(RAW)))?;
        let protocol = Protocol::from(i32::from(ETH_P_IPV6.to_be()));
        // Packets come from all devices, without link-layer headers, except those that the host itself sends.
        let listen = || Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(protocol));
        let receiver = answers.then(listen).transpose()?;
        Ok(Self { sender, receiver })
    }

    /// Sends the packet in `frame` if it is a reset. Returns true if it was sent.
    pub(crate) fn send(&self, frame: &[u8]) -> bool {
        let Some(packet) = frame.get(VIRTIO_HEADER..) else { return false };
        Frame::build(|out| tcp::rebuild_reset(packet, out)).is_some_and(|reset| self.send_packet(&reset))
    }

    /// Reads one packet, and answers it if it is for one of `prefixes`. Returns false if there was no packet.
    pub(crate) fn answer(&self, prefixes: &PrefixSet, buffer: &mut [u8]) -> bool {
        let Some(receiver) = &self.receiver else { return false };
        let Ok((_, length)) = recv(receiver, &mut *buffer, RecvFlags::DONTWAIT) else { return false };
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

/// Gives the packet socket, or the raw socket, which never receives.
impl AsFd for StandIn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_ref().unwrap_or(&self.sender).as_fd()
    }
}
