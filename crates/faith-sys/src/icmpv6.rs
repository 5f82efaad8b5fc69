//! A raw socket for the ICMPv6 messages of routers (RFC 4861): it hears and sends advertisements and solicitations on every
//! interface, each with the interface and the hop limit of its packet.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The types of messages that the socket hears.
const HEARD: [u32; 2] = [133, 134];

/// `ICMP6_FILTER` of `linux/icmpv6.h`, which the libc crate lacks: each bit of a type that is set blocks it.
const ICMP6_FILTER: libc::c_int = 1;

/// Hop limit of messages to neighbours (RFC 4861 section 4).
const HOP_LIMIT: u32 = 255;

/// Room for the two control messages of a packet, with their headers.
const CONTROL: usize = 128;

/// Control data, aligned as its headers must be.
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// The socket. It needs a privilege to open, and none afterwards.
#[derive(Debug)]
pub struct RouterSocket {
    socket: Socket,
}

/// A message with the facts of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The number of octets that were written to the buffer.
    pub length: usize,
    /// The sender.
    pub source: Ipv6Addr,
    /// The index of the interface.
    pub interface: u32,
    /// The hop limit.
    pub hop_limit: u8,
}

impl RouterSocket {
    /// Opens the socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, and others of socket(2) and setsockopt(2).
    pub fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6))?;
        let mut filter = [u32::MAX; 8];
        for heard in HEARD {
            if let Some(word) = usize::try_from(heard / 32).ok().and_then(|at| filter.get_mut(at)) {
                *word &= !(1 << (heard % 32));
            }
        }
        set(&socket, libc::SOL_ICMPV6, ICMP6_FILTER, &filter)?;
        set(&socket, libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
        socket.set_recv_hoplimit_v6(true)?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_unicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_loop_v6(false)?;
        // Lets a sender have an address of its own, which the interface lacks.
        socket.set_freebind_v6(true)?;
        Ok(Self { socket })
    }

    /// Hears the messages to all routers (`ff02::2`) of an interface. Without this, a host that does not forward hears none.
    ///
    /// # Errors
    /// Those of setsockopt(2): `ENODEV` without the interface; `EADDRINUSE` if it is joined already.
    pub fn join_routers(&self, interface: u32) -> io::Result<()> {
        self.socket.join_multicast_v6(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2), interface)
    }

    /// Sends a message to a group or a neighbour of an interface, from `source`, or from an address that the kernel chooses. With `hears`,
    /// the host's own programs hear it too.
    ///
    /// # Errors
    /// Those of sendmsg(2): `ENODEV` without the interface, `ENETUNREACH` while it is down.
    pub fn send(
        &self,
        message: &[u8],
        source: Option<Ipv6Addr>,
        to: Ipv6Addr,
        interface: u32,
        hears: bool,
    ) -> io::Result<()> {
        self.socket.set_multicast_loop_v6(hears)?;
        let sent = self.send_from(message, source.unwrap_or(Ipv6Addr::UNSPECIFIED), to, interface);
        self.socket.set_multicast_loop_v6(false)?;
        sent
    }

    fn send_from(&self, message: &[u8], source: Ipv6Addr, to: Ipv6Addr, interface: u32) -> io::Result<()> {
        let name = SockAddr::from(SocketAddrV6::new(to, 0, 0, interface));
        let info = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
            ipi6_ifindex: interface,
        };
        let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
        let mut control = Control([0; CONTROL]);
        // SAFETY: all zeros is a valid `msghdr`: no address, no control data, no data.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        let size = libc::c_uint::try_from(size_of::<libc::in6_pktinfo>()).map_err(io::Error::other)?;
        // SAFETY: these two only compute sizes.
        let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size)) };
        header.msg_controllen = space.try_into().map_err(io::Error::other)?;
        // SAFETY: `msg_control` points at `CONTROL` aligned octets, and `msg_controllen` is less. So the first control
        // message exists, and has room for the address and the index.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_IPV6;
            (*first).cmsg_type = libc::IPV6_PKTINFO;
            (*first).cmsg_len = length.try_into().map_err(io::Error::other)?;
            libc::CMSG_DATA(first).cast::<libc::in6_pktinfo>().write_unaligned(info);
        }
        // SAFETY: all that `header` points at outlives the call, which writes none of it.
        let sent = unsafe { libc::sendmsg(self.socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reads a message; `None` if none waits. A longer message than the buffer is cut.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut control = Control([0; CONTROL]);
        let mut from = MaybeUninit::<libc::sockaddr_in6>::zeroed();
        // SAFETY: all zeros is a valid `msghdr`.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = from.as_mut_ptr().cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>().try_into().map_err(io::Error::other)?;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
        // SAFETY: the kernel writes at most the given lengths to the buffer, to `from` and to `control`, which outlive the
        // call.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        };
        // SAFETY: all zeros, or what the kernel wrote, is a valid `sockaddr_in6`.
        let source = Ipv6Addr::from(unsafe { from.assume_init() }.sin6_addr.s6_addr);
        let (mut interface, mut hop_limit) = (0, 0);
        // SAFETY: the kernel has set `msg_controllen` to the length of the control messages that it wrote to `control`.
        // CMSG_NXTHDR stays within it, and each message read here has the length that its type has.
        unsafe {
            let mut each = libc::CMSG_FIRSTHDR(&raw const header);
            while !each.is_null() {
                let data = libc::CMSG_DATA(each);
                match ((*each).cmsg_level, (*each).cmsg_type) {
                    (libc::SOL_IPV6, libc::IPV6_PKTINFO) => {
                        interface = data.cast::<libc::in6_pktinfo>().read_unaligned().ipi6_ifindex;
                    }
                    (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) => {
                        let limit = data.cast::<libc::c_int>().read_unaligned();
                        hop_limit = u8::try_from(limit).unwrap_or(0);
                    }
                    _ => {}
                }
                each = libc::CMSG_NXTHDR(&raw const header, each);
            }
        }
        Ok(Some(Received { length, source, interface, hop_limit }))
    }
}

impl AsFd for RouterSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn set<T>(socket: &Socket, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` octets of `value`, which has as many.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    /// The index of the loopback interface in every network namespace.
    const LOOPBACK: u32 = 1;

    #[test]
    fn a_message_is_heard_with_its_sender_interface_and_hop_limit() {
        let Ok(sender) = RouterSocket::open() else { return eprintln!("skipped: needs CAP_NET_RAW") };
        let listener = RouterSocket::open().unwrap();
        // Tells this message from those of other processes.
        let [one, two, three, four] = std::process::id().to_be_bytes();
        let message = [134, 0, 0, 0, 0, 0, 0, 0, one, two, three, four, 0, 0, 0, 0];
        sender.send(&message, None, Ipv6Addr::LOCALHOST, LOOPBACK, true).unwrap();
        let mut buffer = [0; 100];
        let received = loop {
            poll(&mut [PollFd::new(&listener, PollFlags::IN)], None).unwrap();
            let Some(received) = listener.receive(&mut buffer).unwrap() else { continue };
            if buffer[8..12] == message[8..12] {
                break received;
            }
        };
        let expected = Received {
            length: message.len(),
            source: Ipv6Addr::LOCALHOST,
            interface: LOOPBACK,
            hop_limit: 255,
        };
        assert_eq!(received, expected);
        assert_eq!(listener.receive(&mut buffer).unwrap(), None);
    }

    #[test]
    fn an_interface_that_does_not_exist_is_an_error() {
        let Ok(socket) = RouterSocket::open() else { return eprintln!("skipped: needs CAP_NET_RAW") };
        let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let sent = socket.send(&[134; 16], None, all_nodes, 1 << 30, false);
        assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(socket.join_routers(1 << 30).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
