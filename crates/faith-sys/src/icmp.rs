//! Sends ICMPv4 messages of faithd's own.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use crate::control::Control;
use crate::message::send_message;
use crate::source::set;
use crate::udp::{ICMP_FILTER, NO_MESSAGES, SOL_RAW, source_info};

/// A raw socket that sends ICMPv4 messages and receives none.
#[derive(Debug)]
pub struct IcmpSender(OwnedFd);

impl IcmpSender {
    /// Opens it in the calling thread's network namespace.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::ICMP))?;
        // The kernel need not copy the host's messages to it.
        set(&socket, SOL_RAW, ICMP_FILTER, NO_MESSAGES)?;
        Ok(Self(socket))
    }

    /// Sends a message from an address of this host; `0.0.0.0` leaves it to the routing table.
    ///
    /// # Errors
    /// Those of sendmsg(2): `EINVAL` if the host does not have the address, `EAGAIN` if the send queue is full.
    pub fn send(&self, to: Ipv4Addr, from: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        let mut control = Control::new();
        control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &source_info(from));
        send_message(&self.0, SocketAddrV4::new(to, 0), &[IoSlice::new(message)], &mut control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::{Marks, UdpSocket};

    #[test]
    fn a_message_reaches_the_socket_that_it_is_about() {
        let sender = IcmpSender::open().expect("root's raw socket");
        let server = UdpSocket::new().unwrap();
        let here = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        server.bind(here(0)).unwrap();
        let (from, to) = (server.local().unwrap(), here(9));
        // Port unreachable, about a datagram from the socket to a port.
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 1, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        message.extend([from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
        message.extend([0, 12, 0, 0, 1, 2, 3, 4]);
        let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = !(sum % 0xffff);
        message[2..4].copy_from_slice(&sum.to_be_bytes()[2..]);
        sender.send(*from.ip(), Ipv4Addr::LOCALHOST, &message).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let error = loop {
            match server.error(&mut [0; 100]) {
                Ok(error) => break error,
                Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
            }
            std::thread::yield_now();
        };
        assert_eq!((error.icmp, error.destination), (Some((3, 3)), to));
        let _ = server.send(from, b"", Marks { ttl: 64, tos: 0 }, None);
    }
}
