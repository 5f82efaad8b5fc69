//! Faith listeners: which ports and addresses are whose.

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
    /// Ends the accept loops. No SYN is answered any more when this returns; what waits in the kernel's queues is
    /// reset.
    pub(crate) fn close(&self) {
        self.state.send_replace(State::Closed);
        match &self.reach {
            Reach::Always(group) => group.lock().drain(..).for_each(|socket| stop(&socket)),
            Reach::OnDemand(opener) => opener.close(),
        }
    }

    /// Whether the pump has anything to do with its SYNs but to pass them on.
    fn looks_at_syns(&self) -> bool {
        self.hold.is_some() || matches!(self.reach, Reach::OnDemand(_))
    }

    /// Those of its sockets that there always are, a worker's each.
    pub(crate) fn sockets(&self) -> Vec<Arc<Socket>> {
        match &self.reach {
            Reach::Always(group) => group.lock().clone(),
            Reach::OnDemand(_) => Vec::new(),
        }
    }
}

/// How a SYN comes to a listening socket.
pub(crate) enum Reach {
    /// There is always one: bound to the port, or steered to by the `sk_lookup` program. These are they, a worker's
    /// each, until the listener is closed.
    Always(Mutex<Vec<Arc<Socket>>>),
    /// One is made when the first SYN to a port comes.
    OnDemand(Arc<dyn Opener>),
}

/// Makes the sockets of a listener when they are needed.
pub(crate) trait Opener: Send + Sync {
    /// Whether a SYN to `port` finds a socket.
    fn is_open(&self, port: u16) -> bool;

    /// Opens `port` for `listener`, and hands the SYN in `frame` to the kernel, by `worker`, when it is open.
    fn open_for(self: Arc<Self>, listener: &Arc<Listener>, worker: usize, port: u16, frame: &[u8]);

    /// Closes every port.
    fn close(&self);
}

/// What the accept loops of a listener do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Accepting,
    Paused,
    Closed,
}

/// The listeners of an interface: no two take the same port of the same address.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<Listener>>);

impl Listeners {
    /// Whose a connection to `destination` is: an exact address wins over the wildcard.
    pub(crate) fn find(&self, destination: &SocketAddrV6) -> Option<&Arc<Listener>> {
        let takes = |address: Option<Ipv6Addr>| {
            self.0.iter().find(move |listener| {
                listener.address == address && listener.ports.contains(destination.port())
            })
        };
        takes(Some(*destination.ip())).or_else(|| takes(None))
    }

    /// Whether a listener has one of `ports` of that very address, or of the wildcard.
    pub(crate) fn taken(&self, address: Option<Ipv6Addr>, ports: &PortSet) -> bool {
        self.0.iter().any(|listener| listener.address == address && listener.ports.intersects(ports))
    }

    pub(crate) fn with(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().chain([listener]).cloned().collect())
    }

    pub(crate) fn without(&self, listener: &Arc<Listener>) -> Self {
        Self(self.0.iter().filter(|other| !Arc::ptr_eq(other, listener)).cloned().collect())
    }

    /// Whether the pump has anything to do with SYNs but to pass them on.
    pub(crate) fn look_at_syns(&self) -> bool {
        self.0.iter().any(|listener| listener.looks_at_syns())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.0.iter()
    }
}
