//! A mapping: the socket on the IPv4 side of one port of a client.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;

use faith_packet::udp::HEADER_LEN;
use faith_stack::Allowance;
use faith_sys::source::out_of_ports;
use faith_sys::udp::{Marks, UdpSocket};

use super::ports::{candidates, candidates_in};
use super::run::{MAX_DATA, MAX_SEGMENTS};
use super::state::State;
use super::wire::{HEADERS, Identifier, Raw, Wire, WireKind};
use crate::connect_error::ConnectError;
use crate::port_blocks::{Allotment, Block, Lease};
use crate::refusal::Refusal;
use crate::source::Address;

/// The longest IPv4 packet that may be fragmented on its way (RFC 7915 section 5.1): one that IPv6 carries over every link.
const MAY_FRAGMENT: usize = 1260;

/// The number of times that a call is made if it reports errors of earlier datagrams.
const TRIES: u32 = 3;

/// The socket of a client's port, or of its identifier of echo requests.
pub(crate) struct Mapping {
    pub(crate) wire: Rc<Wire>,
    /// The address that the access list names for its destinations, if it names one.
    pub(crate) outgoing: Option<IpAddr>,
    /// The address that it is bound to, which may be 0.0.0.0, and its port or identifier.
    pub(crate) local: SocketAddrV4,
    /// The errors that its servers may still be told.
    pub(crate) errors: Allowance,
    state: Arc<State>,
    /// True if places for mappings ran short when it was opened.
    pub(crate) crowded: bool,
    /// Its part of the client's block of ports, if clients have blocks.
    _lease: Option<Lease>,
    /// Its identifier, if it shares a raw socket.
    pub(crate) identifier: Option<Identifier>,
}

/// The way of a frame to its server.
pub(crate) struct Sending {
    pub(crate) to: SocketAddrV4,
    pub(crate) marks: Marks,
    /// Octets of data in each datagram of a superframe.
    pub(crate) segment: Option<u16>,
    /// True if it may be fragmented on its way, whatever its length.
    pub(crate) fragmentable: bool,
}

impl Sending {
    /// Tells whether routers must not fragment a datagram with this many octets of data.
    pub(crate) fn forbids_fragments(&self, length: usize) -> bool {
        !self.fragmentable && length + HEADERS > MAY_FRAGMENT
    }
}

/// The outcome of sending a frame.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The kernel took all datagrams.
    All,
    /// The socket's send queue was full.
    Lost,
    /// A datagram of this many octets of data is too long for the device.
    TooLong(usize),
    /// The kernel refused.
    Failed(io::Error),
}

impl Mapping {
    /// Opens the socket of the client's port `client`, on a port of its `blocks` if clients have blocks.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn open(
        state: &Arc<State>,
        address: &Address,
        client: u16,
        crowded: bool,
        blocks: Option<&Allotment>,
        mut random: impl FnMut() -> u64,
    ) -> Result<Self, Refusal> {
        let socket = UdpSocket::new().map_err(|error| Refusal::from_error(&error))?;
        let bound = address.each(|source| {
            let local = ipv4_of(source);
            let Some(blocks) = blocks else {
                let ports = candidates(&state.ports, client, &mut random);
                return bind(&socket, local, ports).map(|local| (local, None));
            };
            let bind = |_, block: &Block| {
                let ports = candidates_in(&block.ports(), client, random());
                let is_free = |port: &u16| {
                    !block.is_reserved(*port) && !state.is_mapped(SocketAddrV4::new(local, *port))
                };
                bind(&socket, local, ports.filter(is_free))
            };
            blocks.connect_from(source, bind).map(|(local, lease)| (local, Some(lease)))
        });
        let (local, lease) = bound.map_err(|error| Refusal::from(&error))?;
        let wire = Wire::new(socket, WireKind::Udp).map_err(|error| Refusal::from_error(&error))?;
        state.add(local);
        Ok(Self::new(state, wire, address, local, crowded, lease, None))
    }

    /// Opens a ping socket, or gives an identifier of the raw socket where the host allows none.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn open_echo(
        state: &Arc<State>,
        raw: impl FnOnce() -> Option<Rc<Raw>>,
        address: &Address,
        crowded: bool,
        mut random: impl FnMut() -> u64,
    ) -> Result<Self, Refusal> {
        let refused = match UdpSocket::ping() {
            Ok(socket) => {
                #[expect(clippy::cast_possible_truncation, reason = "any part of a random number is one")]
                // With 0 the kernel chooses.
                let mut identifiers =
                    || std::iter::repeat_with(|| random() as u16).take(16).chain([0]).collect::<Vec<_>>();
                let bound = address.each(|source| bind(&socket, ipv4_of(source), identifiers()));
                let local = bound.map_err(|error| Refusal::from(&error))?;
                let wire = Wire::new(socket, WireKind::Ping).map_err(|error| Refusal::from_error(&error))?;
                return Ok(Self::new(state, wire, address, local, crowded, None, None));
            }
            Err(error) => error,
        };
        let raw = raw().ok_or_else(|| Refusal::from_error(&refused))?;
        let identifier = raw.draw(random).ok_or_else(|| Refusal::from_error(&out_of_ports()))?;
        let local = SocketAddrV4::new(ipv4_of(address.first()), identifier.number);
        Ok(Self::new(state, Rc::clone(&raw.wire), address, local, crowded, None, Some(identifier)))
    }

    fn new(
        state: &Arc<State>,
        wire: Rc<Wire>,
        address: &Address,
        local: SocketAddrV4,
        crowded: bool,
        lease: Option<Lease>,
        identifier: Option<Identifier>,
    ) -> Self {
        Self {
            wire,
            outgoing: match address {
                Address::Fixed(address) => Some(*address),
                Address::Any | Address::Own { .. } => None,
            },
            local,
            errors: Allowance::default(),
            state: Arc::clone(state),
            crowded,
            _lease: lease,
            identifier,
        }
    }

    /// The address and port of the socket; an identifier of echo counts as a port.
    pub(crate) fn local(&self) -> SocketAddrV4 {
        self.local
    }

    /// Sends a datagram, a superframe, or an echo request with its header. An error of an earlier datagram may come up
    /// instead; `earlier` takes those from the queue then. `without_superframes` notes that the way takes none, by the error
    /// that tells so.
    pub(crate) fn send(
        &self,
        sending: &Sending,
        data: &[u8],
        earlier: impl Fn(),
        without_superframes: impl Fn(&io::Error),
    ) -> Sent {
        let Sending { to, marks, segment, .. } = *sending;
        let send = |data: &[u8], segment: Option<u16>| {
            persist(|| self.wire.send(*self.local.ip(), to, data, marks, segment), &earlier)
        };
        let size = segment.map_or(data.len(), usize::from).max(1);
        // An echo request has its header in `data`.
        let header = if self.wire.kind == WireKind::Udp { 0 } else { HEADER_LEN };
        self.wire.forbid_fragments(sending.forbids_fragments(size.saturating_sub(header)));
        let (mut rest, mut doubt) = (data, None);
        if let Some(segment) = segment.filter(|_| self.wire.superframes.get()) {
            let most = MAX_SEGMENTS.min(MAX_DATA / size).max(1) * size;
            while rest.len() > size {
                let piece = rest.get(..most).unwrap_or(rest);
                match send(piece, Some(segment)) {
                    Ok(()) => rest = &rest[piece.len()..],
                    Err(error) if takes_no_superframe(&error) => {
                        doubt = Some(error);
                        break;
                    }
                    Err(error) => return failed(error, size),
                }
            }
            if rest.is_empty() && !data.is_empty() {
                return Sent::All;
            }
        }
        loop {
            let piece = rest.get(..size).unwrap_or(rest);
            if let Err(error) = send(piece, None) {
                return failed(error, piece.len());
            }
            // The datagram was not too long, so it is the superframe that the way does not take.
            if let Some(error) = doubt.take() {
                without_superframes(&error);
            }
            rest = &rest[piece.len()..];
            if rest.is_empty() {
                return Sent::All;
            }
        }
    }

    /// Sends datagrams of `size` octets of data each, of which the last may be shorter, by one call.
    ///
    /// # Errors
    /// As [`UdpSocket::send`]: no datagram was sent.
    pub(crate) fn send_joined(
        &self,
        sending: &Sending,
        size: usize,
        datagrams: &[IoSlice<'_>],
        earlier: impl Fn(),
    ) -> io::Result<()> {
        let segment = u16::try_from(size).map_err(|_| ErrorKind::InvalidInput)?;
        self.wire.forbid_fragments(sending.forbids_fragments(size));
        let socket = self.wire.socket.get_ref();
        persist(|| socket.send_joined(sending.to, datagrams, sending.marks, segment), earlier)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.wire.kind == WireKind::Udp {
            self.state.remove(self.local);
        }
    }
}

/// The address of a socket that leaves from this source; without one, the kernel chooses.
fn ipv4_of(source: Option<IpAddr>) -> Ipv4Addr {
    match source {
        Some(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    }
}

/// Binds a socket to the first of these ports that is free.
fn bind(
    socket: &UdpSocket,
    local: Ipv4Addr,
    ports: impl IntoIterator<Item = u16>,
) -> Result<SocketAddrV4, ConnectError> {
    for port in ports {
        match socket.bind(SocketAddrV4::new(local, port)) {
            Ok(()) if port == 0 => return Ok(socket.local().unwrap_or(SocketAddrV4::new(local, port))),
            Ok(()) => return Ok(SocketAddrV4::new(local, port)),
            // The second: this process may not have a privileged port.
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(ConnectError::Source { address: local.into(), error }),
        }
    }
    Err(ConnectError::Other(out_of_ports()))
}

/// Makes a call again that may report errors of earlier datagrams; `earlier` takes those from the queue.
fn persist(mut call: impl FnMut() -> io::Result<()>, earlier: impl Fn()) -> io::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match call() {
            Err(error) if error.kind() != ErrorKind::WouldBlock && tries < TRIES => earlier(),
            outcome => return outcome,
        }
    }
}

/// Tells whether an error of a call with a superframe may mean that the way takes none: the device computes no checksums, a
/// transformation (xfrm) is in the way, or a datagram is too long, which is tried alone then.
pub(crate) fn takes_no_superframe(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    const EMSGSIZE: i32 = 90;
    matches!(error.raw_os_error(), Some(EIO | EINVAL | EMSGSIZE))
}

fn failed(error: io::Error, length: usize) -> Sent {
    const EMSGSIZE: i32 = 90;
    match error.raw_os_error() {
        Some(EMSGSIZE) => Sent::TooLong(length),
        _ if error.kind() == ErrorKind::WouldBlock => Sent::Lost,
        _ => Sent::Failed(error),
    }
}
