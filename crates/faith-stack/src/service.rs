//! The seam between the stack and whatever serves captured connections.
//!
//! A [`Service`] is called on the thread of the worker that owns the packet or the socket, inside that
//! worker's tokio `LocalRuntime`: it may `tokio::task::spawn_local` at will and must never block.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use faith_packet::ports::PortSet;

use crate::held::HeldSyn;
use crate::hold::HoldLimits;

/// A connection that the private namespace has accepted for a faith listener.
#[derive(Debug)]
pub struct Captured {
    /// Non-blocking, close-on-exec TCP socket inside the private namespace.
    pub socket: OwnedFd,
    /// Who connected: `getpeername()`.
    pub client: SocketAddrV6,
    /// What the client dialled: `getsockname()`.
    pub destination: SocketAddrV6,
}

/// What serves the connections of one faith listener.
pub trait Service: Send + Sync + 'static {
    /// A SYN that this listener would take, before the kernel sees it. Only called for listeners made with
    /// [`ListenOptions::hold`]; past its bounds SYNs go on to the kernel unoffered (accept-first), but see
    /// [`waits`](Self::waits).
    fn offered(self: Arc<Self>, worker: usize, syn: HeldSyn) {
        let _ = worker;
        drop(syn.release());
    }

    /// Asks what becomes of a SYN of `client`, whose network has `held` SYNs held, as many at a time as it may. `true`
    /// drops it, as a full backlog would: the client sends it again, and it may find a place then. `false` has the kernel
    /// answer it. A SYN past [`HoldLimits::per_second`] always goes on to the kernel.
    fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        let _ = (client, held);
        false
    }

    /// A connection was accepted.
    fn accepted(self: Arc<Self>, worker: usize, connection: Captured);

    /// The interface closes. Connections that wait to be passed on are to be closed now: soon nothing of theirs reaches
    /// their clients any more.
    fn closing(&self) {}

    /// Descriptors or memory ran out. `true` says that some was given up, and accepting is tried again at once;
    /// otherwise it rests for a moment. Nothing is lost, connections wait in the kernel's queue. Called each time,
    /// so whoever reports it must see to it that it is said once.
    fn exhausted(&self, error: &io::Error) -> bool {
        let _ = error;
        false
    }
}

/// Sets options of a listening socket.
pub type Prepare = fn(BorrowedFd<'_>) -> io::Result<()>;

/// What a faith listener takes.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// The TCP ports it takes.
    pub ports: PortSet,
    /// One address inside a prefix of the interface; `None` is every address of every prefix.
    pub address: Option<Ipv6Addr>,
    /// Length of the kernel's accept queue, per worker.
    pub backlog: u32,
    /// Sets the options of a socket that is about to listen, which every connection accepted from it inherits: a
    /// system call here is one less for each of them.
    pub prepare: Prepare,
    /// Offer SYNs to the service first; `None` accepts first.
    pub hold: Option<HoldLimits>,
}
