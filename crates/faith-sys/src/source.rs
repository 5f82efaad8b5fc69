//! The source of a connection: address, port, traffic class and time to live.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::net::bind;
use socket2::SockRef;

/// The privileged ports that rresvport(3) uses: lower ones belong to well-known services.
pub const PRIVILEGED: RangeInclusive<u16> = 600..=1023;

/// Binds to `address` and leaves the port to connect(2): the port must then be free towards that one server only
/// (`IP_BIND_ADDRESS_NO_PORT`, Linux 4.2).
///
/// # Errors
/// `EADDRNOTAVAIL` if the address is not the host's.
pub fn bind_address(socket: impl AsFd, address: IpAddr) -> io::Result<()> {
    // IPv6 sockets have this IPv4 option too, and inet6_bind() reads it.
    set(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    Ok(bind(socket, &SocketAddr::new(address, 0))?)
}

/// Ports in the order to try them: downwards from the `turn`th from the top, then around.
pub fn in_turn(ports: RangeInclusive<u16>, turn: usize) -> impl Iterator<Item = u16> {
    let count = ports.len();
    ports.rev().cycle().skip(turn % count.max(1)).take(count)
}

/// Binds to the first of `ports` that bind(2) accepts, and removes it and those before it from the iterator.
///
/// Connections to different servers can share a port (`SO_REUSEADDR`), so bind(2) accepts a port in use, and connect(2)
/// may still fail with `EADDRNOTAVAIL`. `IP_LOCAL_PORT_RANGE` would leave the choice to connect(2), but it only narrows
/// net.ipv4.ip_local_port_range, which has no privileged ports.
///
/// # Errors
/// `EACCES` without `CAP_NET_BIND_SERVICE` for a port below net.ipv4.ip_unprivileged_port_start; `EADDRNOTAVAIL` if the
/// address is not the host's; `EADDRINUSE` if no port is left.
pub fn bind_first(
    socket: impl AsFd,
    address: IpAddr,
    ports: &mut impl Iterator<Item = u16>,
) -> io::Result<()> {
    let options = SockRef::from(&socket);
    options.set_reuse_address(true)?;
    if address.is_ipv6() {
        // An IPv4 socket that has the port is then no obstacle (ipv6(7)).
        options.set_only_v6(true)?;
    }
    for port in ports {
        match bind(&socket, &SocketAddr::new(address, port)) {
            // A listener has the port, or a socket without SO_REUSEADDR.
            Err(Errno::ADDRINUSE) => {}
            bound => return Ok(bound?),
        }
    }
    Err(Errno::ADDRINUSE.into())
}

/// Has connect(2) choose a port among `ports` (`IP_LOCAL_PORT_RANGE`). Ports outside net.ipv4.ip_local_port_range have no
/// effect: the kernel only narrows that. Returns false before Linux 6.3, which has no such option.
///
/// # Errors
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn narrow_ports(socket: impl AsFd, ports: &RangeInclusive<u16>) -> io::Result<bool> {
    /// From linux/in.h; the libc crate lacks it.
    const IP_LOCAL_PORT_RANGE: libc::c_int = 51;
    let range = i32::from_ne_bytes((u32::from(*ports.end()) << 16 | u32::from(*ports.start())).to_ne_bytes());
    // IPv6 sockets have this IPv4 option too.
    match set(socket, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, range) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// The port that a socket is bound to.
///
/// # Errors
/// Those of getsockname(2); none is expected of a TCP socket.
pub fn local_port(socket: impl AsFd) -> io::Result<u16> {
    let address = SockRef::from(&socket).local_addr()?;
    Ok(address.as_socket().map_or(0, |address| address.port()))
}

/// The error that connect(2) returns if every port is taken towards a server.
#[must_use]
pub fn out_of_ports() -> io::Error {
    Errno::ADDRNOTAVAIL.into()
}

/// Gives the socket's packets to `server` the DSCP of `traffic_class` (RFC 2474). TCP keeps control of the ECN bits
/// (RFC 3168).
///
/// # Errors
/// Those of setsockopt(2); none is expected of a TCP socket of the server's family.
pub fn set_dscp(socket: impl AsFd, server: IpAddr, traffic_class: u8) -> io::Result<()> {
    let (socket, dscp) = (SockRef::from(&socket), u32::from(traffic_class & !0b11));
    if server.is_ipv6() { socket.set_tclass_v6(dscp) } else { socket.set_tos_v4(dscp) }
}

/// Gives the IPv4 packets of a socket this time to live, 1 to 255, or the host's own (`IP_TTL`, ip(7)).
///
/// # Errors
/// `EINVAL` for 0; none else is expected of an IPv4 socket.
pub fn set_ttl(socket: impl AsFd, ttl: Option<u8>) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_TTL, ttl.map_or(-1, i32::from))
}

/// Makes a listening socket keep the SYN of each connection for [`saved_traffic_class`] (`TCP_SAVE_SYN`, Linux 4.2).
///
/// # Errors
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn save_syn(socket: impl AsFd) -> io::Result<()> {
    set(socket, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, 1)
}

/// The traffic class of the SYN that began an accepted IPv6 connection (`TCP_SAVED_SYN`). `None` if the listener did
/// not keep it.
#[must_use]
pub fn saved_traffic_class(socket: impl AsFd) -> Option<u8> {
    // Has room for an IPv6 header, some extension headers, and a TCP header with all its options.
    let mut syn = [0_u8; 512];
    let mut length = libc::socklen_t::try_from(syn.len()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `syn`, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            syn.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length >= 40).then(|| traffic_class(&syn)).flatten()
}

/// The traffic class in an IPv6 header (RFC 8200 section 3).
#[must_use]
pub fn traffic_class(packet: &[u8]) -> Option<u8> {
    match packet {
        [first, second, ..] => Some(first << 4 | second >> 4),
        _ => None,
    }
}

/// The hop limit in an IPv6 header (RFC 8200 section 3).
#[must_use]
pub fn hop_limit(packet: &[u8]) -> Option<u8> {
    packet.get(7).copied()
}

pub(crate) fn set(
    socket: impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: `value` outlives the call, and `length` is its size.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
