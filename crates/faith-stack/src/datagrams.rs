//! The seam between the pump and a relay of datagrams: those of UDP, or echo requests.
//!
//! Datagrams do not enter the stack: the pump gives each to the relay of its port, and the relay writes its answers to the
//! host's device itself. All datagrams from one port of a client come to the same worker, whose part of the relay has their
//! state. So no worker asks another one, and none takes a lock.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;

use faith_packet::classify::{DropReason, Flow, Kind};
use faith_packet::icmpv6::{self, Unreachable};
use faith_packet::ports::PortSet;

/// One worker's part of a relay of datagrams. All calls come on the worker's thread, inside its `LocalRuntime`, and must
/// never block.
pub trait Datagrams {
    /// Takes a frame with a client's datagram, or a superframe of several, which the classifier has judged by its headers.
    fn receive(&self, frame: &[u8]);

    /// Sends what [`receive`](Self::receive) has kept back, to send it together with what comes next. The pump calls this
    /// before it waits for frames, and before other tasks get their turn: so no datagram waits for a timer.
    fn flush(&self);

    /// Takes a packet with an ICMPv6 error about a datagram that this relay sent to the client of `flow`.
    fn error(&self, flow: &Flow, packet: &[u8]);
}

/// Makes a worker's part of a relay, on the worker's thread.
pub type BeginDatagrams = Arc<dyn Fn(Rc<dyn Outlet>) -> Rc<dyn Datagrams> + Send + Sync>;

/// The way of a worker's datagrams to the host.
pub trait Outlet {
    /// The number of the worker.
    fn worker(&self) -> usize;

    /// Returns true if the host's device takes superframes of datagrams.
    fn takes_superframes(&self) -> bool;

    /// The interface's MTU: no packet to a client may be longer.
    fn mtu(&self) -> u16;

    /// Writes a frame to the host. Returns true if that succeeded; otherwise it is counted as dropped.
    fn send(&self, frame: &[u8]) -> bool;

    /// Counts a packet that is dropped.
    fn dropped(&self, reason: DropReason);

    /// Answers the packet in `frame` with ICMPv6 Destination Unreachable, within the limits of such errors.
    fn unreachable(&self, code: Unreachable, frame: &[u8]);

    /// Sends `client` the ICMPv6 error that `build` writes, within the limits of such errors.
    fn report(&self, client: Ipv6Addr, build: &mut BuildError<'_>);

    /// Warns that a way to servers takes no superframes, as this error tells.
    fn warn_without_superframes(&self, error: &io::Error);

    /// Returns true if [`tell_server`](Self::tell_server) can send.
    fn tells_servers(&self) -> bool;

    /// Sends an ICMPv4 message to a server, from an address of the host. Returns true if that succeeded.
    fn tell_server(&self, server: Ipv4Addr, from: Ipv4Addr, message: &[u8]) -> bool;
}

/// Writes an ICMPv6 error, and returns its length.
pub type BuildError<'a> = dyn FnMut(&mut [u8; icmpv6::MAX_LEN]) -> Option<usize> + 'a;

/// The packets that a relay of datagrams takes.
#[derive(Debug, Clone)]
pub enum Carried {
    /// Datagrams of UDP to these ports.
    Udp(PortSet),
    /// Echo requests.
    Echo,
}

impl From<PortSet> for Carried {
    fn from(ports: PortSet) -> Self {
        Self::Udp(ports)
    }
}

impl Carried {
    fn takes(&self, kind: Kind, port: u16) -> bool {
        match self {
            Self::Udp(ports) => kind == Kind::Udp && ports.contains(port),
            Self::Echo => kind == Kind::Echo,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Udp(_) => Kind::Udp,
            Self::Echo => Kind::Echo,
        }
    }
}

/// The place of a relay of datagrams among those of an interface.
#[derive(Debug)]
pub(crate) struct Place {
    address: Option<Ipv6Addr>,
    carried: Carried,
}

impl Place {
    pub(crate) fn new(address: Option<Ipv6Addr>, carried: Carried) -> Arc<Self> {
        Arc::new(Self { address, carried })
    }

    /// The packets among `carried` that this place has at exactly the same address.
    pub(crate) fn taken(&self, address: Option<Ipv6Addr>, carried: &Carried) -> Option<Carried> {
        match (&self.carried, carried) {
            _ if self.address != address => None,
            (Carried::Udp(own), Carried::Udp(ports)) => own.intersection(ports).map(Carried::Udp),
            (Carried::Echo, Carried::Echo) => Some(Carried::Echo),
            _ => None,
        }
    }
}

/// One worker's parts of the relays of datagrams.
#[derive(Default)]
pub(crate) struct Parts(Vec<(Arc<Place>, Rc<dyn Datagrams>)>);

impl Parts {
    pub(crate) fn add(&mut self, place: Arc<Place>, part: Rc<dyn Datagrams>) {
        self.0.push((place, part));
    }

    pub(crate) fn remove(&mut self, place: &Arc<Place>) {
        self.0.retain(|(other, _)| !Arc::ptr_eq(place, other));
    }

    /// Returns true if there is a part for packets of this kind.
    pub(crate) fn take(&self, kind: Kind) -> bool {
        self.0.iter().any(|(place, _)| place.carried.kind() == kind)
    }

    /// Has all parts send what they have kept back.
    pub(crate) fn flush(&self) {
        self.0.iter().for_each(|(_, part)| part.flush());
    }

    /// The part for packets of this kind to `destination`. An exact address wins over the wildcard, and a newer relay over
    /// one that has released its ports.
    pub(crate) fn find(&self, kind: Kind, destination: &SocketAddrV6) -> Option<&Rc<dyn Datagrams>> {
        let takes = |address: Option<Ipv6Addr>| {
            let takes =
                |place: &Place| place.address == address && place.carried.takes(kind, destination.port());
            self.0.iter().rev().find(move |(place, _)| takes(place))
        };
        takes(Some(*destination.ip())).or_else(|| takes(None)).map(|(_, part)| part)
    }
}
