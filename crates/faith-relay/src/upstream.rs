//! Connects to servers.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use faith_packet::proxy::Header;
use faith_sys::error_queue::QueuedError;
use faith_sys::tcp::{self, Connection};
use faith_sys::{error_queue, reactor, source};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::connect_error::ConnectError;
use crate::port_blocks::{Block, Lease};
use crate::refusal::Refusal;
use crate::source::{Ports, Source};
use crate::taken_ports;

/// A server with the settings of the connection to it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    pub(crate) source: Source,
    /// The client's traffic class, if the connection is to have its DSCP.
    pub(crate) traffic_class: Option<u8>,
    /// The time to live of the SYN to an IPv4 server, if the client looks for the routers on the way.
    pub(crate) probed_hops: Option<u8>,
    /// The PROXY header that the server gets first, if any.
    pub(crate) header: Option<Header>,
}

/// A connection to a server.
pub(crate) struct Opened {
    pub(crate) connection: AsyncFd<Connection>,
    /// The alarm that timed it, for further use.
    pub(crate) alarm: Alarm,
    /// Its part of the client's block of ports, if clients have blocks.
    pub(crate) lease: Option<Lease>,
}

/// Connects to a server from the namespace of this thread. The server's handshake may be incomplete until the first bytes
/// for it, or [`tcp::acknowledge`] (see [`tcp::acknowledge_with_data`]).
///
/// # Errors
///
/// The refusal that answers the client.
pub(crate) async fn connect(target: &Target, connect_timeout: Duration) -> Result<Opened, Refusal> {
    open(target, connect_timeout).await.map_err(|error| match error {
        ConnectError::Reported { icmp, offender, error } => {
            Refusal::reported(icmp, offender, &error, target.probed_hops.is_some())
        }
        error => Refusal::from(&error),
    })
}

/// Does the same as [`connect`], for callers without a client to answer.
///
/// # Errors
///
/// [`ConnectError`], including `ETIMEDOUT` after `connect_timeout`.
pub(crate) async fn open(target: &Target, connect_timeout: Duration) -> Result<Opened, ConnectError> {
    let (begun, lease) = begin(target)?;
    let deadline = Instant::now() + connect_timeout;
    let mut alarm = Alarm::new(deadline);
    connected(&begun, &mut alarm, deadline).await?;
    behave_as_host(target, &begun)?;
    introduce(target, &begun)?;
    Ok(Opened { connection: begun, alarm, lease })
}

/// Waits until a connection that was begun is made, until `deadline`.
///
/// # Errors
///
/// [`ConnectError`], including `ETIMEDOUT` at the deadline.
pub(crate) async fn connected<T: AsRawFd + AsFd>(
    begun: &AsyncFd<T>,
    alarm: &mut Alarm,
    deadline: Instant,
) -> Result<(), ConnectError> {
    let failed = tokio::select! {
        biased;
        // Leaves the readiness set: a connected socket is writable, and the session starts from that.
        ready = begun.writable() => ready?.ready().is_write_closed(),
        () = alarm.until(deadline) => return Err(tcp::timed_out().into()),
    };
    if !failed {
        return Ok(());
    }
    // The queue has the error before SO_ERROR has it, if the message came while connect(2) had the socket.
    if let Ok(QueuedError { errno, icmp: Some(icmp), offender: Some(offender), .. }) =
        error_queue::take(begun, &mut [])
    {
        return Err(ConnectError::Reported { icmp, offender, error: io::Error::from_raw_os_error(errno) });
    }
    if let Some(error) = tcp::take_error(begun)? {
        // The host's own firewall and routing table fail connect(2) itself, so a router has prohibited it.
        let prohibited = error.kind() == ErrorKind::PermissionDenied;
        return Err(if prohibited { ConnectError::Prohibited(error) } else { error.into() });
    }
    Ok(())
}

/// Has a socket that is yet to connect keep errors of ICMP, which tell their senders, and limits the hops of its SYN.
fn behave_as_router(target: &Target, connection: &Connection) -> io::Result<()> {
    if target.server.is_ipv4() && error_queue::has_tcp() {
        error_queue::keep(connection, true)?;
        if target.probed_hops.is_some() {
            source::set_ttl(connection, target.probed_hops)?;
        }
    }
    Ok(())
}

/// Undoes [`behave_as_router`], before any data: a connection survives errors, and its packets go as far as the host's.
fn behave_as_host(target: &Target, connection: &AsyncFd<Connection>) -> io::Result<()> {
    if target.server.is_ipv4() && error_queue::has_tcp() {
        if target.probed_hops.is_some() {
            source::set_ttl(connection, None)?;
        }
        error_queue::keep(connection, false)?;
    }
    Ok(())
}

/// Sends the header, and has the next bytes leave at once nevertheless. The send queue of a new connection has room for the
/// whole header.
fn introduce(target: &Target, connection: &AsyncFd<Connection>) -> io::Result<()> {
    let Some(header) = &target.header else { return Ok(()) };
    match tcp::transmit(connection, header)? {
        sent if sent == header.len() => tcp::send_at_once(connection),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

fn begin(target: &Target) -> Result<(AsyncFd<Connection>, Option<Lease>), ConnectError> {
    let Source { address, ports } = &target.source;
    let (connection, lease) = address.each(|address| match ports {
        Ports::Any => begin_from(target, address, None).map(|connection| (connection, None)),
        Ports::Privileged(turn) => {
            begin_among(target, address, source::PRIVILEGED, *turn, |_| true).map(|it| (it, None))
        }
        Ports::Blocks { allotment, connection } => {
            let turn = allotment.turn(*connection);
            let begin = |address, block: &Block| begin_inside(target, address, block, turn);
            allotment.connect_from(address, begin).map(|(connection, lease)| (connection, Some(lease)))
        }
    })?;
    Ok((reactor::register(connection)?, lease))
}

/// Begins to connect from the first of these ports that is free towards the server, the `turn`th from the top first.
fn begin_among(
    target: &Target,
    address: Option<IpAddr>,
    ports: RangeInclusive<u16>,
    turn: usize,
    is_usable: impl Fn(u16) -> bool,
) -> Result<Connection, ConnectError> {
    taken_ports::pass_over(address, target.server, ports, turn, |ports| {
        begin_from(target, address, Some(&mut ports.filter(|port| is_usable(*port))))
    })
}

/// Begins to connect from a port of a block. Before Linux 6.3, and if net.ipv4.ip_local_port_range has left the block, the
/// kernel does not choose inside it.
fn begin_inside(
    target: &Target,
    address: IpAddr,
    block: &Block,
    turn: usize,
) -> Result<Connection, ConnectError> {
    if !block.binds() {
        if let Some(connection) = begin_narrowed(target, address, block.ports())? {
            return Ok(connection);
        }
        block.bind_from_now_on();
    }
    begin_among(target, Some(address), block.ports(), turn, |port| !block.is_reserved(port))
}

/// Has the kernel choose one of these ports. `None` if it does not.
fn begin_narrowed(
    target: &Target,
    address: IpAddr,
    ports: RangeInclusive<u16>,
) -> Result<Option<Connection>, ConnectError> {
    let connection = socket(target)?;
    if !source::narrow_ports(&connection, &ports)? {
        return Ok(None);
    }
    bind(&connection, Some(address), target.server.ip(), None)?;
    tcp::begin_connect(&connection, target.server)?;
    Ok(ports.contains(&source::local_port(&connection)?).then_some(connection))
}

fn begin_from(
    target: &Target,
    address: Option<IpAddr>,
    ports: Option<&mut dyn Iterator<Item = u16>>,
) -> Result<Connection, ConnectError> {
    let connection = socket(target)?;
    bind(&connection, address, target.server.ip(), ports)?;
    tcp::begin_connect(&connection, target.server)?;
    Ok(connection)
}

/// Makes a socket with its options, neither bound nor connected.
fn socket(target: &Target) -> io::Result<Connection> {
    let connection = Connection::new(plain_socket(target.server.ip())?.into());
    tcp::prepare_leg(&connection)?;
    if let Some(traffic_class) = target.traffic_class {
        source::set_dscp(&connection, target.server.ip(), traffic_class)?;
    }
    tcp::acknowledge_with_data(&connection)?;
    behave_as_router(target, &connection)?;
    Ok(connection)
}

fn plain_socket(server: IpAddr) -> io::Result<Socket> {
    Socket::new(
        Domain::for_address(SocketAddr::new(server, 0)),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )
}

/// Binds a socket for `server` to `address`, if there is one, and to the first of `ports` that is free, if there are any.
fn bind(
    socket: impl AsFd,
    address: Option<IpAddr>,
    server: IpAddr,
    ports: Option<&mut dyn Iterator<Item = u16>>,
) -> Result<(), ConnectError> {
    let any = || match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let bound = match (address, ports) {
        (None, None) => return Ok(()),
        (Some(address), None) => source::bind_address(socket, address),
        (_, Some(mut ports)) => source::bind_first(socket, address.unwrap_or_else(any), &mut ports),
    };
    bound.map_err(|error| match error.kind() {
        ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied => {
            ConnectError::Source { address: address.unwrap_or_else(any), error }
        }
        ErrorKind::AddrInUse => ConnectError::Other(source::out_of_ports()),
        _ => ConnectError::Other(error),
    })
}

/// Checks that connections can come from `address`, if there is one, and from a privileged port, if wanted. Without an
/// address it checks connections to IPv4 servers.
///
/// # Errors
///
/// [`ConnectError`]. It is no error that every privileged port is taken at the moment.
pub(crate) fn check_source(address: Option<IpAddr>, privileged: bool) -> Result<(), ConnectError> {
    let mut ports = privileged.then(|| source::in_turn(source::PRIVILEGED, 0));
    let like = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    match bind(plain_socket(like)?, address, like, ports.as_mut().map(|ports| ports as _)) {
        Err(ConnectError::Other(error)) if error.kind() == ErrorKind::AddrNotAvailable => Ok(()),
        checked => checked,
    }
}

#[cfg(test)]
mod tests;
