//! A client's port: its sessions, and its sockets.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddrV6};
use std::rc::Rc;

use tokio::task::AbortHandle;

use super::mapping::Mapping;
use super::path::Path;
use super::route_back::RouteBack;
use super::session::Session;
use crate::clients::Place;
use crate::source::Address;

/// A client's port, or the identifier of a client's echo requests.
pub(crate) struct Endpoint {
    pub(crate) client: SocketAddrV6,
    pub(crate) path: RefCell<Path>,
    pub(super) sessions: RefCell<HashMap<SocketAddrV6, Rc<Session>>>,
    /// One socket, unless the access list names several outgoing addresses.
    pub(super) sockets: RefCell<Vec<Socket>>,
}

/// A socket of a client's port.
pub(super) struct Socket {
    pub(super) mapping: Rc<Mapping>,
    pub(super) back: RouteBack,
    /// The task that receives, unless the socket is shared.
    pub(super) task: Option<AbortHandle>,
    /// Its place among those of its client. It does not belong to the mapping, which its task keeps until that is dropped: a
    /// session's end is counted and reported before.
    pub(super) _place: Option<Place>,
}

impl Endpoint {
    pub(super) fn new(client: SocketAddrV6) -> Self {
        Self { client, path: RefCell::default(), sessions: RefCell::default(), sockets: RefCell::default() }
    }

    /// The mapping whose datagrams come from this address.
    pub(super) fn mapping(&self, address: &Address) -> Option<Rc<Mapping>> {
        let outgoing: Option<IpAddr> = match address {
            Address::Fixed(address) => Some(*address),
            Address::Any | Address::Own { .. } => None,
        };
        let sockets = self.sockets.borrow();
        let socket = sockets.iter().find(|socket| socket.mapping.outgoing == outgoing)?;
        Some(Rc::clone(&socket.mapping))
    }

    /// Looks at the ways back of a mapping; `None` if it has ended.
    pub(crate) fn at<T>(&self, mapping: &Rc<Mapping>, look: impl FnOnce(&mut RouteBack) -> T) -> Option<T> {
        let mut sockets = self.sockets.borrow_mut();
        let socket = sockets.iter_mut().find(|socket| Rc::ptr_eq(&socket.mapping, mapping))?;
        Some(look(&mut socket.back))
    }

    /// A destination of the client, if it has one.
    pub(crate) fn any_destination(&self) -> Option<SocketAddrV6> {
        self.sessions.borrow().keys().next().copied()
    }
}
