//! Asks the upstreams.
//!
//! The server that answered last is asked first. One that is silent for a while, or answers with an error that
//! another may not have, makes way for the next. Each further round waits longer.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::cache::Key;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::failures::Failures;
use crate::plain;
use crate::resolv_conf::ResolvConf;
use crate::secure::{Host, SecureUpstream, UpstreamSyntaxError};
use crate::session::Session;
use crate::settings::{Fault, Gate};
use crate::tls::Trust;
use crate::wire::{self, Question};

/// The rounds in which servers are asked, each with twice the time of the one before.
const ROUNDS: u32 = 3;

/// The time after which the client gets an error, unless one server may take longer. The C library's resolver waits for
/// 5 seconds.
const PATIENCE: Duration = Duration::from_millis(4500);

/// A DNS server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Over UDP, and over TCP if a response is truncated. Written `192.0.2.53:53`.
    Plain(SocketAddr),
    /// Over TLS or HTTPS.
    Secure(SecureUpstream),
}

impl FromStr for Upstream {
    type Err = UpstreamSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.parse().map(Self::Plain);
        plain.or_else(|_| text.parse().map(Self::Secure))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(formatter),
            Self::Secure(upstream) => upstream.fmt(formatter),
        }
    }
}

/// The upstreams of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// These, in this order.
    Given(Vec<Upstream>),
    /// Those of a file in the form of resolv.conf(5), which is read again when it changes.
    ResolvConf(PathBuf),
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::ResolvConf("/etc/resolv.conf".into())
    }
}

impl Upstreams {
    /// Returns true if one of them is asked over TLS.
    pub(crate) fn has_secure(&self) -> bool {
        matches!(self, Self::Given(upstreams) if upstreams.iter().any(|one| matches!(one, Upstream::Secure(_))))
    }

    /// An upstream whose name none of the others can look up.
    pub(crate) fn unreachable(&self) -> Option<&SecureUpstream> {
        let Self::Given(upstreams) = self else { return None };
        let has_address = |upstream: &Upstream| match upstream {
            Upstream::Plain(_) => true,
            Upstream::Secure(upstream) => upstream.address().is_some(),
        };
        if upstreams.iter().any(has_address) {
            return None;
        }
        upstreams.iter().find_map(|upstream| match upstream {
            Upstream::Secure(upstream) => Some(upstream),
            Upstream::Plain(_) => None,
        })
    }
}

/// A server as it is asked.
#[derive(Clone)]
enum Server {
    Plain(SocketAddr),
    Secure(Rc<Session>),
}

impl Server {
    fn upstream(&self) -> Upstream {
        match self {
            Self::Plain(address) => Upstream::Plain(*address),
            Self::Secure(session) => Upstream::Secure(session.upstream.clone()),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) => Some(*address),
            Self::Secure(session) => session.upstream.address(),
        }
    }

    /// The server's response. `find` gives the addresses of a server that has a name alone.
    async fn exchange(&self, ask: &Ask, find: impl AsyncFn(&str) -> Vec<IpAddr>) -> io::Result<Entry> {
        let session = match self {
            Self::Plain(address) => return plain::exchange(*address, ask).await,
            Self::Secure(session) => session,
        };
        let SecureUpstream { host, port, .. } = &session.upstream;
        let addresses = async || {
            let found = match host {
                Host::Address(address) => vec![*address],
                Host::Name(name) => find(name).await,
            };
            found.into_iter().map(|address| SocketAddr::new(address, *port)).collect()
        };
        let response = session.exchange(ask.padded_query(), addresses).await?;
        Entry::read(response, &ask.question).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

enum Source {
    Given(Vec<Server>),
    ResolvConf(RefCell<ResolvConf>),
}

/// Asks upstreams.
pub(crate) struct Resolver {
    source: Source,
    /// The addresses of this server itself, which would ask themselves.
    own: Vec<SocketAddr>,
    /// The upstreams that were told to be this server.
    told: RefCell<Vec<SocketAddr>>,
    failures: RefCell<Failures<Upstream>>,
    /// The time that each server has in the first round.
    timeout: Duration,
    /// The place of the server that is asked first.
    first: Cell<usize>,
    gate: Arc<dyn Gate>,
    counters: Arc<Counters>,
}

impl Resolver {
    /// Asks upstreams, those over TLS by `trust`. The gate hears of their troubles.
    pub(crate) fn new(
        upstreams: Upstreams,
        trust: Option<&Trust>,
        own: Vec<SocketAddr>,
        timeout: Duration,
        gate: Arc<dyn Gate>,
        counters: Arc<Counters>,
    ) -> Self {
        let server = |upstream| match (upstream, trust) {
            (Upstream::Plain(address), _) => Some(Server::Plain(address)),
            (Upstream::Secure(upstream), Some(trust)) => {
                let gate = Arc::clone(&gate);
                let report = move |upstream: &SecureUpstream, trouble: Option<&str>| {
                    let trouble = trouble.map(str::to_owned);
                    gate.warn_of(Fault::Upstream { url: upstream.to_string(), trouble });
                };
                Some(Server::Secure(Session::new(upstream, trust.clone(), Box::new(report))))
            }
            (Upstream::Secure(_), None) => None,
        };
        let source = match upstreams {
            Upstreams::Given(upstreams) => Source::Given(upstreams.into_iter().filter_map(server).collect()),
            Upstreams::ResolvConf(path) => Source::ResolvConf(RefCell::new(ResolvConf::new(path))),
        };
        Self {
            source,
            own,
            told: RefCell::default(),
            failures: RefCell::default(),
            timeout,
            first: Cell::new(0),
            gate,
            counters,
        }
    }

    /// The best response that an upstream gives; `None` if none answers in time. Upstreams that have just failed the question
    /// are not asked: their errors are what there is.
    pub(crate) async fn ask(&self, ask: &Ask) -> Option<Rc<Entry>> {
        let mut found = Found::default();
        let servers: Vec<(usize, Server)> = self
            .in_turn()
            .into_iter()
            .filter(|(_, server)| !self.has_failed(ask, server, &mut found))
            .collect();
        if !found.is_final {
            // An error is better than nothing, also when the time is over.
            let limit = PATIENCE.max(self.timeout);
            let _ = timeout(limit, self.ask_in_turn(ask, &servers, &mut found)).await;
        }
        if let Some(key) = key_of(ask) {
            let mut failures = self.failures.borrow_mut();
            for (server, response) in found.failed {
                failures.insert(key.clone(), server, response);
            }
        }
        if found.best.is_none() {
            self.counters.upstream_failures.add();
        }
        found.best
    }

    async fn ask_in_turn(&self, ask: &Ask, servers: &[(usize, Server)], found: &mut Found) {
        for round in 0..ROUNDS {
            let limit = self.timeout * 2_u32.pow(round);
            for (place, server) in servers {
                self.counters.upstream_queries.add();
                // Counts as silent until it has answered, also when the time is over meanwhile.
                let upstream = server.upstream();
                found.fail(&upstream, None);
                let Ok(Ok(entry)) = timeout(limit, self.exchange(server, ask)).await else { continue };
                let entry = Rc::new(entry);
                found.take(&entry);
                if is_error(&entry) {
                    found.fail(&upstream, Some(entry));
                } else {
                    found.failed.retain(|(failed, _)| *failed != upstream);
                    self.forget_failure(ask, &upstream);
                }
                if found.is_final {
                    self.first.set(*place);
                    return;
                }
            }
            // Every server that works has said the same kind of thing.
            if found.best.is_some() {
                return;
            }
        }
    }

    async fn exchange(&self, server: &Server, ask: &Ask) -> io::Result<Entry> {
        server.exchange(ask, async |name: &str| self.look_up(name).await).await
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
        for server in self.servers().iter().filter(|server| server.address().is_some()) {
            self.counters.upstream_queries.add();
            let exchange = server.exchange(&ask, async |_: &str| Vec::new());
            let Ok(Ok(entry)) = timeout(self.timeout, exchange).await else { continue };
            if entry.code() == NO_ERROR
                && let Some(message) = entry.message()
            {
                let address = |data: &RData| data.ip_addr();
                return message.answers.iter().filter_map(|record| address(&record.data)).collect();
            }
        }
        Vec::new()
    }

    /// The servers with their places, the one that answered last first.
    fn in_turn(&self) -> Vec<(usize, Server)> {
        let mut servers: Vec<_> = self.servers().into_iter().enumerate().collect();
        let first = self.first.get();
        if first < servers.len() {
            servers.rotate_left(first);
        }
        servers
    }

    /// Returns true if the server's failure of this question is still kept, and takes its error.
    fn has_failed(&self, ask: &Ask, server: &Server, found: &mut Found) -> bool {
        let Some(key) = key_of(ask) else { return false };
        let failures = self.failures.borrow();
        let Some(failure) = failures.get(&key, &server.upstream()) else { return false };
        if let Some(response) = &failure.response {
            found.take(response);
        }
        true
    }

    fn forget_failure(&self, ask: &Ask, upstream: &Upstream) {
        if let Some(key) = key_of(ask) {
            self.failures.borrow_mut().remove(&key, upstream);
        }
    }

    fn servers(&self) -> Vec<Server> {
        let is_own = |server: &SocketAddr| {
            let is_own = self.own.iter().any(|own| is_same(own, server));
            if is_own {
                self.tell(*server);
            }
            is_own
        };
        match &self.source {
            Source::Given(servers) => {
                let is_other = |server: &&Server| !server.address().is_some_and(|address| is_own(&address));
                servers.iter().filter(is_other).cloned().collect()
            }
            Source::ResolvConf(file) => {
                let mut file = file.borrow_mut();
                file.servers().iter().filter(|server| !is_own(server)).copied().map(Server::Plain).collect()
            }
        }
    }

    fn tell(&self, server: SocketAddr) {
        let mut told = self.told.borrow_mut();
        if !told.contains(&server) {
            told.push(server);
            self.gate.warn_of(Fault::OwnUpstream(server));
        }
    }
}

/// The outcome of asking.
#[derive(Default)]
struct Found {
    best: Option<Rc<Entry>>,
    /// No other server needs to be asked.
    is_final: bool,
    /// The servers that failed, with their errors.
    failed: Vec<(Upstream, Option<Rc<Entry>>)>,
}

impl Found {
    fn take(&mut self, entry: &Rc<Entry>) {
        let is_final = !is_error(entry) || is_bogus(entry);
        if (is_final && !self.is_final) || self.best.is_none() {
            self.best = Some(Rc::clone(entry));
        }
        self.is_final |= is_final;
    }

    fn fail(&mut self, server: &Upstream, response: Option<Rc<Entry>>) {
        self.failed.retain(|(failed, _)| failed != server);
        self.failed.push((server.clone(), response));
    }
}

/// The key of a question's failures. A query with RD=0 has none: a server may refuse that alone.
fn key_of(ask: &Ask) -> Option<Key> {
    let is_kept = ask.flags & wire::RECURSION_DESIRED != 0;
    is_kept.then(|| Key::new(&ask.question, ask.flags, ask.dnssec_ok))
}

fn is_error(entry: &Entry) -> bool {
    !matches!(entry.code(), NO_ERROR | NAME_ERROR)
}

const NO_ERROR: u16 = 0;
const SERVER_FAILURE: u16 = 2;
const NAME_ERROR: u16 = 3;

/// Returns true if the upstream found the data bogus: another one that does not validate must not be asked.
fn is_bogus(entry: &Entry) -> bool {
    entry.code() == SERVER_FAILURE
        && entry.message().is_some_and(|message| faith_dns64::failed_validation(&message))
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
