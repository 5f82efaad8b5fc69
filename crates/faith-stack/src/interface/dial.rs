//! Begins connections from addresses of an interface's prefixes to clients.
//!
//! The SYN leaves as the stack's other packets do. The client's SYN-ACK needs no permission of its own: the pump passes
//! every segment that is no initial SYN, and the shortcut leaves SYN-ACKs to the pump. The kernel then knows which SYN-ACK
//! answers a SYN of its own. It answers any other with a RST, as it did before a connection was begun.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};

use faith_packet::classify::is_client;
use faith_sys::tcp::begin_connect;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::FaithInterface;
use crate::capturing;
use crate::error::StackError;
use crate::keepfaith::keepfaith;
use crate::service::Captured;

impl FaithInterface {
    /// Begins a connection from `from`, an address inside a prefix, to the client at `to`. Port 0 of `from` lets the kernel
    /// choose one. The returned socket turns writable when the connection is made or has failed. Blocks briefly.
    ///
    /// # Errors
    /// keepfaith is off, `from` is inside no prefix, `to` is no address of a client, the ends have a connection already, or
    /// the interface is closed.
    pub fn dial(&self, from: SocketAddrV6, to: SocketAddrV6) -> Result<Captured, StackError> {
        let _open = self.opened()?;
        if !keepfaith() {
            return Err(StackError::Keepfaith);
        }
        if self.prefixes().find(from.ip()).is_none() {
            let interface = self.shared.name.clone();
            return Err(StackError::AddressOutside { interface, address: *from.ip() });
        }
        // The stack's own listeners have the addresses inside prefixes and the loopback addresses.
        if capturing::captures(to.ip()) || !is_client(*to.ip()) {
            let interface = self.shared.name.clone();
            return Err(StackError::NoClient { interface, address: *to.ip() });
        }
        self.namespace.run(move |_| begin(from, to)).ok_or_else(|| self.closed())?
    }
}

/// Begins a connection in the network namespace of this thread.
fn begin(from: SocketAddrV6, to: SocketAddrV6) -> Result<Captured, StackError> {
    let failed = |syscall| {
        move |source: io::Error| {
            let hint = (Errno::from_io_error(&source) == Some(Errno::ACCESS))
                .then_some("ports below 1024 need CAP_NET_BIND_SERVICE while /proc/sys is read-only");
            StackError::System { what: format!("connect from {from} to {to}"), syscall, source, hint }
        }
    };
    let socket =
        Socket::new(Domain::IPV6, Type::STREAM.nonblocking().cloexec(), None).map_err(failed("socket"))?;
    bind(&socket, from).map_err(failed("bind"))?;
    begin_connect(&socket, SocketAddr::V6(to)).map_err(failed("connect"))?;
    let local = socket.local_addr().map_err(failed("getsockname"))?;
    let destination = local.as_socket_ipv6().unwrap_or(from);
    Ok(Captured { socket: socket.into(), client: to, destination })
}

fn bind(socket: &Socket, from: SocketAddrV6) -> io::Result<()> {
    socket.set_only_v6(true)?;
    // bind() would require an address of an interface; addresses of a `local` route are none.
    socket.set_freebind_v6(true)?;
    if from.port() == 0 {
        // The kernel chooses a port that is free towards this client.
        return faith_sys::source::bind_address(socket, (*from.ip()).into());
    }
    // Connections to several clients share a port, also with a listening socket that was made on demand for it.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(from))
}
