//! Listening sockets inside the private namespace, one per worker.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddrV6};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use faith_sys::reuseport;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::service::Prepare;

/// The settings of a listening socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptQueue {
    pub(crate) backlog: u32,
    pub(crate) prepare: Prepare,
}

/// Makes an `SO_REUSEPORT` group of `count` listening sockets on `address` and `port` (0: any port, the same for all).
/// The kernel picks the socket with the number of the queue of the connection's SYN.
pub(crate) fn listening_group(
    address: Ipv6Addr,
    port: u16,
    queue: AcceptQueue,
    count: usize,
) -> io::Result<Vec<Arc<Socket>>> {
    let mut bound = SocketAddrV6::new(address, port, 0, 0);
    let mut group = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = Socket::new(Domain::IPV6, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // bind() would require an address of an interface; addresses of a `local` route are none.
        socket.set_freebind_v6(true)?;
        socket.bind(&SockAddr::from(bound))?;
        if bound.port() == 0
            && let Some(address) = socket.local_addr()?.as_socket_ipv6()
        {
            bound = address;
        }
        group.push(Arc::new(socket));
    }
    for socket in &group {
        (queue.prepare)(socket.as_fd())?;
        socket.listen(i32::try_from(queue.backlog).unwrap_or(i32::MAX))?;
    }
    // This comes last: if a socket has a program when it begins to listen, a listener of the same port on another
    // address counts as a conflict (inet_csk_bind_conflict()).
    if let [first, _, ..] = &group[..] {
        reuseport::select_by_queue(first)?;
    }
    Ok(group)
}

/// Stops a socket from listening at once. Its accept loop shares the socket, and closes it later on its worker.
pub(crate) fn stop(socket: &Socket) {
    // A socket on which this fails does not listen any more either.
    let _ = socket.shutdown(Shutdown::Read);
}
