//! Datagrams with the address of this host that they were sent to, so that the answer leaves from it.
//!
//! A socket bound to every address would answer from the one that the routing table prefers. A client
//! that asked another address ignores such an answer.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

/// The address of this host that a datagram was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The address.
    pub address: IpAddr,
    /// The interface that the datagram came in by.
    interface: u32,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its length in bytes, at most that of the buffer.
    pub length: usize,
    /// The sender.
    pub peer: SocketAddr,
    /// The address it was sent to; `None` if the kernel did not say.
    pub asked: Option<Asked>,
}

/// Room for one control message, aligned as the kernel's headers are.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Asks the kernel for the destination of each datagram (`IPV6_RECVPKTINFO`, ipv6(7); `IP_PKTINFO`, ip(7)).
///
/// # Errors
/// Those of setsockopt(2); none is expected of a UDP socket of this family.
pub fn tell(socket: impl AsFd, is_ipv6: bool) -> io::Result<()> {
    let (level, option) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, `on` is one, and the kernel only reads it during the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            socklen::<libc::c_int>(),
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives one datagram, without waiting for it.
///
/// # Errors
/// Those of recvmsg(2); `WouldBlock` if there is no datagram.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let descriptor = socket.as_fd().as_raw_fd();
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut receive = |storage: *mut _, room: *mut libc::socklen_t| {
        // SAFETY: all zeros is a valid `msghdr`: no address, no control data, no data.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_name = storage;
        // SAFETY: `try_init` gives a pointer to the size of its storage.
        message.msg_namelen = unsafe { *room };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        // SAFETY: every pointer of `message` is to memory of the length beside it, which outlives the call.
        let length = unsafe { libc::recvmsg(descriptor, &raw mut message, libc::MSG_DONTWAIT) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: as above; the kernel gives the length of the address that it wrote.
        unsafe { *room = message.msg_namelen };
        // SAFETY: the kernel filled `control` in, which is still there, and set its length.
        Ok((length, unsafe { asked(&message) }))
    };
    // SAFETY: recvmsg(2) writes a socket address into the storage, of the length that `receive` hands on.
    let ((length, asked), peer) =
        unsafe { SockAddr::try_init(|storage, room| receive(storage.cast(), room)) }?;
    let peer = peer.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Received { length, peer, asked })
}

/// Sends a datagram from the address that was asked, without waiting for room.
///
/// # Errors
/// Those of sendmsg(2); `WouldBlock` if the socket's buffer is full.
pub fn send(socket: impl AsFd, datagram: &[u8], peer: SocketAddr, asked: Option<Asked>) -> io::Result<()> {
    let peer = SockAddr::from(peer);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
    // SAFETY: all zeros is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = peer.as_ptr().cast_mut().cast();
    message.msg_namelen = peer.len();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    match asked {
        Some(Asked { address: IpAddr::V6(address), interface }) => {
            // A link-local address is one only together with its interface. For others the routing table chooses.
            let interface = if address.is_unicast_link_local() { interface } else { 0 };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: interface as _,
            };
            // SAFETY: a control message with this data fits into `control`, which outlives the call.
            unsafe { put(&mut message, &mut control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info) };
        }
        Some(Asked { address: IpAddr::V4(address), .. }) => {
            let source = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            // SAFETY: as above.
            unsafe { put(&mut message, &mut control, libc::IPPROTO_IP, libc::IP_PKTINFO, info) };
        }
        None => {}
    }
    // SAFETY: every pointer of `message` is to memory of the length beside it, which outlives the call. The kernel only
    // reads it.
    let sent = unsafe {
        libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads the destination out of a message's control data.
///
/// # Safety
/// The message's control pointer and length must be those that recvmsg(2) left.
unsafe fn asked(message: &libc::msghdr) -> Option<Asked> {
    // SAFETY: the caller's promise. The macros stay within the control data.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the macro gave a pointer to a whole header.
        let libc::cmsghdr { cmsg_level, cmsg_type, .. } = unsafe { *header };
        match (cmsg_level, cmsg_type) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: a message of this type has an `in6_pktinfo`, whose alignment the read does not rely on.
                let info: libc::in6_pktinfo =
                    unsafe { libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().read_unaligned() };
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr).into();
                return Some(Asked { address, interface: info.ipi6_ifindex as _ });
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: as above, an `in_pktinfo`.
                let info: libc::in_pktinfo =
                    unsafe { libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().read_unaligned() };
                let address = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into();
                return Some(Asked { address, interface: 0 });
            }
            _ => {}
        }
        // SAFETY: as for the first header.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Makes `control` hold one message with this data, and `message` point to it.
///
/// # Safety
/// `control` must outlive each use of `message`, and the data must fit.
unsafe fn put<T>(
    message: &mut libc::msghdr,
    control: &mut Control,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
) {
    let length = libc::c_uint::try_from(size_of::<T>()).unwrap_or(libc::c_uint::MAX);
    message.msg_control = (&raw mut *control).cast();
    // SAFETY: the macros only compute. The first header is at the start of `control`, which is aligned for it and has
    // room for the data: the caller's promise.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(length) as _;
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(data);
    }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    /// A socket on every address, and its port.
    fn everywhere(address: &str) -> (UdpSocket, u16) {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        tell(&socket, address.contains(':')).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    }

    fn waited(socket: &UdpSocket, buffer: &mut [u8]) -> Received {
        // Waits for the datagram, which stays in the queue.
        socket.peek(&mut [0; 1]).unwrap();
        receive(socket, buffer).unwrap()
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        for (any, asked) in [("0.0.0.0", "127.0.0.9"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let (server, port) = everywhere(any);
            let client = UdpSocket::bind((if any == "::" { "::1" } else { "127.0.0.1" }, 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.send_to(b"question", (asked, port)).unwrap();

            let mut buffer = [0; 20];
            let received = waited(&server, &mut buffer);
            assert_eq!(&buffer[..received.length], b"question");
            assert_eq!(received.peer, client.local_addr().unwrap());
            assert_eq!(received.asked.unwrap().address, asked.parse::<IpAddr>().unwrap());

            send(&server, b"answer", received.peer, received.asked).unwrap();
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..length], from),
                (&b"answer"[..], (asked.parse::<IpAddr>().unwrap(), port).into())
            );
        }
    }

    #[test]
    fn an_empty_queue_would_block_and_a_long_datagram_is_cut() {
        let (server, port) = everywhere("127.0.0.1");
        assert_eq!(receive(&server, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"question", ("127.0.0.1", port)).unwrap();
        assert_eq!(waited(&server, &mut [0; 4]).length, 4);
    }

    #[test]
    fn an_address_that_is_not_this_hosts_is_refused() {
        let (server, _) = everywhere("0.0.0.0");
        let asked = Some(Asked { address: Ipv4Addr::new(192, 0, 2, 1).into(), interface: 0 });
        assert!(send(&server, b"answer", "127.0.0.1:9".parse().unwrap(), asked).is_err());
    }
}
