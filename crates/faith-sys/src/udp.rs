//! Sockets of a relay of datagrams: unconnected, with what a router must pass on beside the data: TTL, TOS and errors.
//!
//! Echo messages have sockets of two kinds. A *ping socket* belongs to one identifier, which the kernel chooses or bind(2)
//! names, and needs no privilege; `net.ipv4.ping_group_range` says who may have one, and refuses even root. A raw socket
//! receives the echo replies of many identifiers, and needs `CAP_NET_RAW` when it is opened.
//!
//! A superframe is several datagrams of one size, the last one shorter, that the kernel sends or receives in one call:
//! `UDP_SEGMENT` (Linux 4.18) and `UDP_GRO` (Linux 5.0).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with};

use crate::control::{Control, number};
use crate::error_queue::{self, QueuedError};
use crate::message::{receive_message, send_message};
use crate::reactor::Descriptor;
use crate::source::set;

/// `SOL_RAW` and its option, from linux/icmp.h; the libc crate lacks the option.
pub(crate) const SOL_RAW: libc::c_int = 255;
pub(crate) const ICMP_FILTER: libc::c_int = 1;

/// The value of the option that keeps every message away: one bit for each type.
pub(crate) const NO_MESSAGES: libc::c_int = -1;

/// A UDP socket over IPv4, non-blocking, whose errors wait in its error queue (`IP_RECVERR`, ip(7)).
#[derive(Debug)]
pub struct UdpSocket(OwnedFd);

/// The fields of the IPv4 header that pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Time to live; 1 to 255 when sending.
    pub ttl: u8,
    /// Type of service: DSCP and ECN.
    pub tos: u8,
}

/// A received datagram or superframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The sender.
    pub from: SocketAddrV4,
    /// Bytes of data.
    pub length: usize,
    /// Bytes of each datagram but the last, if this is a superframe.
    pub segment: Option<u16>,
    /// The fields of its header.
    pub marks: Marks,
    /// True if it came in fragments.
    pub fragmented: bool,
}

impl UdpSocket {
    /// Makes a socket.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    pub fn new() -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = Self(socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?);
        socket.receive_marks()?;
        // Before Linux 5.0 there is no such option, and datagrams come one by one.
        let _ = set(&socket, libc::IPPROTO_UDP, libc::UDP_GRO, 1);
        Ok(socket)
    }

    /// Makes a ping socket. Its port is the identifier, and its data is an ICMP message with its header. The kernel writes
    /// identifier and checksum of what it sends, and verifies the checksum of what it receives.
    ///
    /// # Errors
    /// `EACCES` if `net.ipv4.ping_group_range` has no group of this process; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    pub fn ping() -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = Self(socket_with(AddressFamily::INET, SocketType::DGRAM, flags, Some(ipproto::ICMP))?);
        socket.receive_marks()?;
        Ok(socket)
    }

    /// Makes a raw socket for echo messages of the identifiers that are `share` modulo `shares`. It receives nothing
    /// before [`hear`](Self::hear). A received message begins with the IPv4 header, and is not verified.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    pub fn raw_echo(share: u32, shares: u32) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = Self(socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::ICMP))?);
        set(&socket, SOL_RAW, ICMP_FILTER, NO_MESSAGES)?;
        attach_share(&socket.0, share, shares.max(1))?;
        Ok(socket)
    }

    /// Has a raw socket receive echo replies, and errors about what it sends.
    ///
    /// # Errors
    /// Those of setsockopt(2); none is expected.
    pub fn hear(&self) -> io::Result<()> {
        self.receive_marks()?;
        // One bit for each type that is kept away; the type of echo replies is 0.
        set(self, SOL_RAW, ICMP_FILTER, NO_MESSAGES << 1)
    }

    fn receive_marks(&self) -> io::Result<()> {
        for option in [libc::IP_RECVERR, libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_RECVFRAGSIZE] {
            set(self, libc::IPPROTO_IP, option, 1)?;
        }
        Ok(())
    }

    /// Binds to an address and a port.
    ///
    /// # Errors
    /// `EADDRINUSE` if the port is taken, `EADDRNOTAVAIL` if the host does not have the address, `EACCES` without
    /// `CAP_NET_BIND_SERVICE` for a port below net.ipv4.ip_unprivileged_port_start.
    pub fn bind(&self, local: SocketAddrV4) -> io::Result<()> {
        Ok(bind(&self.0, &SocketAddr::V4(local))?)
    }

    /// The address and port that it is bound to.
    ///
    /// # Errors
    /// None is expected of a bound socket.
    pub fn local(&self) -> io::Result<SocketAddrV4> {
        getsockname(&self.0)?.try_into().map_err(|_| io::ErrorKind::Unsupported.into())
    }

    /// Forbids routers to fragment datagrams, or permits it. In neither case does the socket go by path MTUs that the host
    /// has learnt: it acts as a router (`IP_PMTUDISC_PROBE`, `IP_PMTUDISC_DONT`; ip(7)).
    ///
    /// # Errors
    /// Those of setsockopt(2); none is expected.
    pub fn dont_fragment(&self, forbid: bool) -> io::Result<()> {
        let value = if forbid { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
        set(self, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
    }

    /// Sends a datagram, or with `segment` a superframe of datagrams of that many bytes.
    ///
    /// # Errors
    /// Those of sendmsg(2). An error that an earlier datagram met comes once, whatever its destination: the queue
    /// ([`error`](Self::error)) tells about it, and the call may be repeated. `EMSGSIZE` if a datagram is too long for the
    /// device; `EIO` or `EINVAL` if the way takes no superframes.
    pub fn send(&self, to: SocketAddrV4, data: &[u8], marks: Marks, segment: Option<u16>) -> io::Result<()> {
        let mut control = Control::new();
        control.push(libc::IPPROTO_IP, libc::IP_TTL, &i32::from(marks.ttl.max(1)).to_ne_bytes());
        control.push(libc::IPPROTO_IP, libc::IP_TOS, &i32::from(marks.tos).to_ne_bytes());
        if let Some(segment) = segment {
            control.push(libc::IPPROTO_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        send_message(&self.0, to, data, &mut control)
    }

    /// Sends an ICMP message with its header over a raw socket, from this address of the host; `0.0.0.0` leaves it to the
    /// routing table.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_raw(&self, to: Ipv4Addr, from: Ipv4Addr, message: &[u8], marks: Marks) -> io::Result<()> {
        let mut control = Control::new();
        control.push(libc::IPPROTO_IP, libc::IP_TTL, &i32::from(marks.ttl.max(1)).to_ne_bytes());
        control.push(libc::IPPROTO_IP, libc::IP_TOS, &i32::from(marks.tos).to_ne_bytes());
        control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &source_info(from));
        send_message(&self.0, SocketAddrV4::new(to, 0), message, &mut control)
    }

    /// Receives a datagram or a superframe. The kernel drops octets beyond the buffer; 64 KiB hold everything.
    ///
    /// # Errors
    /// Those of recvmsg(2): `EAGAIN` if none waits, or the error that an earlier datagram met, once.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let (length, from, control, controls) = receive_message(self, buffer, 0)?;
        let mut received =
            Received { from, length, segment: None, marks: Marks { ttl: 64, tos: 0 }, fragmented: false };
        control.read(controls, |level, kind, data| match (level, kind, number(data)) {
            (libc::IPPROTO_IP, libc::IP_TTL, Some(ttl)) => {
                received.marks.ttl = u8::try_from(ttl).unwrap_or(u8::MAX);
            }
            (libc::IPPROTO_IP, libc::IP_TOS, Some(tos)) => {
                received.marks.tos = u8::try_from(tos).unwrap_or(0);
            }
            (libc::IPPROTO_IP, libc::IP_RECVFRAGSIZE, Some(_)) => received.fragmented = true,
            (libc::IPPROTO_UDP, libc::UDP_GRO, Some(size)) => {
                let size = u16::try_from(size).ok().filter(|size| *size > 0);
                received.segment = size.filter(|size| usize::from(*size) < length);
            }
            _ => {}
        });
        Ok(received)
    }

    /// Takes an error from the queue, with the beginning of the data that the offender quoted.
    ///
    /// # Errors
    /// `EAGAIN` if the queue is empty.
    pub fn error(&self, buffer: &mut [u8]) -> io::Result<QueuedError> {
        error_queue::take(self, buffer)
    }
}

/// `struct in_pktinfo` for sending: the index of a device, the source, and an address that counts for received packets alone.
pub(crate) fn source_info(from: Ipv4Addr) -> [u8; 12] {
    let mut info = [0; 12];
    info[4..8].copy_from_slice(&from.octets());
    info
}

/// Lets a raw socket of ICMP receive only messages whose identifier is `share` modulo `shares` (`SO_ATTACH_FILTER`).
fn attach_share(socket: &OwnedFd, share: u32, shares: u32) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "classic BPF opcodes are 16 bits wide")]
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut code = [
        // The length of the IPv4 header, and the identifier in the message behind it.
        statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0),
        statement(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 4),
        statement(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, shares),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, share) },
        statement(libc::BPF_RET | libc::BPF_K, u32::MAX),
        statement(libc::BPF_RET | libc::BPF_K, 0),
    ];
    #[expect(clippy::cast_possible_truncation, reason = "six instructions")]
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    let length = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&program).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

// SAFETY: it owns its descriptor and cannot exchange it.
unsafe impl Descriptor for UdpSocket {}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const MARKS: Marks = Marks { ttl: 9, tos: 0xb9 };

    fn bound() -> (UdpSocket, SocketAddrV4) {
        let socket = UdpSocket::new().unwrap();
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let local = socket.local().unwrap();
        (socket, local)
    }

    /// Over loopback a datagram has arrived when send returns, but its receiver's softirq may run a moment later.
    fn eventually<T>(mut attempt: impl FnMut() -> io::Result<T>) -> T {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match attempt() {
                Ok(value) => return value,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_datagram_arrives_with_its_marks_and_its_sender() {
        let ((one, from), (other, to)) = (bound(), bound());
        let mut buffer = [0; 100];
        assert_eq!(other.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        one.send(to, b"hello", MARKS, None).unwrap();
        let received = eventually(|| other.receive(&mut buffer));
        let expected = Received { from, length: 5, segment: None, marks: MARKS, fragmented: false };
        assert_eq!((received, &buffer[..5]), (expected, &b"hello"[..]));
        one.send(to, b"", MARKS, None).unwrap();
        assert_eq!(eventually(|| other.receive(&mut buffer)).length, 0);
    }

    #[test]
    fn a_superframe_arrives_whole_with_the_size_of_its_datagrams() {
        let ((one, from), (other, to)) = (bound(), bound());
        let data: Vec<u8> = (0..=250).cycle().take(5000).collect();
        one.send(to, &data, MARKS, Some(1200)).unwrap();
        let (mut got, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while got.len() < data.len() {
            let received = eventually(|| other.receive(&mut buffer));
            assert_eq!((received.from, received.marks), (from, MARKS));
            assert!(received.segment.is_none_or(|segment| segment == 1200));
            got.extend_from_slice(&buffer[..received.length]);
        }
        assert_eq!(got, data);
    }

    #[test]
    fn an_error_is_in_the_queue_with_its_destination_and_its_offender_and_a_later_send_works() {
        let ((one, _), (closed, to)) = (bound(), bound());
        drop(closed);
        one.send(to, b"to a closed port", MARKS, None).unwrap();
        let mut buffer = [0; 100];
        let error = eventually(|| one.error(&mut buffer));
        let expected = QueuedError {
            destination: to,
            errno: libc::ECONNREFUSED,
            icmp: Some((3, 3)),
            info: 0,
            offender: Some(Ipv4Addr::LOCALHOST),
            length: 16,
        };
        assert_eq!((error, &buffer[..16]), (expected, &b"to a closed port"[..]));
        let (other, open) = bound();
        // The error comes once more, with any destination.
        if one.send(open, b"again", MARKS, None).is_err() {
            one.send(open, b"again", MARKS, None).unwrap();
        }
        assert_eq!(eventually(|| other.receive(&mut buffer)).length, 5);
        assert_eq!(one.error(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    /// Receives a reply to a raw socket of share 0, without its IPv4 header.
    fn heard(socket: &UdpSocket) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 200];
        let received = socket.receive(&mut buffer)?;
        Ok(buffer[20..received.length].to_vec())
    }

    fn request(identifier: u16) -> Vec<u8> {
        let mut message = [&[8, 0, 0, 0][..], &identifier.to_be_bytes(), &[0, 1], b"data"].concat();
        let sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = !(sum % 0xffff);
        message[2..4].copy_from_slice(&sum.to_be_bytes()[2..]);
        message
    }

    #[test]
    fn a_raw_socket_hears_the_replies_to_its_share_of_identifiers() {
        let socket = UdpSocket::raw_echo(1, 4).unwrap();
        let send = |identifier| {
            socket.send_raw(Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, &request(identifier), MARKS).unwrap();
        };
        // It is deaf at first.
        send(401);
        socket.hear().unwrap();
        (400..=406).for_each(send);
        let identifiers = [0; 2].map(|_| {
            let message = eventually(|| heard(&socket));
            assert_eq!((message[0], &message[8..]), (0, &b"data"[..]));
            u16::from_be_bytes([message[4], message[5]])
        });
        assert_eq!(identifiers, [401, 405]);
        assert_eq!(heard(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_ping_socket_has_its_own_identifier_where_the_host_allows_one() {
        let socket = match UdpSocket::ping() {
            Ok(socket) => socket,
            Err(error) => return assert_eq!(error.raw_os_error(), Some(libc::EACCES)),
        };
        socket.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let identifier = socket.local().unwrap().port();
        socket.send(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), &request(7), MARKS, None).unwrap();
        let mut buffer = [0; 100];
        let received = eventually(|| socket.receive(&mut buffer));
        assert_eq!((received.length, *received.from.ip()), (12, Ipv4Addr::LOCALHOST));
        assert_eq!(
            (buffer[0], &buffer[4..6], &buffer[8..12]),
            (0, &identifier.to_be_bytes()[..], &b"data"[..])
        );
    }

    #[test]
    fn a_port_is_taken_once() {
        let (_one, local) = bound();
        let other = UdpSocket::new().unwrap();
        assert_eq!(other.bind(local).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
