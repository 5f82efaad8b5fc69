//! Faith listeners, and the ports and addresses of each.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;

use faith_packet::ports::PortSet;
use parking_lot::Mutex;
use socket2::Socket;
use tokio::sync::watch;

use crate::hold::Hold;
use crate::service::Service;
use crate::sockets::stop;

/// One listener of an interface.
pub(crate) struct Listener {
    pub(crate) address: Option<Ipv6Addr>,
    pub(crate) ports: PortSet,
    pub(crate) hold: Option<Arc<Hold>>,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) reach: Reach,
    pub(crate) state: watch::Sender<State>,
}

impl Listener {
    /// Ends the accept loops. When this returns, no socket answers SYNs any more, and the kernel resets the connections
    /// in its queues.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
        match &self.reach {
            Reach::Always(group) => group.lock().drain(..).for_each(|socket| stop(&socket)),
            Reach::OnDemand(opener) => opener.close(),
        }
    }

    /// Returns true after [`close`](Self::close) has begun.
    pub(crate) fn is_closed(&self) -> bool {
        *self.state.borrow() == State::Closed
    }

    /// Returns true if the pump must see this listener's SYNs: it holds them, or opens ports on demand.
    fn looks_at_syns(&self) -> bool {
        self.hold.is_some() || matches!(self.reach, Reach::OnDemand(_))
    }

    /// The permanent sockets, one per worker.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        match &self.reach {
            Reach::Always(group) => group.lock().clone(),
            Reach::OnDemand(_) => Vec::new(),
        }
    }
}

/// The way of a SYN to a listening socket.
pub(crate) enum Reach {
    /// Permanent sockets, one per worker, until the listener is closed. They are bound to the port, or the `sk_lookup`
    /// program steers to them.
    Always(Mutex<Vec<Arc<Socket>>>),
    /// Sockets made on the first SYN to each port.
    OnDemand(Arc<dyn Opener>),
}

/// Makes the sockets of a listener on demand.
pub(crate) trait Opener: Send + Sync {
    /// Decides about the SYN in `frame`, which came to `worker`, and opens `port` for `listener` if it has no socket. A SYN
    /// that [waits](Passage::Waits) goes from `worker` to the kernel later.
    fn pass(self: Arc<Self>, listener: &Arc<Listener>, worker: usize, port: u16, frame: &[u8]) -> Passage;

    /// Closes every port, and hands the waiting SYNs to the kernel, which resets their clients. The listener's state must
    /// be [`State::Closed`] already, so that no port is opened afterwards.
    fn close(&self);
}

/// The decision about a SYN whose socket is made on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The kernel takes the SYN now: the port has a socket, or the listener is closed and the kernel resets the client.
    Open,
    /// The SYN waits until the port has a socket.
    Waits,
    /// Too many SYNs wait for the port already.
    Full,
}

/// The state of a listener's accept loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Accepting,
    Paused,
    Closed,
}

/// The listeners of an interface. No two have the same port of the same address.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<Listener>>);

impl Listeners {
    /// The listener for a connection to `destination`. An exact address wins over the wildcard.
    pub(crate) fn find(&self, destination: &SocketAddrV6) -> Option<&Arc<Listener>> {
        let takes = |address: Option<Ipv6Addr>| {
            self.0.iter().find(move |listener| {
                listener.address == address && listener.ports.contains(destination.port())
            })
        };
        takes(Some(*destination.ip())).or_else(|| takes(None))
    }

    /// The ports among `ports` that a listener of exactly this address (`None`: the wildcard) has.
    pub(crate) fn taken(&self, address: Option<Ipv6Addr>, ports: &PortSet) -> Option<PortSet> {
        let mut same = self.0.iter().filter(|listener| listener.address == address);
        same.find_map(|listener| listener.ports.intersection(ports))
    }

    pub(crate) fn with(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().chain([listener]).cloned().collect())
    }

    pub(crate) fn without(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().filter(|other| !Arc::ptr_eq(other, listener)).cloned().collect())
    }

    /// Returns true if the pump must see the SYNs of some listener.
    pub(crate) fn look_at_syns(&self) -> bool {
        self.0.iter().any(|listener| listener.looks_at_syns())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter()
    }
}
