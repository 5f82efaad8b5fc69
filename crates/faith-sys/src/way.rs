//! The way to a host, as the routing table has it. A datagram socket that is connected knows it, and sends nothing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, getsockname, socket_with};

/// A port to connect to where any port does, because nothing is sent.
const DISCARD: u16 = 9;

/// The address of this host that packets to an IPv4 host come from, as the routing table has it. Sends nothing.
///
/// # Errors
/// `ENETUNREACH` if there is no route; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
pub fn source_to(host: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrV4::new(host, DISCARD))?;
    let source = SocketAddrV4::try_from(getsockname(&socket)?).map_err(|_| io::ErrorKind::Unsupported)?;
    Ok(*source.ip())
}

/// The way to an IPv6 host, as the routing table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// The address of this host that packets to it come from.
    pub source: Ipv6Addr,
    /// The longest packet that the way takes, as far as this host knows.
    pub mtu: u32,
}

impl Way {
    /// Asks the routing table, and sends nothing.
    ///
    /// # Errors
    /// `ENETUNREACH` if there is no route; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM`.
    pub fn to(host: Ipv6Addr) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrV6::new(host, DISCARD, 0, 0))?;
        let source = SocketAddrV6::try_from(getsockname(&socket)?).map_err(|_| io::ErrorKind::Unsupported)?;
        Ok(Self { source: *source.ip(), mtu: ipv6_mtu(&socket)? })
    }
}

/// The MTU of the way of a connected socket (`IPV6_MTU`, ipv6(7)).
fn ipv6_mtu(socket: &OwnedFd) -> io::Result<u32> {
    let mut mtu: libc::c_int = 0;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes to `mtu`, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU,
            (&raw mut mtu).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(u32::try_from(mtu).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_loopback_is_loopback() {
        let way = Way::to(Ipv6Addr::LOCALHOST).unwrap();
        assert_eq!(way.source, Ipv6Addr::LOCALHOST);
        assert!(way.mtu >= 1280);
        assert_eq!(source_to(Ipv4Addr::LOCALHOST).unwrap(), Ipv4Addr::LOCALHOST);
    }
}
