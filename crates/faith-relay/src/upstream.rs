//! Connecting to the IPv4 server, and what a failure means to the client.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use faith_packet::icmpv6::Unreachable;
use faith_packet::proxy::Header;
use faith_sys::tcp::{self, Connection};
use faith_sys::{reactor, source};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::record::EndReason;
use crate::source::{Source, does_not_serve};

/// How a client is told that there will be no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not at all: the network lost its SYN.
    Silence,
    /// A RST.
    Reset,
    /// ICMPv6 Destination Unreachable.
    Unreachable(Unreachable),
}

/// Why there will be no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: EndReason,
    pub(crate) answer: Answer,
    /// Which error said that this host has run out of something (errno(3)).
    pub(crate) exhausted: Option<i32>,
}

impl Refusal {
    pub(crate) const fn new(reason: EndReason, answer: Answer) -> Self {
        Self { reason, answer, exhausted: None }
    }

    /// Policy, this host's or the relay's.
    pub(crate) const DENIED: Self =
        Self::new(EndReason::Denied, Answer::Unreachable(Unreachable::Prohibited));

    /// The destination maps to no IPv4 address.
    pub(crate) const NO_ROUTE: Self =
        Self::new(EndReason::Unreachable, Answer::Unreachable(Unreachable::NoRoute));

    /// As many sessions as there may be.
    pub(crate) const LIMIT: Self = Self::new(EndReason::Limit, Answer::Reset);

    /// Whoever was asked where it goes did not say.
    pub(crate) const UNDECIDED: Self = Self::new(EndReason::Error, Answer::Reset);

    /// The client wants the connection no more.
    pub(crate) const GIVEN_UP: Self = Self::new(EndReason::ClientReset, Answer::Silence);

    /// The server did not answer in time.
    pub(crate) const TIMEOUT: Self = Self::new(EndReason::ConnectTimeout, Answer::Silence);

    /// What an error of socket(2) or connect(2) means.
    pub(crate) fn from_error(error: &io::Error) -> Self {
        if tcp::exhaustion(error).is_some() {
            let exhausted = error.raw_os_error();
            return Self { exhausted, ..Self::new(EndReason::Exhausted, Answer::Reset) };
        }
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                Self::new(EndReason::Refused, Answer::Reset)
            }
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Self::NO_ROUTE,
            ErrorKind::HostUnreachable => {
                Self::new(EndReason::Unreachable, Answer::Unreachable(Unreachable::AddressUnreachable))
            }
            // EPERM and EACCES: a local firewall, or an address that may not be dialled, such as a broadcast
            // one.
            ErrorKind::PermissionDenied => Self::DENIED,
            ErrorKind::TimedOut => Self::TIMEOUT,
            // The send queue did not take the header whole.
            ErrorKind::WriteZero => Self::new(EndReason::Exhausted, Answer::Reset),
            _ => Self::new(EndReason::Error, Answer::Reset),
        }
    }
}

/// A server, and how it is connected to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: SocketAddrV4,
    pub(crate) source: Source,
    /// The client's traffic class, where the server's side is to have its DSCP.
    pub(crate) traffic_class: Option<u8>,
    /// What the server is told first.
    pub(crate) header: Option<Header>,
}

/// Connects to a server from the namespace of this thread. Until the first bytes for it, or [`tcp::acknowledge`], the server
/// may not know that it is connected (see [`tcp::acknowledge_with_data`]). The alarm it was timed by goes with it.
///
/// # Errors
///
/// What to tell the client.
pub(crate) async fn connect(
    target: &Target,
    connect_timeout: Duration,
) -> Result<(AsyncFd<Connection>, Alarm), Refusal> {
    open(target, connect_timeout).await.map_err(|error| Refusal::from_error(&error))
}

/// As [`connect`], for whoever has no client to tell.
///
/// # Errors
///
/// Those of socket(2), bind(2) and connect(2); `ETIMEDOUT` after `connect_timeout` too.
pub(crate) async fn open(
    target: &Target,
    connect_timeout: Duration,
) -> io::Result<(AsyncFd<Connection>, Alarm)> {
    let begun = begin(target)?;
    let deadline = Instant::now() + connect_timeout;
    let mut alarm = Alarm::new(deadline);
    let failed = tokio::select! {
        biased;
        // The readiness stays set: a connected socket is writable, and the session starts from that.
        ready = begun.writable() => ready?.ready().is_write_closed(),
        () = alarm.until(deadline) => return Err(tcp::timed_out()),
    };
    if failed && let Some(error) = tcp::take_error(&begun)? {
        return Err(error);
    }
    introduce(target, &begun)?;
    Ok((begun, alarm))
}

/// Sends the header, and has what comes next leave at once all the same. The send queue of a new connection has room for
/// all of it.
fn introduce(target: &Target, connection: &AsyncFd<Connection>) -> io::Result<()> {
    let Some(header) = &target.header else { return Ok(()) };
    match tcp::transmit(connection, header)? {
        sent if sent == header.len() => tcp::send_at_once(connection),
        _ => Err(ErrorKind::WriteZero.into()),
    }
}

fn begin(target: &Target) -> io::Result<AsyncFd<Connection>> {
    let connection = target.source.address.each(|address| match target.source.privileged {
        None => begin_from(target, address),
        Some(turn) => begin_from_privileged(target, address, turn),
    })?;
    reactor::register(connection)
}

fn begin_from(target: &Target, address: Option<Ipv4Addr>) -> io::Result<Connection> {
    let connection = socket(target)?;
    if let Some(address) = address {
        source::bind_address(&connection, address)?;
    }
    tcp::begin_connect(&connection, target.server)?;
    Ok(connection)
}

/// As [`begin_from`], by the first privileged port that is free towards the server. Only connect(2) tells, and a bound
/// socket keeps its port, so each port takes a socket.
fn begin_from_privileged(target: &Target, address: Option<Ipv4Addr>, turn: usize) -> io::Result<Connection> {
    let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut ports = source::reserved_ports(turn);
    loop {
        let connection = socket(target)?;
        source::bind_first(&connection, address, &mut ports)?;
        match tcp::begin_connect(&connection, target.server) {
            Err(error) if does_not_serve(&error) => {}
            begun => return begun.map(|()| connection),
        }
    }
}

/// A socket with its options, neither bound nor connected.
fn socket(target: &Target) -> io::Result<Connection> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    let connection = Connection::new(socket.into());
    tcp::prepare_leg(&connection)?;
    if let Some(traffic_class) = target.traffic_class {
        source::set_dscp(&connection, traffic_class)?;
    }
    tcp::acknowledge_with_data(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(kind: ErrorKind) -> Refusal {
        Refusal::from_error(&kind.into())
    }

    #[test]
    fn errors_of_connect_are_told_as_what_they_are() {
        let reason = |kind| meaning(kind).reason;
        assert_eq!(reason(ErrorKind::ConnectionRefused), EndReason::Refused);
        assert_eq!(reason(ErrorKind::NetworkUnreachable), EndReason::Unreachable);
        assert_eq!(reason(ErrorKind::HostUnreachable), EndReason::Unreachable);
        assert_eq!(reason(ErrorKind::PermissionDenied), EndReason::Denied);
        assert_eq!(reason(ErrorKind::TimedOut), EndReason::ConnectTimeout);
    }

    #[test]
    fn running_out_of_descriptors_is_no_fault_of_the_server() {
        const EMFILE: i32 = 24;
        let refusal = Refusal::from_error(&io::Error::from_raw_os_error(EMFILE));
        assert_eq!((refusal.reason, refusal.exhausted), (EndReason::Exhausted, Some(EMFILE)));
    }

    #[test]
    fn a_missing_route_and_a_missing_host_differ() {
        let answer = |kind| meaning(kind).answer;
        assert_ne!(answer(ErrorKind::NetworkUnreachable), answer(ErrorKind::HostUnreachable));
    }

    #[test]
    fn a_server_that_does_not_answer_is_answered_with_silence() {
        assert_eq!(meaning(ErrorKind::TimedOut).answer, Answer::Silence);
    }
}
