//! Datagrams with the address of this host that they were sent to, so that the answer leaves from it.
//!
//! A socket bound to every address would answer from the one that the routing table prefers. A client
//! that asked another address ignores such an answer.

use std::array;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;

use socket2::{SockAddr, SockAddrStorage};

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

/// The most datagrams that pass by one call. More gain little: most of the time goes into each datagram.
pub const TOGETHER: usize = 16;

/// The flags of recvmmsg(2) and sendmmsg(2) are unsigned in musl's header.
#[cfg(target_env = "musl")]
const AT_ONCE: libc::c_uint = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL).cast_unsigned();
#[cfg(not(target_env = "musl"))]
const AT_ONCE: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Room for datagrams that are received by one call.
pub struct Batch {
    buffers: Vec<Vec<u8>>,
    received: Vec<Received>,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its data.
    pub datagram: Vec<u8>,
    /// The receiver.
    pub peer: SocketAddr,
    /// The address of this host that it leaves from.
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

impl Batch {
    /// Room for datagrams of this many bytes. Longer ones are cut.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { buffers: vec![vec![0; longest]; TOGETHER], received: Vec::with_capacity(TOGETHER) }
    }

    /// Receives the datagrams that are there, at most [`TOGETHER`], in place of those of the last call. Does not wait.
    ///
    /// # Errors
    /// Those of recvmsg(2); `WouldBlock` if there is no datagram.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<()> {
        self.received.clear();
        let mut controls: [Control; TOGETHER] = array::from_fn(|_| Control([0; 64]));
        let mut peers: [SockAddrStorage; TOGETHER] = array::from_fn(|_| SockAddrStorage::zeroed());
        let mut buffers = self.buffers.iter_mut();
        let mut parts: [libc::iovec; TOGETHER] = array::from_fn(|_| {
            let buffer: &mut [u8] = buffers.next().map_or(&mut [], Vec::as_mut_slice);
            libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }
        });
        // SAFETY: all zeros is a valid `mmsghdr`: no address, no control data, no data.
        let mut messages: [libc::mmsghdr; TOGETHER] = array::from_fn(|_| unsafe { zeroed() });
        for (((message, peer), part), control) in
            messages.iter_mut().zip(&mut peers).zip(&mut parts).zip(&mut controls)
        {
            let message = &mut message.msg_hdr;
            message.msg_namelen = peer.size_of();
            message.msg_name = (&raw mut *peer).cast();
            message.msg_iov = part;
            message.msg_iovlen = 1;
            message.msg_control = (&raw mut *control).cast();
            message.msg_controllen = size_of::<Control>() as _;
        }
        let count = libc::c_uint::try_from(TOGETHER).unwrap_or(1);
        // SAFETY: every pointer of the `count` messages is to memory of the length beside it, which outlives the call.
        let count = unsafe {
            let descriptor = socket.as_fd().as_raw_fd();
            libc::recvmmsg(descriptor, messages.as_mut_ptr(), count, AT_ONCE, null_mut())
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (message, peer) in messages.iter().zip(peers).take(count) {
            // SAFETY: the kernel wrote an address of this length into the storage.
            let peer = unsafe { SockAddr::new(peer, message.msg_hdr.msg_namelen) };
            // SAFETY: the kernel filled the control data in, which are still there, and set their length.
            let asked = unsafe { asked(&message.msg_hdr) };
            let length = usize::try_from(message.msg_len).unwrap_or(0);
            // A datagram of an IP socket has the address of an IP socket.
            let Some(peer) = peer.as_socket() else { return Err(io::ErrorKind::InvalidData.into()) };
            self.received.push(Received { length, peer, asked });
        }
        Ok(())
    }

    /// The datagrams of the last call.
    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], Received)> {
        let whole = self.buffers.iter().zip(&self.received);
        whole.map(|(buffer, received)| (&buffer[..received.length.min(buffer.len())], *received))
    }
}

/// Sends datagrams, each from the address that was asked, without waiting for room. Returns the number of those that were
/// sent: the first ones, and at most [`TOGETHER`].
///
/// # Errors
/// Those of sendmsg(2), if the first datagram was not sent; `WouldBlock` if the socket's buffer is full.
pub fn send(socket: impl AsFd, answers: &[Answer]) -> io::Result<usize> {
    let count = answers.len().min(TOGETHER);
    let mut controls: [Control; TOGETHER] = array::from_fn(|_| Control([0; 64]));
    let mut parts: [libc::iovec; TOGETHER] = array::from_fn(|at| {
        let datagram = answers.get(at).map_or(&[][..], |answer| answer.datagram.as_slice());
        libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() }
    });
    let peers: [Option<SockAddr>; TOGETHER] =
        array::from_fn(|at| answers.get(at).map(|answer| SockAddr::from(answer.peer)));
    // SAFETY: all zeros is a valid `mmsghdr`.
    let mut messages: [libc::mmsghdr; TOGETHER] = array::from_fn(|_| unsafe { zeroed() });
    for ((((message, answer), peer), part), control) in
        messages.iter_mut().zip(answers).zip(peers.iter().flatten()).zip(&mut parts).zip(&mut controls)
    {
        let message = &mut message.msg_hdr;
        message.msg_name = peer.as_ptr().cast_mut().cast();
        message.msg_namelen = peer.len();
        message.msg_iov = part;
        message.msg_iovlen = 1;
        leave_from(message, control, answer.asked);
    }
    let many = libc::c_uint::try_from(count).unwrap_or(1);
    // SAFETY: every pointer of the `many` messages is to memory of the length beside it, which outlives the call. The kernel
    // writes the lengths alone.
    let sent = unsafe { libc::sendmmsg(socket.as_fd().as_raw_fd(), messages.as_mut_ptr(), many, AT_ONCE) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Gives a message the address of this host that it leaves from. `control` must outlive the message.
fn leave_from(message: &mut libc::msghdr, control: &mut Control, asked: Option<Asked>) {
    match asked {
        Some(Asked { address: IpAddr::V6(address), interface }) => {
            // A link-local address is one only together with its interface. For others the routing table chooses.
            let interface = if address.is_unicast_link_local() { interface } else { 0 };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: interface as _,
            };
            // SAFETY: a control message with this data fits into `control`, which outlives the message.
            unsafe { put(message, control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info) };
        }
        Some(Asked { address: IpAddr::V4(address), .. }) => {
            let source = libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: source,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            // SAFETY: as above.
            unsafe { put(message, control, libc::IPPROTO_IP, libc::IP_PKTINFO, info) };
        }
        None => {}
    }
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

    fn waited(socket: &UdpSocket, batch: &mut Batch) {
        // Waits for the first datagram, which stays in the queue.
        socket.peek(&mut [0; 1]).unwrap();
        batch.receive(socket).unwrap();
    }

    fn answer(datagram: &[u8], to: Received) -> Answer {
        Answer { datagram: datagram.to_vec(), peer: to.peer, asked: to.asked }
    }

    #[test]
    fn an_answer_leaves_from_the_address_that_was_asked() {
        for (any, asked) in [("0.0.0.0", "127.0.0.9"), ("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let (server, port) = everywhere(any);
            let client = UdpSocket::bind((if any == "::" { "::1" } else { "127.0.0.1" }, 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.send_to(b"question", (asked, port)).unwrap();

            let mut batch = Batch::new(20);
            waited(&server, &mut batch);
            let (datagram, received) = batch.datagrams().next().unwrap();
            assert_eq!(datagram, b"question");
            assert_eq!(received.peer, client.local_addr().unwrap());
            assert_eq!(received.asked.unwrap().address, asked.parse::<IpAddr>().unwrap());

            assert_eq!(send(&server, &[answer(b"answer", received)]).unwrap(), 1);
            let mut buffer = [0; 20];
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
        let mut batch = Batch::new(4);
        assert_eq!(batch.receive(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"question", ("127.0.0.1", port)).unwrap();
        waited(&server, &mut batch);
        assert_eq!(batch.datagrams().map(|(datagram, _)| datagram).collect::<Vec<_>>(), [b"ques"]);
    }

    #[test]
    fn datagrams_of_several_clients_pass_together_and_in_their_order() {
        let (server, port) = everywhere("::");
        let clients: Vec<UdpSocket> =
            (0..TOGETHER + 3).map(|_| UdpSocket::bind("[::1]:0").unwrap()).collect();
        for (number, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client.send_to(&[u8::try_from(number).unwrap()], ("::1", port)).unwrap();
        }
        let mut batch = Batch::new(20);
        let mut answers = Vec::new();
        while answers.len() < clients.len() {
            waited(&server, &mut batch);
            answers.extend(batch.datagrams().map(|(datagram, received)| answer(datagram, received)));
        }
        let mut left = answers.as_slice();
        while !left.is_empty() {
            let sent = send(&server, left).unwrap();
            assert!((1..=TOGETHER).contains(&sent));
            left = &left[sent..];
        }
        for (number, client) in clients.iter().enumerate() {
            let mut buffer = [0; 20];
            assert_eq!(client.recv(&mut buffer).unwrap(), 1);
            assert_eq!(usize::from(buffer[0]), number);
        }
    }

    #[test]
    fn an_address_that_is_not_this_hosts_is_refused() {
        let (server, _) = everywhere("0.0.0.0");
        let asked = Some(Asked { address: Ipv4Addr::new(192, 0, 2, 1).into(), interface: 0 });
        let answer = Answer { datagram: b"answer".to_vec(), peer: "127.0.0.1:9".parse().unwrap(), asked };
        assert!(send(&server, &[answer]).is_err());
    }
}
