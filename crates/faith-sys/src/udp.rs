//! Sockets of a relay of datagrams: unconnected, with what a router must pass on beside the data: TTL, TOS and errors.
//!
//! Echo messages have sockets of two kinds. A *ping socket* belongs to one identifier, which the kernel chooses or bind(2)
//! names, and needs no privilege; `net.ipv4.ping_group_range` says who may have one, and refuses even root. A raw socket
//! receives the echo replies of many identifiers, and needs `CAP_NET_RAW` when it is opened.
//!
//! A superframe is several datagrams of one size, the last one shorter, that the kernel sends or receives in one call:
//! `UDP_SEGMENT` (Linux 4.18) and `UDP_GRO` (Linux 5.0).

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, socket_with};

use crate::control::{Control, number};
use crate::error_queue::{self, QueuedError};
use crate::message::{Message, receive_message, receive_two, send_message};
use crate::reactor::Descriptor;
use crate::source::set;

/// `SOL_RAW` and its option, from linux/icmp.h; the libc crate lacks the option.
pub(crate) const SOL_RAW: libc::c_int = 255;
pub(crate) const ICMP_FILTER: libc::c_int = 1;

/// The value of the option that keeps every message away: one bit for each type.
pub(crate) const NO_MESSAGES: libc::c_int = -1;

/// Bytes of memory for the datagrams that wait in a busy socket, of which the kernel makes twice as many (socket(7)): about
/// 800 datagrams of 1400 bytes, as many as wait in the queue of a device.
const ROOM: libc::c_int = 1 << 20;

/// The place of the dropped datagrams among the counts of `SO_MEMINFO` (`SK_MEMINFO_DROPS`, linux/sock_diag.h).
const DROPS: usize = 8;

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
        Ok(socket)
    }

    /// Has what arrives joined come as superframes from now on. Otherwise the kernel cuts it into datagrams.
    pub fn take_superframes(&self) {
        // Before Linux 5.0 there is no such option, and datagrams come one by one.
        let _ = set(self, libc::IPPROTO_UDP, libc::UDP_GRO, 1);
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

    /// Makes room for more waiting datagrams than the host's default, which is about 90 of 1400 bytes. Without
    /// `CAP_NET_ADMIN` it is up to twice `net.core.rmem_max`.
    pub fn make_room(&self) {
        if set(self, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, ROOM).is_err() {
            // No error is expected; the socket goes on either way.
            let _ = set(self, libc::SOL_SOCKET, libc::SO_RCVBUF, ROOM);
        }
    }

    /// The datagrams that the kernel has dropped so far, because the socket had no room or their checksum was wrong
    /// (`SO_MEMINFO`, Linux 4.12). The count wraps around.
    #[must_use]
    pub fn drops(&self) -> u32 {
        let mut counts = [0_u32; DROPS + 1];
        let Ok(mut length) = libc::socklen_t::try_from(size_of_val(&counts)) else { return 0 };
        // SAFETY: the kernel writes at most `length` bytes to `counts`, and both outlive the call.
        unsafe {
            libc::getsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                counts.as_mut_ptr().cast(),
                &raw mut length,
            );
        }
        // A kernel that counts none has written nothing.
        counts[DROPS]
    }

    /// Sends a datagram, or with `segment` a superframe of datagrams of that many bytes.
    ///
    /// # Errors
    /// Those of sendmsg(2). An error that an earlier datagram met comes once, whatever its destination: the queue
    /// ([`error`](Self::error)) tells about it, and the call may be repeated. `EMSGSIZE` if a datagram is too long for the
    /// device; `EIO` or `EINVAL` if the way takes no superframes.
    pub fn send(&self, to: SocketAddrV4, data: &[u8], marks: Marks, segment: Option<u16>) -> io::Result<()> {
        send_message(&self.0, to, &[IoSlice::new(data)], &mut marking(marks, segment))
    }

    /// Sends a superframe whose datagrams, of `segment` bytes each but the last, stand in different places.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_joined(
        &self,
        to: SocketAddrV4,
        datagrams: &[IoSlice<'_>],
        marks: Marks,
        segment: u16,
    ) -> io::Result<()> {
        send_message(&self.0, to, datagrams, &mut marking(marks, Some(segment)))
    }

    /// Sends an ICMP message with its header over a raw socket, from this address of the host; `0.0.0.0` leaves it to the
    /// routing table.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_raw(&self, to: Ipv4Addr, from: Ipv4Addr, message: &[u8], marks: Marks) -> io::Result<()> {
        let mut control = marking(marks, None);
        control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &source_info(from));
        send_message(&self.0, SocketAddrV4::new(to, 0), &[IoSlice::new(message)], &mut control)
    }

    /// Receives a datagram or a superframe. The kernel drops octets beyond the buffer; 64 KiB hold everything.
    ///
    /// # Errors
    /// Those of recvmsg(2): `EAGAIN` if none waits, or the error that an earlier datagram met, once.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        Ok(Received::of(&receive_message(self, buffer, 0)?))
    }

    /// Receives as [`receive`](Self::receive) does, and by the same call the next datagram or superframe if that waits too.
    /// If none comes with the first, the socket was empty when the call returned, or has an error that came since the last
    /// wait for events: then epoll reports whatever comes, and the caller need not ask again.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_two(&self, buffers: [&mut [u8]; 2]) -> io::Result<(Received, Option<Received>)> {
        let (first, second) = receive_two(self, buffers)?;
        Ok((Received::of(&first), second.as_ref().map(Received::of)))
    }

    /// Takes an error from the queue, with the beginning of the data that the offender quoted.
    ///
    /// # Errors
    /// `EAGAIN` if the queue is empty.
    pub fn error(&self, buffer: &mut [u8]) -> io::Result<QueuedError> {
        error_queue::take(self, buffer)
    }
}

impl Received {
    /// The number of datagrams.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.segment.map_or(1, |segment| self.length.div_ceil(usize::from(segment).max(1)))
    }

    fn of((length, from, control, controls): &Message) -> Self {
        let (from, length) = (*from, *length);
        let mut received =
            Self { from, length, segment: None, marks: Marks { ttl: 64, tos: 0 }, fragmented: false };
        control.read(*controls, |level, kind, data| match (level, kind, number(data)) {
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
        received
    }
}

/// The control messages of a datagram, or of a superframe of datagrams of `segment` bytes.
fn marking(marks: Marks, segment: Option<u16>) -> Control {
    let mut control = Control::new();
    control.push(libc::IPPROTO_IP, libc::IP_TTL, &i32::from(marks.ttl.max(1)).to_ne_bytes());
    control.push(libc::IPPROTO_IP, libc::IP_TOS, &i32::from(marks.tos).to_ne_bytes());
    if let Some(segment) = segment {
        control.push(libc::IPPROTO_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
    }
    control
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
mod tests;
