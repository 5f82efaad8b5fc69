//! The upstreams of a server as they are asked, without the server itself.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

use crate::ask::Ask;
use crate::counters::Counters;
use crate::health::Health;
use crate::peer::{Peer, Way};
use crate::plain;
use crate::record::Records;
use crate::resolv_conf::ResolvConf;
use crate::secure::{Host, SecureUpstream};
use crate::session::{Find, Session};
use crate::settings::{Fault, Gate};
use crate::tls::Trust;
use crate::upstream::{Upstream, Upstreams};
use crate::wire::{self, Question};

enum Source {
    Given(Vec<Rc<Peer>>),
    /// The file, and the servers that it named last.
    ResolvConf(RefCell<(ResolvConf, Vec<Rc<Peer>>)>),
}

/// The upstreams.
pub(crate) struct Peers {
    source: Source,
    /// The addresses of this server itself, which would ask themselves.
    own: Vec<SocketAddr>,
    /// The time that each upstream has to look up the name of another one.
    timeout: Duration,
    gate: Arc<dyn Gate>,
    counters: Arc<Counters>,
    records: Records,
}

impl Peers {
    /// The upstreams, of which those over TLS are trusted by `trust`. The gate hears of their troubles, and `records` has
    /// the figures of each.
    pub(crate) fn new(
        upstreams: Upstreams,
        trust: Option<&Trust>,
        own: Vec<SocketAddr>,
        timeout: Duration,
        gate: Arc<dyn Gate>,
        counters: Arc<Counters>,
        records: Records,
    ) -> Rc<Self> {
        let peers = Rc::new_cyclic(|peers| {
            let peer = |upstream| match (upstream, trust) {
                (Upstream::Plain(address), _) => Some(Peer::plain(address, &gate, &counters)),
                (Upstream::Secure(upstream), Some(trust)) => {
                    Some(secure(&upstream, trust, peers, &gate, &counters))
                }
                (Upstream::Secure(_), None) => None,
            };
            let source = match upstreams {
                Upstreams::Given(upstreams) => {
                    Source::Given(upstreams.into_iter().filter_map(peer).collect())
                }
                Upstreams::ResolvConf(path) => {
                    Source::ResolvConf(RefCell::new((ResolvConf::new(path), Vec::new())))
                }
            };
            Self { source, own, timeout, gate, counters, records }
        });
        if let Source::Given(given) = &peers.source {
            peers.publish(given);
        }
        // The figures are there before the first query.
        peers.list();
        peers
    }

    /// Upstreams that are scripts.
    #[cfg(test)]
    pub(crate) fn of(peers: Vec<Rc<Peer>>, gate: Arc<dyn Gate>, counters: Arc<Counters>) -> Rc<Self> {
        let (source, timeout) = (Source::Given(peers), Duration::ZERO);
        Rc::new(Self { source, own: Vec::new(), timeout, gate, counters, records: Records::default() })
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
                    self.publish(peers);
                }
                peers.clone()
            }
        };
        named.into_iter().filter(|peer| !self.is_own(peer)).collect()
    }

    /// The server that was named before, or a new one.
    fn kept(&self, peers: &[Rc<Peer>], server: SocketAddr) -> Rc<Peer> {
        let before = peers.iter().find(|peer| peer.address() == Some(server));
        before.map_or_else(|| Peer::plain(server, &self.gate, &self.counters), Rc::clone)
    }

    /// Shows the figures of these upstreams.
    fn publish(&self, peers: &[Rc<Peer>]) {
        self.records.store(Arc::new(peers.iter().map(|peer| Arc::clone(&peer.record)).collect()));
    }

    /// Returns true if the upstream is this server.
    fn is_own(&self, peer: &Peer) -> bool {
        let Some(address) = peer.address() else { return false };
        let is_own = self.own.iter().any(|own| is_same(own, &address));
        peer.record.set_own(is_own);
        if is_own && !peer.is_own_told.replace(true) {
            self.gate.warn_of(Fault::OwnUpstream(address));
        }
        is_own
    }

    /// Marks that the upstream has asked this server back.
    pub(crate) fn tell_loop(&self, peer: &Peer) {
        self.counters.loops.add();
        peer.record.loops.add();
        peer.record.set_loop(true);
        if !peer.is_loop_told.replace(true) {
            self.gate.warn_of(Fault::Loop(peer.upstream().to_string()));
        }
    }

    /// The addresses of an upstream, by those of the others that have addresses themselves.
    async fn look_up(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_ascii(host).and_then(|name| name.to_bytes()) else { return Vec::new() };
        let ask = |kind: RecordType| {
            let question = Question { name: name.clone(), kind: kind.into(), class: wire::IN };
            self.addresses(Ask { question, flags: wire::RECURSION_DESIRED, dnssec_ok: false })
        };
        let (mut ipv6, ipv4) = join(ask(RecordType::AAAA), ask(RecordType::A)).await;
        ipv6.extend(ipv4);
        ipv6
    }

    async fn addresses(&self, ask: Ask) -> Vec<IpAddr> {
        for peer in self.list().iter().filter(|peer| peer.address().is_some() && !peer.rests()) {
            let Some(entry) = peer.ask(&ask, self.timeout).await else { continue };
            if entry.code() == wire::NO_ERROR
                && let Some(message) = entry.message()
            {
                let address = |data: &RData| data.ip_addr();
                return message.answers.iter().filter_map(|record| address(&record.data)).collect();
            }
        }
        Vec::new()
    }
}

fn secure(
    upstream: &SecureUpstream,
    trust: &Trust,
    peers: &Weak<Peers>,
    gate: &Arc<dyn Gate>,
    counters: &Arc<Counters>,
) -> Rc<Peer> {
    let way = |health: &Rc<Health>| {
        let find = find(upstream, peers);
        Way::Secure(Session::secure(upstream.clone(), trust.clone(), find, Rc::clone(health)))
    };
    Peer::new(Upstream::Secure(upstream.clone()), gate, counters, way)
}

/// Finds the addresses of an upstream.
fn find(upstream: &SecureUpstream, peers: &Weak<Peers>) -> Find {
    let (host, port, peers) = (upstream.host.clone(), upstream.port, Weak::clone(peers));
    Box::new(move || {
        let (host, peers) = (host.clone(), peers.upgrade());
        async move {
            let found = match (host, peers) {
                (Host::Address(address), _) => vec![address],
                (Host::Name(name), Some(peers)) => peers.look_up(&name).await,
                (Host::Name(_), None) => Vec::new(),
            };
            found.into_iter().map(|address| SocketAddr::new(address, port)).collect()
        }
        .boxed_local()
    })
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
