//! Listening sockets: one per worker, made inside the private namespace.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddrV6};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use faith_sys::reuseport;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::service::Prepare;

/// How a listening socket is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AcceptQueue {
    pub(crate) backlog: u32,
    pub(crate) prepare: Prepare,
}

/// Makes an `SO_REUSEPORT` group of `count` listening sockets on `address` and `port` (0: any port, the same
/// for all), of which the kernel picks the one with the number of the queue a connection came in on.
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
        // The addresses of a `local` route are not of any interface, which bind() asks for otherwise.
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
    // Only now: a socket that has a program when it begins to listen takes a listener of the same port on another
    // address for a conflict (inet_csk_bind_conflict()).
    if let [first, _, ..] = &group[..] {
        reuseport::select_by_queue(first)?;
    }
    Ok(group)
}

/// Has a socket listen no more, at once. Its accept loop has it too, and closes it when its worker comes to that.
pub(crate) fn stop(socket: &Socket) {
    // One that has failed listens no more either.
    let _ = socket.shutdown(Shutdown::Read);
}
