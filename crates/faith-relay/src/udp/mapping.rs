//! A mapping: the socket on the IPv4 side of one port of a client.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use faith_stack::Allowance;
use faith_sys::reactor::register_for;
use faith_sys::source::out_of_ports;
use faith_sys::udp::{Marks, UdpSocket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::state::State;
use crate::clients::Place;
use crate::connect_error::ConnectError;
use crate::refusal::Refusal;
use crate::source::Address;

/// The longest IPv4 packet that may be fragmented on its way (RFC 7915 section 5.1): one that IPv6 carries over every link.
const MAY_FRAGMENT: usize = 1260;

/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// The most datagrams in one call (`UDP_MAX_SEGMENTS`, net/udp.h; more since Linux 6.9).
const MAX_SEGMENTS: usize = 64;

/// The most octets of data in one call: an IPv4 packet of the largest length.
const MAX_DATA: usize = 65_535 - HEADERS;

/// The number of times that a call is made if it reports errors of earlier datagrams.
const TRIES: u32 = 3;

/// The socket of a client's port.
pub(crate) struct Mapping {
    pub(crate) socket: AsyncFd<UdpSocket>,
    /// The address that the access list names for its destinations, if it names one.
    pub(crate) outgoing: Option<IpAddr>,
    /// The address and port that it is bound to; the address may be 0.0.0.0.
    pub(crate) local: SocketAddrV4,
    /// The errors that its servers may still be told.
    pub(crate) errors: Allowance,
    dont_fragment: Cell<Option<bool>>,
    /// False once the way of its datagrams took no superframe.
    superframes: Cell<bool>,
    state: Arc<State>,
    /// Its place among those of its client.
    _place: Option<Place>,
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
    /// Opens the socket of the client's port `client`.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn open(
        state: &Arc<State>,
        address: &Address,
        client: u16,
        place: Option<Place>,
        mut random: impl FnMut() -> u64,
    ) -> Result<Self, Refusal> {
        let socket = UdpSocket::new().map_err(|error| Refusal::from_error(&error))?;
        let bound = address.each(|source| {
            let local = match source {
                Some(IpAddr::V4(address)) => address,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            for port in state.range.candidates(client, &mut random) {
                match socket.bind(SocketAddrV4::new(local, port)) {
                    Ok(()) => return Ok(SocketAddrV4::new(local, port)),
                    // The second: this process may not have a privileged port.
                    Err(error)
                        if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {}
                    Err(error) => return Err(ConnectError::Source { address: local.into(), error }),
                }
            }
            Err(ConnectError::Other(out_of_ports()))
        });
        let local = bound.map_err(|error| Refusal::from(&error))?;
        // Registered when it is bound: otherwise the reactor would miss the first datagram.
        let socket = register_for(socket, Interest::READABLE | Interest::ERROR)
            .map_err(|error| Refusal::from_error(&error))?;
        state.add(local);
        Ok(Self {
            socket,
            outgoing: match address {
                Address::Fixed(address) => Some(*address),
                Address::Any | Address::Own { .. } => None,
            },
            local,
            errors: Allowance::default(),
            dont_fragment: Cell::new(None),
            superframes: Cell::new(true),
            state: Arc::clone(state),
            _place: place,
        })
    }

    /// Sends a datagram, or a superframe of datagrams of `segment` octets each. An error of an earlier datagram may come up
    /// instead; `earlier` takes those from the queue then. `without_superframes` notes that the way takes none.
    pub(crate) fn send(
        &self,
        to: SocketAddrV4,
        data: &[u8],
        marks: Marks,
        segment: Option<u16>,
        earlier: impl Fn(),
        without_superframes: impl Fn(),
    ) -> Sent {
        let send = |data: &[u8], segment: Option<u16>| {
            let mut tries = 0;
            loop {
                tries += 1;
                match self.socket.get_ref().send(to, data, marks, segment) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock && tries < TRIES => earlier(),
                    outcome => return outcome,
                }
            }
        };
        let size = segment.map_or(data.len(), usize::from).max(1);
        self.forbid_fragments(size + HEADERS > MAY_FRAGMENT);
        let mut rest = data;
        if let Some(segment) = segment.filter(|_| self.superframes.get()) {
            let most = MAX_SEGMENTS.min(MAX_DATA / size).max(1) * size;
            while rest.len() > size {
                let piece = rest.get(..most).unwrap_or(rest);
                match send(piece, Some(segment)) {
                    Ok(()) => rest = &rest[piece.len()..],
                    Err(error) if takes_no_superframe(&error) => {
                        self.superframes.set(false);
                        without_superframes();
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
            rest = &rest[piece.len()..];
            if rest.is_empty() {
                return Sent::All;
            }
        }
    }

    /// Sets the socket's option if the class of the datagrams has changed.
    fn forbid_fragments(&self, forbid: bool) {
        if self.dont_fragment.replace(Some(forbid)) != Some(forbid) {
            // None is expected; the datagrams go on either way.
            let _ = self.socket.get_ref().dont_fragment(forbid);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.state.remove(self.local);
    }
}

/// Tells whether an error of a call with a superframe means that the way takes none: the device computes no checksums, a
/// transformation (xfrm) is in the way, or a datagram is too long, which is tried alone then.
fn takes_no_superframe(error: &io::Error) -> bool {
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
