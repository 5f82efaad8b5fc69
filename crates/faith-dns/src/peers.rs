//! The upstreams of a server as they are asked, without the server itself.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::counters::Counters;
use crate::peer::Peer;
use crate::plain;
use crate::record::Records;
use crate::resolv_conf::ResolvConf;
use crate::settings::{Fault, Gate};

/// The parts of the server that its upstreams touch.
pub(crate) struct Around {
    /// The addresses of the server itself, which would ask themselves.
    pub(crate) own: Vec<SocketAddr>,
    /// The gate hears of troubles.
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) counters: Arc<Counters>,
    /// The figures of the upstreams that clients' questions go to.
    pub(crate) records: Records,
}

enum Source {
    Given(Vec<Rc<Peer>>),
    /// The file, and the servers that it named last.
    ResolvConf(RefCell<(ResolvConf, Vec<Rc<Peer>>)>),
}

/// The upstreams.
pub(crate) struct Peers {
    source: Source,
    around: Rc<Around>,
}

impl Peers {
    /// These upstreams.
    pub(crate) fn given(peers: Vec<Rc<Peer>>, around: &Rc<Around>) -> Rc<Self> {
        Rc::new(Self { source: Source::Given(peers), around: Rc::clone(around) })
    }

    /// The upstreams that a file names, as it is at the moment of a query.
    pub(crate) fn named_by(path: PathBuf, around: &Rc<Around>) -> Rc<Self> {
        let source = Source::ResolvConf(RefCell::new((ResolvConf::new(path), Vec::new())));
        Rc::new(Self { source, around: Rc::clone(around) })
    }

    /// The upstreams in their order.
    pub(crate) fn list(&self) -> Vec<Rc<Peer>> {
        let named = match &self.source {
            Source::Given(peers) => peers.clone(),
            Source::ResolvConf(file) => {
                let (file, peers) = &mut *file.borrow_mut();
                let servers = file.servers();
                if !peers.iter().map(|peer| peer.address()).eq(servers.iter().copied().map(Some)) {
                    *peers = servers.iter().map(|server| self.kept(peers, *server)).collect();
                    self.show(peers);
                }
                peers.clone()
            }
        };
        named.into_iter().filter(|peer| !self.is_own(peer)).collect()
    }

    /// The server that was named before, or a new one.
    fn kept(&self, peers: &[Rc<Peer>], server: SocketAddr) -> Rc<Peer> {
        let before = peers.iter().find(|peer| peer.address() == Some(server));
        before.map_or_else(|| Peer::plain(server, &self.around.gate, &self.around.counters), Rc::clone)
    }

    /// Shows the figures of the upstreams from now on.
    pub(crate) fn publish(&self) {
        if let Source::Given(peers) = &self.source {
            self.show(peers);
        }
        // The file is read, and the server's own addresses are found, before the first query.
        self.list();
    }

    fn show(&self, peers: &[Rc<Peer>]) {
        self.around.records.store(Arc::new(peers.iter().map(|peer| Arc::clone(&peer.record)).collect()));
    }

    /// Returns true if the upstream is this server.
    fn is_own(&self, peer: &Peer) -> bool {
        let Some(address) = peer.address() else { return false };
        let is_own = self.around.own.iter().any(|own| is_same(own, &address));
        peer.record.set_own(is_own);
        if is_own && !peer.is_own_told.replace(true) {
            self.around.gate.warn_of(Fault::OwnUpstream(address));
        }
        is_own
    }

    /// Marks that the upstream has asked this server back.
    pub(crate) fn tell_loop(&self, peer: &Peer) {
        self.around.counters.loops.add();
        peer.record.loops.add();
        peer.record.set_loop(true);
        if !peer.is_loop_told.replace(true) {
            self.around.gate.warn_of(Fault::Loop(peer.upstream().to_string()));
        }
    }
}

/// Returns true if a query to `server` comes back to the socket bound to `own`.
fn is_same(own: &SocketAddr, server: &SocketAddr) -> bool {
    if own.port() != server.port() {
        return false;
    }
    // A socket that is bound to every address has each of this host's, of its family. The kernel sends from an address
    // to itself.
    let (own, server_ip) = (own.ip().to_canonical(), server.ip().to_canonical());
    let has_all = own.is_unspecified() && own.is_ipv4() == server_ip.is_ipv4();
    own == server_ip || has_all && is_here(*server)
}

fn is_here(server: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = std::net::UdpSocket::bind(plain::any(server))?;
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip() == server.ip())
    };
    ask().unwrap_or(false)
}
