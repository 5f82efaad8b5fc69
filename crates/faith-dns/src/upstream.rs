//! Asks the upstreams.
//!
//! Each query has a socket of its own, so its port is as random as its id. The socket is connected: the kernel
//! drops what comes from other addresses, and reports at once that no server has the port. A response that is
//! truncated is fetched again over TCP.
//!
//! The server that answered last is asked first. One that is silent for a while, or answers with an error that
//! another may not have, makes way for the next. Each further round waits longer.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::counters::Counters;
use crate::entry::Entry;
use crate::resolv_conf::ResolvConf;
use crate::wire::{self, Opt, Question};

/// The rounds in which servers are asked, each with twice the time of the one before.
const ROUNDS: u32 = 3;

/// The time after which the client gets an error, unless one server may take longer. The C library's resolver waits for
/// 5 seconds.
const PATIENCE: Duration = Duration::from_millis(4500);

/// The upstreams of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// These, in this order.
    Given(Vec<SocketAddr>),
    /// Those of a file in the form of resolv.conf(5), which is read again when it changes.
    ResolvConf(PathBuf),
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::ResolvConf("/etc/resolv.conf".into())
    }
}

/// A query to an upstream.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) question: Question,
    /// The flags of the query's header.
    pub(crate) flags: u16,
    pub(crate) dnssec_ok: bool,
}

#[derive(Debug)]
enum Source {
    Given(Vec<SocketAddr>),
    ResolvConf(RefCell<ResolvConf>),
}

/// Asks upstreams.
#[derive(Debug)]
pub(crate) struct Resolver {
    source: Source,
    /// The addresses of this server itself, which would ask themselves.
    own: Vec<SocketAddr>,
    /// The time that each server has in the first round.
    timeout: Duration,
    /// The place of the server that is asked first.
    first: Cell<usize>,
    counters: Arc<Counters>,
}

impl Resolver {
    pub(crate) fn new(
        upstreams: Upstreams,
        own: Vec<SocketAddr>,
        timeout: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let source = match upstreams {
            Upstreams::Given(servers) => Source::Given(servers),
            Upstreams::ResolvConf(path) => Source::ResolvConf(RefCell::new(ResolvConf::new(path))),
        };
        Self { source, own, timeout, first: Cell::new(0), counters }
    }

    /// The best response that an upstream gives; `None` if none answers in time.
    pub(crate) async fn ask(&self, ask: &Ask) -> Option<Entry> {
        let mut best = None;
        // An error is better than nothing, also when the time is over.
        let _ = timeout(PATIENCE.max(self.timeout), self.ask_in_turn(ask, &mut best)).await;
        if best.is_none() {
            self.counters.upstream_failures.add();
        }
        best
    }

    async fn ask_in_turn(&self, ask: &Ask, best: &mut Option<Entry>) {
        let servers = self.servers();
        for round in 0..ROUNDS {
            let limit = self.timeout * 2_u32.pow(round);
            for turn in 0..servers.len() {
                let place = (self.first.get() + turn) % servers.len();
                let Some(server) = servers.get(place) else { continue };
                self.counters.upstream_queries.add();
                let Ok(Ok(entry)) = timeout(limit, exchange(*server, ask)).await else { continue };
                let is_final = matches!(entry.code(), NO_ERROR | NAME_ERROR) || is_bogus(&entry);
                if is_final || best.is_none() {
                    *best = Some(entry);
                }
                if is_final {
                    self.first.set(place);
                    return;
                }
            }
            // Every server that works has said the same kind of thing.
            if best.is_some() {
                return;
            }
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let is_other = |server: &&SocketAddr| !self.own.iter().any(|own| is_same(own, server));
        match &self.source {
            Source::Given(servers) => servers.iter().filter(is_other).copied().collect(),
            Source::ResolvConf(file) => {
                file.borrow_mut().servers().iter().filter(is_other).copied().collect()
            }
        }
    }
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
        let socket = std::net::UdpSocket::bind(any(server))?;
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip() == server.ip())
    };
    ask().unwrap_or(false)
}

/// The address from which any server of this family can be asked, with a port of the kernel's choice.
fn any(server: SocketAddr) -> SocketAddr {
    if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() }
}

async fn exchange(server: SocketAddr, ask: &Ask) -> io::Result<Entry> {
    let socket = UdpSocket::bind(any(server)).await?;
    socket.connect(server).await?;
    let query = query(ask);
    socket.send(&query).await?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let octets = &buffer[..length.min(buffer.len())];
        // Anything but the response to this query is a forgery, or late.
        if octets.get(..2) != query.get(..2) {
            continue;
        }
        if !Question::read(octets).is_some_and(|question| question.is_same(&ask.question)) {
            continue;
        }
        if wire::word(octets, 2).is_some_and(|flags| flags & wire::TRUNCATED != 0) {
            return exchange_by_tcp(server, &query, ask).await;
        }
        if let Some(entry) = Entry::read(octets.to_vec(), &ask.question) {
            return Ok(entry);
        }
    }
}

async fn exchange_by_tcp(server: SocketAddr, query: &[u8], ask: &Ask) -> io::Result<Entry> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(query.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    loop {
        let length = usize::from(stream.read_u16().await?);
        let mut octets = vec![0; length];
        stream.read_exact(&mut octets).await?;
        if octets.get(..2) == query.get(..2)
            && let Some(entry) = Entry::read(octets, &ask.question)
        {
            return Ok(entry);
        }
    }
}

/// The query, with a random id.
fn query(ask: &Ask) -> Vec<u8> {
    let id = hickory_proto::op::Message::query().id;
    let mut query = Vec::with_capacity(wire::HEADER + ask.question.name.len() + 4 + 11);
    query.extend_from_slice(&id.to_be_bytes());
    query.extend_from_slice(&(ask.flags | wire::AUTHENTIC).to_be_bytes());
    query.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    ask.question.write(&mut query);
    wire::push_opt(&mut query, &Opt::default(), faith_dns64::MAX_PAYLOAD, ask.dnssec_ok);
    query
}
