//! Chooses a socket of an `SO_REUSEPORT` group by the TUN queue of a packet.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Makes the group of `socket` choose its member by the packet's receive queue: a packet of queue `n` goes to the
/// `n`th socket that listened (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5). The kernel's hash chooses for packets without
/// a queue, or whose queue has no socket.
///
/// # Errors
/// `EINVAL` if the socket is not in a group.
pub fn select_by_queue(socket: impl AsFd) -> io::Result<()> {
    // linux/filter.h: negative offsets load ancillary data.
    const QUEUE_MAPPING: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_QUEUE).cast_unsigned();
    // skb_record_rx_queue() stores the queue plus one. Zero means no queue, and wraps to a number that no socket has.
    let mut code = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, QUEUE_MAPPING),
        statement(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, 1),
        statement(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog {
        #[expect(clippy::cast_possible_truncation, reason = "three instructions")]
        len: code.len() as u16,
        filter: code.as_mut_ptr(),
    };
    let length = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&program).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "classic BPF opcodes are 16 bits wide")]
fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listener(port: u16) -> Socket {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).expect("a socket");
        socket.set_reuse_port(true).expect("the option");
        socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()).expect("a free port");
        socket.listen(64).expect("a listener");
        socket.set_nonblocking(true).expect("the mode");
        socket
    }

    #[test]
    fn the_hash_shares_connections_that_came_through_no_queue() {
        let first = listener(0);
        let address = first.local_addr().expect("its address").as_socket().expect("of IPv6");
        let second = listener(address.port());
        select_by_queue(&first).expect("a group");
        let _clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).expect("a connection")).collect();
        for member in [&first, &second] {
            // The hash gives all 64 to one member with a probability of 2^-63.
            member.accept().expect("a connection of its share");
        }
    }
}
