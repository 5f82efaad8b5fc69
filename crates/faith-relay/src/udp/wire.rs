//! The sockets by which datagrams and echo requests leave, and answers come.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;

use faith_packet::udp::{HEADER_LEN, HEADROOM};
use faith_sys::reactor::register_for;
use faith_sys::udp::{Marks, UdpSocket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The length of IPv4 and UDP headers.
pub(crate) const HEADERS: usize = IPV4_LEN + HEADER_LEN;

/// The length of an IPv4 header without options.
const IPV4_LEN: usize = 20;

/// The number of identifiers.
const IDENTIFIERS: u32 = 1 << 16;

/// The identifiers to try for a raw socket.
const TRIES: usize = 64;

/// A socket in which this many datagrams wait at once is busy.
const BUSY: usize = 16;

/// A socket.
pub(crate) struct Wire {
    pub(crate) socket: AsyncFd<UdpSocket>,
    pub(crate) kind: WireKind,
    dont_fragment: Cell<Option<bool>>,
    /// False once the way of its datagrams took no superframe.
    pub(crate) superframes: Cell<bool>,
    /// True once superframes of servers arrive whole.
    takes_superframes: Cell<bool>,
    /// True once it has room for many waiting datagrams.
    roomy: Cell<bool>,
    /// The datagrams that the kernel had dropped at the last look.
    drops: Cell<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireKind {
    /// A UDP socket.
    Udp,
    /// A ping socket.
    Ping,
    /// A raw socket, for the identifiers of a whole worker.
    Raw,
}

impl WireKind {
    /// The place in a frame to receive to, so that data stands behind the headroom.
    pub(crate) const fn start(self) -> usize {
        match self {
            Self::Udp => HEADROOM,
            Self::Ping => HEADROOM - HEADER_LEN,
            Self::Raw => HEADROOM - HEADER_LEN - IPV4_LEN,
        }
    }
}

impl Wire {
    /// Registers a socket, which is bound already: otherwise the reactor would miss the first datagram.
    pub(crate) fn new(socket: UdpSocket, kind: WireKind) -> io::Result<Rc<Self>> {
        let socket = register_for(socket, Interest::READABLE | Interest::ERROR)?;
        let superframes = Cell::new(kind == WireKind::Udp);
        Ok(Rc::new(Self {
            socket,
            kind,
            dont_fragment: Cell::new(None),
            superframes,
            takes_superframes: Cell::new(false),
            roomy: Cell::new(false),
            drops: Cell::new(0),
        }))
    }

    /// Has superframes of servers arrive whole. A socket of DNS alone does without, because its answers are single datagrams, and
    /// its clients open sockets at the highest rate.
    pub(crate) fn take_superframes(&self) {
        if self.kind == WireKind::Udp && !self.takes_superframes.replace(true) {
            self.socket.get_ref().take_superframes();
        }
    }

    /// Makes room where so many datagrams waited at once. Few sockets are so busy, so the others take no more memory. Returns
    /// the number of datagrams that found no room.
    pub(crate) fn has_had(&self, datagrams: usize) -> u64 {
        if datagrams < BUSY {
            return 0;
        }
        if !self.roomy.replace(true) {
            self.socket.get_ref().make_room();
        }
        self.new_drops()
    }

    /// The datagrams that the kernel has dropped since the last look.
    pub(crate) fn new_drops(&self) -> u64 {
        let drops = self.socket.get_ref().drops();
        drops.wrapping_sub(self.drops.replace(drops)).into()
    }

    pub(crate) fn send(
        &self,
        from: Ipv4Addr,
        to: SocketAddrV4,
        data: &[u8],
        marks: Marks,
        segment: Option<u16>,
    ) -> io::Result<()> {
        let socket = self.socket.get_ref();
        match self.kind {
            WireKind::Udp | WireKind::Ping => socket.send(to, data, marks, segment),
            WireKind::Raw => socket.send_raw(*to.ip(), from, data, marks),
        }
    }

    /// Sets the socket's option if the class of the datagrams has changed.
    pub(crate) fn forbid_fragments(&self, forbid: bool) {
        if self.dont_fragment.replace(Some(forbid)) != Some(forbid) {
            // No error is expected; the datagrams go on either way.
            let _ = self.socket.get_ref().dont_fragment(forbid);
        }
    }
}

/// A worker's raw socket, for hosts that allow this process no ping sockets.
pub(crate) struct Raw {
    pub(crate) wire: Rc<Wire>,
    /// The identifiers are those that are `share` modulo `shares`: other workers have the others.
    share: u32,
    shares: u32,
    /// The identifiers that are taken, with the client that has each.
    identifiers: RefCell<HashMap<u16, SocketAddrV6>>,
}

impl Raw {
    /// Has the socket receive, and registers it.
    pub(crate) fn new(socket: UdpSocket, worker: usize, workers: usize) -> io::Result<Rc<Self>> {
        socket.hear()?;
        let number = |number: usize| u32::try_from(number).unwrap_or(0);
        Ok(Rc::new(Self {
            wire: Wire::new(socket, WireKind::Raw)?,
            share: number(worker),
            shares: number(workers).max(1),
            identifiers: RefCell::default(),
        }))
    }

    /// Draws a free identifier.
    pub(crate) fn draw(self: &Rc<Self>, mut random: impl FnMut() -> u64) -> Option<Identifier> {
        let taken = self.identifiers.borrow();
        let rounds = u64::from(IDENTIFIERS / self.shares);
        let number = (0..TRIES).find_map(|_| {
            let round = u32::try_from(random() % rounds.max(1)).ok()?;
            let number = u16::try_from(round * self.shares + self.share).ok()?;
            (!taken.contains_key(&number)).then_some(number)
        })?;
        Some(Identifier { raw: Rc::clone(self), number })
    }

    /// Enters the client that has an identifier.
    pub(crate) fn enter(&self, identifier: u16, client: SocketAddrV6) {
        self.identifiers.borrow_mut().insert(identifier, client);
    }

    /// The client that has an identifier.
    pub(crate) fn client_of(&self, identifier: u16) -> Option<SocketAddrV6> {
        self.identifiers.borrow().get(&identifier).copied()
    }
}

/// An identifier that is taken. Dropping it frees it.
pub(crate) struct Identifier {
    pub(crate) raw: Rc<Raw>,
    pub(crate) number: u16,
}

impl Drop for Identifier {
    fn drop(&mut self) {
        self.raw.identifiers.borrow_mut().remove(&self.number);
    }
}
