//! Decides where a connection may go and how: mappings, access list, route, limits, sources and headers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use faith_packet::access::{AccessList, Basis, Decision, Judgement};
use faith_packet::mapping::Mappings;
use faith_packet::prefix::FaithPrefix;
use faith_packet::protocol::Protocol;
use faith_packet::proxy::{Version, header};
use faith_stack::Captured;
use faith_sys::local_ports::LocalPorts;

use crate::attempt::Attempt;
use crate::began::Began;
use crate::cause::Cause;
use crate::clients::{Clients, Place};
use crate::denying_rule::DenyingRule;
use crate::local::{Local, Served, Taker};
use crate::options::RelayOptions;
use crate::permission::Permission;
use crate::port_blocks::{PortBlockOptions, PortBlocks};
use crate::port_claims::blocks_of;
use crate::record::Observer;
use crate::refusal::Refusal;
use crate::route::{Questions, Verdict};
use crate::shortage::Shortages;
use crate::source::{Address, Ports, Source, Sources};
use crate::source_use::SourceUse;
use crate::terms::Terms;
use crate::upstream::Target;

mod datagrams;

/// The way of an attempt that may go on.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, which is not worth an allocation")]
pub(crate) enum Way {
    Server(Target),
    /// To the taker, which serves the connection itself.
    HandOver,
}

/// The router that a relay runs on.
pub(crate) trait Router: Send + Sync + 'static {
    /// Tells whether this address counts as the router's own.
    fn is_own(&self, address: IpAddr) -> bool;
    /// Tells whether this address is surely the router's own: false while the router does not know its addresses.
    fn owns(&self, address: Ipv4Addr) -> bool;
    /// The captured prefix that contains this address now.
    fn prefix_of(&self, address: Ipv6Addr) -> Option<FaithPrefix>;
}

/// The rules by which a relay lets connections through.
pub(crate) struct Admission {
    router: Box<dyn Router>,
    access: ArcSwap<AccessList>,
    clients: Arc<Clients>,
    passage: ArcSwap<Passage>,
    pub(crate) blocks: Arc<PortBlocks>,
    shortages: Arc<Shortages>,
    /// Connections from other addresses than their client's first, of sources that were replaced.
    earlier_fallbacks: AtomicU64,
    questions: Option<Questions>,
    taker: Option<Arc<dyn Taker>>,
}

/// The settings by which connections go to servers. Each connection goes by those of the moment.
struct Passage {
    mappings: Mappings,
    local: Local,
    sources: Arc<Sources>,
    port_blocks: Option<PortBlockOptions>,
    client_prefix_length: u8,
    privileged_source: bool,
    proxy: Option<Version>,
    copy_dscp: bool,
}

impl Passage {
    fn new(options: &mut RelayOptions, shortages: &Arc<Shortages>) -> Self {
        Self {
            mappings: std::mem::take(&mut options.mappings),
            local: std::mem::take(&mut options.local),
            sources: Sources::new(
                std::mem::take(&mut options.sources),
                options.clients.prefix_length,
                Arc::clone(shortages),
            ),
            port_blocks: options.port_blocks,
            client_prefix_length: options.clients.prefix_length,
            privileged_source: options.privileged_source,
            proxy: options.proxy,
            copy_dscp: options.copy_dscp,
        }
    }
}

impl Admission {
    pub(crate) fn new(
        options: &mut RelayOptions,
        router: impl Router,
        shortages: Arc<Shortages>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            router: Box::new(router),
            access: ArcSwap::from_pointee(std::mem::take(&mut options.access)),
            clients: Clients::new(options.max_sessions, options.clients),
            passage: ArcSwap::from_pointee(Passage::new(options, &shortages)),
            blocks: PortBlocks::new(observer),
            shortages,
            earlier_fallbacks: AtomicU64::new(0),
            questions: options
                .routing
                .take()
                .map(|routing| Questions::new(routing, options.clients.prefix_length)),
            taker: options.taker.take(),
        }
    }

    /// Treats connections by other options from now on: all but the access list and the routing.
    pub(crate) fn update(&self, options: &mut RelayOptions) {
        self.clients.limit(options.max_sessions, options.clients);
        let before = self.passage.swap(Arc::new(Passage::new(options, &self.shortages)));
        self.earlier_fallbacks.fetch_add(before.sources.fallbacks(), Ordering::Relaxed);
    }

    /// Tells whether a SYN beyond the `held` ones of its client waits for a place; see [`Questions::waits`].
    pub(crate) fn waits(&self, client: &Ipv6Addr, held: u32) -> bool {
        self.questions.as_ref().is_some_and(|questions| questions.waits(client, held))
    }

    /// Tells whether the client of a SYN gets its first block of ports. Any host can forge a SYN, so the client must complete
    /// its handshake before. A SYN that the access list denies needs no block.
    pub(crate) fn awaits_handshake(&self, client: &Ipv6Addr, destination: SocketAddrV6) -> bool {
        let passage = self.passage.load();
        if passage.port_blocks.is_none() || self.blocks.knows(client, passage.client_prefix_length) {
            return false;
        }
        let permits = |server: SocketAddrV4| self.permits(Protocol::Tcp, *client, server.into());
        self.questions.is_some() || self.server_of(destination).is_some_and(permits)
    }

    /// Finds the way of an attempt by the mappings, if the access list and the limits let the attempt through.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn admit(
        &self,
        attempt: &mut Attempt,
        traffic_class: impl FnOnce() -> Option<u8>,
    ) -> Result<Way, Refusal> {
        let server = self.server_of(*attempt.destination()).ok_or(Refusal::NO_MAPPING)?;
        attempt.server = Some(server.into());
        let local = self.served(server);
        let outgoing = self.judge(basis_of(local), attempt, server.into())?;
        self.pass(attempt)?;
        Ok(match local {
            Some(Served::ByService) => Way::HandOver,
            Some(Served::ByHost) | None => {
                Way::Server(self.target(attempt, server.into(), outgoing, traffic_class))
            }
        })
    }

    /// The questions to the route, if the relay asks one about connections to `port`. [`decide`](Self::decide) takes time
    /// then.
    pub(crate) fn questions(&self, port: u16) -> Option<&Questions> {
        self.questions.as_ref().filter(|questions| questions.concern(port))
    }

    /// Does the same as [`admit`](Self::admit), but asks the route first if the relay has one.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) async fn decide(
        &self,
        attempt: &mut Attempt,
        traffic_class: impl FnOnce() -> Option<u8>,
    ) -> Result<Way, Refusal> {
        let destination = *attempt.destination();
        let Some(questions) = self.questions(destination.port()) else {
            return self.admit(attempt, traffic_class);
        };
        let open = attempt.question.take();
        let open = open.or_else(|| questions.enter(attempt.began, attempt.client().ip()));
        let open = open.ok_or(Refusal::limit(Cause::MaxUndecided))?;
        let server = self.server_of(destination);
        match questions.ask(open, attempt.id(), Protocol::Tcp, attempt.flow(), server).await? {
            Verdict::Connect { server, allow_any, terms } => {
                attempt.server = Some(server);
                attempt.routed = true;
                attempt.treat(terms);
                if !allow_any {
                    self.judge(Basis::Named, attempt, server)?;
                }
                self.pass(attempt)?;
                Ok(Way::Server(self.target(attempt, server, None, traffic_class)))
            }
            Verdict::HandOver => Ok(Way::HandOver),
            Verdict::Reject { reject, tag } => {
                attempt.treat(Terms { tag, ..Terms::default() });
                Err(reject.into())
            }
            Verdict::Proceed(terms) => {
                attempt.treat(terms);
                self.admit(attempt, traffic_class)
            }
        }
    }

    /// Gives a connection to the taker. Without one, dropping the connection closes it.
    pub(crate) fn hand_over(&self, worker: usize, connection: Captured) {
        if let Some(taker) = &self.taker {
            taker.take(worker, connection);
        }
    }

    /// Gives the taker the ends of a session that it stands between. Without one, dropping them ends the session.
    pub(crate) fn stand_between(&self, worker: usize, client: Captured, server: OwnedFd) {
        if let Some(taker) = &self.taker {
            taker.stand_between(worker, client, server);
        }
    }

    /// Tells the taker that the interface closes.
    pub(crate) fn closing(&self) {
        if let Some(taker) = &self.taker {
            taker.closing();
        }
    }

    /// Lets an attempt go on if the limits allow it. A SYN may be forged, so it takes no place; see [`enter`](Self::enter).
    fn pass(&self, attempt: &mut Attempt) -> Result<(), Refusal> {
        match attempt.began {
            Began::WithSyn => {
                self.clients.look(attempt.client().ip()).map_err(|full| Refusal::limit(full.into()))
            }
            Began::Accepted => self.enter(attempt),
        }
    }

    /// Takes a place among the sessions for an attempt whose client has been accepted, if the limits allow one more.
    ///
    /// # Errors
    /// The refusal that answers the client.
    pub(crate) fn enter(&self, attempt: &mut Attempt) -> Result<(), Refusal> {
        attempt.place = self.take_place(attempt.client().ip()).map_err(Refusal::limit)?;
        Ok(())
    }

    /// Takes a place among the sessions for a client; `None` if nothing is limited.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn take_place(&self, client: &Ipv6Addr) -> Result<Option<Place>, Cause> {
        Ok(self.clients.enter(client)?)
    }

    /// The captured address that means `server` behind the same prefix as `dialled`.
    pub(crate) fn means(&self, dialled: Ipv6Addr, server: Ipv4Addr) -> Option<Ipv6Addr> {
        let prefix = self.router.prefix_of(dialled)?;
        Some(self.passage.load().mappings.embed_unmapped(&prefix, server))
    }

    fn target(
        &self,
        attempt: &Attempt,
        server: SocketAddr,
        outgoing: Option<IpAddr>,
        traffic_class: impl FnOnce() -> Option<u8>,
    ) -> Target {
        let passage = self.passage.load();
        let terms = attempt.terms();
        let source = terms.and_then(|terms| terms.source).or(outgoing);
        let proxy = terms.and_then(|terms| terms.proxy).or(passage.proxy);
        Target {
            server,
            source: self.source(&passage, source, server.ip(), attempt),
            traffic_class: if passage.copy_dscp { traffic_class() } else { None },
            probed_hops: None,
            header: proxy.map(|version| header(version, *attempt.client(), *attempt.destination())),
        }
    }

    /// The source of a connection: the address that a rule or a route names, or else the client's own among the relay's
    /// addresses of the server's family.
    fn source(&self, passage: &Passage, ruled: Option<IpAddr>, server: IpAddr, attempt: &Attempt) -> Source {
        let (client, connection) = (attempt.client().ip(), attempt.id());
        // A server that wants a privileged port would refuse one of a block.
        let wanted = attempt.terms().and_then(|terms| terms.privileged);
        let ports = match (wanted, passage.port_blocks) {
            (Some(false) | None, Some(options)) => {
                let allotment = self.blocks.allot(options, client, passage.client_prefix_length);
                Ports::Blocks { allotment, connection }
            }
            (wanted, _) if wanted.unwrap_or(passage.privileged_source) => {
                #[expect(clippy::cast_possible_truncation, reason = "any part of a sequence takes turns")]
                let turn = connection as usize;
                Ports::Privileged(turn)
            }
            _ => Ports::Any,
        };
        Source { address: ruled.map_or_else(|| passage.sources.of(*client, server), Address::Fixed), ports }
    }

    fn server_of(&self, destination: SocketAddrV6) -> Option<SocketAddrV4> {
        self.passage.load().mappings.resolve(&self.router.prefix_of(*destination.ip())?, destination)
    }

    /// The way in which this host serves a server's address itself, if it does.
    fn served(&self, server: SocketAddrV4) -> Option<Served> {
        let passage = self.passage.load();
        passage.local.serves(*server.ip(), server.port(), |address| self.router.owns(address))
    }

    fn judgement(
        &self,
        access: &AccessList,
        protocol: Protocol,
        basis: Basis,
        client: Ipv6Addr,
        server: SocketAddr,
    ) -> Judgement {
        access.judge(protocol, basis, client, server, |address| self.router.is_own(address))
    }

    /// Judges a connection by the access list. Returns the address that it must come from, if the deciding rule names one.
    ///
    /// # Errors
    /// The refusal that answers the client.
    fn judge(&self, basis: Basis, attempt: &Attempt, server: SocketAddr) -> Result<Option<IpAddr>, Refusal> {
        let access = self.access.load();
        let judgement = self.judgement(&access, Protocol::Tcp, basis, *attempt.client().ip(), server);
        outcome(&access, judgement)
    }

    /// The use of each source address, with these numbers of sessions: those that were named, and those that have sessions or
    /// blocks.
    pub(crate) fn source_use(&self, mut sessions: BTreeMap<IpAddr, u64>) -> Vec<SourceUse> {
        let (passage, blocks, ports) = (self.passage.load(), self.blocks.used(), LocalPorts::read());
        for source in passage.sources.all().iter().chain(blocks.keys()) {
            sessions.entry(*source).or_default();
        }
        let most = passage.port_blocks.map_or(0, |options| blocks_of(&ports.range, options.size));
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let using = |(source, sessions)| {
            SourceUse::new(source, sessions, blocks.get(&source).copied().unwrap_or(0), most, &ports)
        };
        sessions.into_iter().map(using).collect()
    }

    /// Tells the present decision about a client and a destination: an address that it dials, or the IPv4 server for which
    /// that stands. Ignores limits and the route.
    pub(crate) fn permission(
        &self,
        protocol: Protocol,
        client: Ipv6Addr,
        destination: SocketAddr,
    ) -> Permission {
        let server = match destination {
            SocketAddr::V4(server) => Some(server),
            SocketAddr::V6(destination) => self.server_of(destination),
        };
        let Some(server) = server else {
            return Permission { cause: Some(Cause::NoMapping), rule: None, source: None };
        };
        let basis = self.basis(protocol, server);
        let access = self.access.load();
        let permission =
            Permission::new(&access, self.judgement(&access, protocol, basis, client, server.into()));
        let source = permission.source.or_else(|| match permission.cause {
            None => self.passage.load().sources.of(client, (*server.ip()).into()).first(),
            Some(_) => None,
        });
        Permission { source, ..permission }
    }

    /// Tells whether the access list permits a session between these two now.
    pub(crate) fn permits(&self, protocol: Protocol, client: Ipv6Addr, server: SocketAddr) -> bool {
        let basis = match server {
            SocketAddr::V4(server) => self.basis(protocol, server),
            SocketAddr::V6(_) => Basis::Dialled,
        };
        let judgement = self.judgement(&self.access.load(), protocol, basis, client, server);
        matches!(judgement.decision, Decision::Permit { .. })
    }

    /// Tells whether the client may reach some port of the address that it dials, by one of these protocols. Ignores
    /// limits and the route.
    pub(crate) fn permits_any_port(
        &self,
        protocols: impl IntoIterator<Item = Protocol>,
        client: Ipv6Addr,
        dialled: Ipv6Addr,
    ) -> bool {
        let Some(server) = self.server_of(SocketAddrV6::new(dialled, 0, 0, 0)) else { return false };
        let address = *server.ip();
        // An explicit mapping may name one port.
        if server.port() != 0 {
            return protocols.into_iter().any(|protocol| self.permits(protocol, client, server.into()));
        }
        let basis = if self.may_serve(address) { Basis::Local } else { Basis::Dialled };
        let access = self.access.load();
        protocols.into_iter().any(|protocol| {
            let basis = if protocol == Protocol::Tcp { basis } else { Basis::Dialled };
            access.permits_any_port(protocol, basis, client, address, |address| self.router.is_own(address))
        })
    }

    /// The rules that apply to a dialled server. This host serves connections alone.
    fn basis(&self, protocol: Protocol, server: SocketAddrV4) -> Basis {
        if protocol == Protocol::Tcp { basis_of(self.served(server)) } else { Basis::Dialled }
    }

    /// Tells whether this host serves a port of the address itself.
    fn may_serve(&self, address: Ipv4Addr) -> bool {
        self.passage.load().local.serves_some_port(address, |address| self.router.owns(address))
    }

    /// The way of reading addresses now.
    pub(crate) fn mappings(&self) -> Mappings {
        self.passage.load().mappings.clone()
    }

    pub(crate) fn set_access(&self, access: AccessList) {
        self.access.store(Arc::new(access));
    }

    /// Number of connections that came from another of the relay's addresses than their client's first.
    pub(crate) fn source_fallbacks(&self) -> u64 {
        self.earlier_fallbacks.load(Ordering::Relaxed) + self.passage.load().sources.fallbacks()
    }
}

/// The rules that apply to a dialled server.
fn basis_of(served: Option<Served>) -> Basis {
    served.map_or(Basis::Dialled, |_| Basis::Local)
}

/// The address that a permitted connection must come from, if the deciding rule names one.
fn outcome(access: &Arc<AccessList>, judgement: Judgement) -> Result<Option<IpAddr>, Refusal> {
    match (judgement.decision, judgement.rule) {
        (Decision::Permit { outgoing }, _) => Ok(outgoing.map(IpAddr::V4)),
        (Decision::Deny(_), Some(place)) => {
            Err(Refusal::denied_by(DenyingRule::new(Arc::clone(access), place)))
        }
        (Decision::Deny(reason), None) => Err(Refusal::denied(reason.into())),
    }
}
