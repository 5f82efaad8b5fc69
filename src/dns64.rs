//! The DNS server that gives clients addresses in the prefixes.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use faith_dns::{
    Certificate, ClientNetworks, Fault, Gate, Hook, Limits, Server, ServerError, ServerOptions, Stats,
    Upstream, UpstreamState, Upstreams,
};
use faith_dns64::{Failures, Options};
use faith_packet::cidr::Ipv6Prefix;
use faith_packet::excerpt::excerpt;
use faith_packet::mapping::Mappings;
use faith_packet::prefix::FaithPrefix;
use faith_relay::{Relay, names};
use faith_stack::{LocalNetworks, StackError};
use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Function, PromiseRaw, spawn_blocking};
use napi_derive::napi;
use parking_lot::{Mutex, RwLock};

use crate::batch::Batch;
use crate::dns64_stats::{NativeDns64Fault, NativeDns64Stats, NativeDns64Upstream};
use crate::failure::{NativeFailure, Outcome, blocking};
use crate::options;
use crate::relay::NativeRelay;
use crate::relay_options::parse_each;
use crate::resolve::{Asking, NativeAnswer, NativeQuery};

/// The options that only starting the server can set.
#[napi(object)]
pub struct NativeDns64Options {
    /// The addresses that it answers at, as `[::]:53`. A port of 0 lets the kernel choose one.
    pub listen: Vec<String>,
    /// The servers that it asks, as `192.0.2.53:53`, `tls://192.0.2.53:853#dns.example` or
    /// `https://192.0.2.53:443/dns-query#dns.example`; without any, those of /etc/resolv.conf.
    pub upstreams: Vec<String>,
    /// All of them are asked at once.
    pub all_servers: bool,
    /// The memory of the cache in bytes; 0 is no cache.
    pub cache_bytes: u32,
    /// The certificate with which it answers over TLS, too; absent without.
    pub certificate: Option<NativeCertificate>,
    /// The port for TLS.
    pub tls_port: u16,
    /// JavaScript is asked about these names and those below them; without any, about all.
    pub resolve_names: Vec<String>,
    /// The time that JavaScript has for an answer, in milliseconds.
    pub resolve_timeout_ms: u32,
}

/// A certificate and its key, in PEM.
#[napi(object)]
pub struct NativeCertificate {
    /// The certificate, and those that lead to its root.
    pub chain: String,
    /// The private key.
    pub key: String,
}

/// The settings that may change while the server runs.
#[napi(object)]
pub struct NativeSynthesis {
    /// The prefixes of synthesised addresses.
    pub prefixes: Vec<String>,
    /// AAAA records inside these prefixes count as absent, beside those in ::ffff:0:0/96.
    pub exclude: Vec<String>,
    /// `synthesise` or `pass`.
    pub failures: String,
    /// The networks whose clients get answers; without any, those of this host.
    pub clients: Vec<String>,
    /// Networks whose clients get addresses in one prefix alone.
    pub client_prefixes: Vec<NativeClientPrefix>,
    /// Queries of a client per second over UDP; 0 is no limit.
    pub max_rate_per_client: u32,
}

/// The prefix of a network's clients.
#[napi(object)]
pub struct NativeClientPrefix {
    /// The network.
    pub clients: String,
    /// The prefix. While it is not one of `prefixes`, these clients get no addresses.
    pub prefix: String,
}

/// The faults that may wait for JavaScript. More are lost.
const WAITING: usize = 100;

/// The relays that clients reach synthesised addresses by. They are not kept open.
#[derive(Default)]
struct Relays(RwLock<Vec<Weak<Relay>>>);

impl Relays {
    /// Returns true if one of the relays that take connections fits.
    fn any(&self, fits: impl Fn(&Relay) -> bool) -> bool {
        let relays = self.0.read();
        relays.iter().filter_map(Weak::upgrade).any(|relay| relay.accepts() && fits(&relay))
    }
}

/// The state of this process and of its host on which answers depend.
struct Host {
    relays: Relays,
    networks: LocalNetworks,
    faults: Batch<Fault, Vec<NativeDns64Fault>>,
}

impl Gate for Host {
    fn is_open(&self) -> bool {
        faith_stack::keepfaith() && self.relays.any(|_| true)
    }

    fn permits(&self, client: IpAddr, address: Ipv6Addr) -> bool {
        let client = match client {
            IpAddr::V6(client) => client,
            // The IPv6 address of this client is unknown: rules for every client are for this one too.
            IpAddr::V4(client) => client.to_ipv6_mapped(),
        };
        self.relays.any(|relay| relay.permits_any_port(client, address))
    }

    fn is_local(&self, client: IpAddr) -> bool {
        self.networks.contains(client)
    }

    fn warn_of(&self, fault: Fault) {
        self.faults.push_within(WAITING, fault);
    }

    fn gave(&self, client: IpAddr, name: &str, addresses: &[Ipv6Addr], ttl: u32) {
        // Sessions have IPv6 clients. The IPv6 address of another one is unknown.
        if let IpAddr::V6(client) = client {
            names::remember(client, name, addresses, Duration::from_secs(ttl.into()));
        }
    }
}

/// A DNS server.
#[napi]
pub struct NativeDns64 {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    host: Arc<Host>,
    state: Arc<Mutex<State>>,
}

enum State {
    Open {
        server: Server,
        /// Dropped at the close: the callback holds the JavaScript object that holds the server.
        asking: Option<Arc<Asking>>,
    },
    Closed(Stats, Vec<UpstreamState>),
}

/// Binds the sockets, and starts the server. Until [`follow`](NativeDns64::follow) is called, it synthesises nothing.
/// `onFaults` may be called before the promise resolves. With `onQueries`, JavaScript answers queries by
/// [`answer`](NativeDns64::answer).
///
/// # Errors
/// The environment is closing. The promise resolves to every other failure.
#[napi(
    ts_args_type = "options: NativeDns64Options, onFaults: (batch: NativeDns64Fault[]) => void, onQueries?: (batch: NativeQuery[]) => void",
    ts_return_type = "Promise<NativeFailure | NativeDns64>"
)]
pub fn start_dns64<'env>(
    env: &'env Env,
    options: NativeDns64Options,
    on_faults: Function<'_, Vec<NativeDns64Fault>, ()>,
    on_queries: Option<Function<'_, Vec<NativeQuery>, ()>>,
) -> napi::Result<PromiseRaw<'env, Outcome<NativeDns64>>> {
    let faults = Batch::new(&on_faults, |faults: Vec<Fault>| faults.into_iter().map(Into::into).collect())?;
    let asking = on_queries.as_ref().map(Asking::new).transpose()?;
    env.spawn_future(blocking(move || {
        let upstreams: Vec<Upstream> = parse_each("upstreams", &options.upstreams)?;
        let given = ServerOptions {
            listen: parse_each("listen", &options.listen)?,
            certificate: options.certificate.as_ref().map(certificate).transpose()?,
            tls_port: options.tls_port,
            all_servers: options.all_servers,
            cache_bytes: usize::try_from(options.cache_bytes).unwrap_or(usize::MAX),
            upstreams: if upstreams.is_empty() { Upstreams::default() } else { Upstreams::Given(upstreams) },
            hook: asking.as_ref().map(|asking| hook(&options, asking)).transpose()?,
            ..ServerOptions::default()
        };
        let host = Arc::new(Host { relays: Relays::default(), networks: LocalNetworks::follow()?, faults });
        let server = Server::start(given, Arc::<Host>::clone(&host) as _).map_err(failure)?;
        let (addresses, tls_addresses) = (server.addresses().to_vec(), server.tls_addresses().to_vec());
        let state = Arc::new(Mutex::new(State::Open { server, asking }));
        Ok(NativeDns64 { addresses, tls_addresses, host, state })
    }))
}

fn hook(options: &NativeDns64Options, asking: &Arc<Asking>) -> Result<Hook, NativeFailure> {
    Ok(Hook {
        resolve: Arc::<Asking>::clone(asking) as _,
        names: parse_each("resolveNames", &options.resolve_names)?,
        timeout: Duration::from_millis(options.resolve_timeout_ms.into()),
    })
}

#[napi]
impl NativeDns64 {
    /// The addresses that the server answers at, as `[::]:53`.
    #[napi]
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }

    /// The addresses that the server answers at over TLS, as `[::]:853`.
    #[napi]
    #[must_use]
    pub fn tls_addresses(&self) -> Vec<String> {
        self.tls_addresses.iter().map(ToString::to_string).collect()
    }

    /// Answers with another certificate from now on, over TLS. Connections that are open keep theirs.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn renew(&self, given: NativeCertificate) -> Option<NativeFailure> {
        match certificate(&given) {
            Ok(certificate) => {
                if let State::Open { server, .. } = &*self.state.lock() {
                    server.renew(certificate);
                }
                None
            }
            Err(failure) => Some(failure),
        }
    }

    /// Reads the root certificates again, by which new connections to upstreams over TLS are trusted. Resolves to true if
    /// they have changed.
    ///
    /// # Errors
    /// The environment is closing. The promise resolves to every other failure.
    #[napi(ts_return_type = "Promise<NativeFailure | boolean>")]
    pub fn renew_roots<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, Outcome<bool>>> {
        let roots = match &*self.state.lock() {
            State::Open { server, .. } => Some(server.roots()),
            State::Closed(..) => None,
        };
        env.spawn_future(blocking(move || {
            roots.map_or(Ok(false), |roots| roots.renew()).map_err(|error| without_roots(&error.to_string()))
        }))
    }

    /// Synthesises by these settings for the clients of these relays from now on. The first relay that takes connections
    /// says how addresses are made. With `known`, refuses prefixes of clients that are not among `prefixes`.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn follow(
        &self,
        settings: NativeSynthesis,
        relays: Vec<ClassInstance<'_, NativeRelay>>,
        known: bool,
    ) -> Option<NativeFailure> {
        let relays: Vec<Arc<Relay>> = relays.iter().filter_map(|relay| relay.relay()).collect();
        let mappings = relays.iter().find(|relay| relay.accepts()).map(|relay| relay.mappings());
        let (synthesis, limits, clients) = match wanted(&settings, mappings.unwrap_or_default(), known) {
            Ok(wanted) => wanted,
            Err(failure) => return Some(failure),
        };
        *self.host.relays.0.write() = relays.iter().map(Arc::downgrade).collect();
        if let State::Open { server, .. } = &*self.state.lock() {
            server.update(synthesis, limits, clients);
        }
        None
    }

    /// Answers a query of `onQueries`. Without an answer, its client gets SERVFAIL.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn answer(&self, id: f64, answer: Option<NativeAnswer>) -> Option<NativeFailure> {
        let asking = match &*self.state.lock() {
            State::Open { asking, .. } => asking.clone()?,
            State::Closed(..) => return None,
        };
        asking.answer(id, answer.as_ref()).err()
    }

    /// The counters. Those of a closed server stay as they were.
    #[napi]
    #[must_use]
    pub fn stats(&self) -> NativeDns64Stats {
        match &*self.state.lock() {
            State::Open { server, .. } => server.stats().into(),
            State::Closed(stats, _) => (*stats).into(),
        }
    }

    /// The upstreams that are named now, in their order. Those of a closed server stay as they were.
    #[napi]
    #[must_use]
    pub fn upstreams(&self) -> Vec<NativeDns64Upstream> {
        let upstreams = match &*self.state.lock() {
            State::Open { server, .. } => server.upstreams(),
            State::Closed(_, upstreams) => upstreams.clone(),
        };
        upstreams.into_iter().map(Into::into).collect()
    }

    /// Closes the sockets, and ends the server's thread.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        let state = Arc::clone(&self.state);
        let close = move || {
            let mut state = state.lock();
            if let State::Open { server, .. } = &*state {
                // Dropping the server waits for its thread.
                let closed = State::Closed(server.stats(), server.upstreams());
                *state = closed;
            }
        };
        spawn_blocking(close).await.map_err(|error| napi::Error::from_reason(error.to_string()))
    }
}

fn certificate(given: &NativeCertificate) -> Result<Certificate, NativeFailure> {
    Certificate::read(given.chain.as_bytes(), given.key.as_bytes())
        .map_err(|error| NativeFailure::new("ERR_FAITH_ARGUMENT", format!("certificate: {error}")))
}

fn wanted(
    settings: &NativeSynthesis,
    mappings: Mappings,
    known: bool,
) -> Result<(Options, Limits, ClientNetworks), NativeFailure> {
    let defaults = Options::default();
    let prefixes: Vec<FaithPrefix> =
        settings.prefixes.iter().map(|text| options::prefix(text)).collect::<Result<_, _>>()?;
    let of_clients = settings.client_prefixes.iter().map(|of| prefix_of_clients(of, &prefixes, known));
    let of_clients = of_clients.collect::<Result<_, _>>()?;
    let mut exclude = defaults.exclude;
    exclude.extend(parse_each::<Ipv6Prefix>("exclude", &settings.exclude)?);
    let failures = options::one_of(
        "failures",
        &settings.failures,
        &[("synthesise", Failures::Synthesise), ("pass", Failures::Pass)],
    )?;
    let limits = Limits { rate: settings.max_rate_per_client, ..Limits::default() };
    let clients =
        ClientNetworks { admitted: parse_each("clients", &settings.clients)?, prefixes: of_clients };
    Ok((Options { prefixes, mappings, exclude, failures }, limits, clients))
}

/// Reads a network and its prefix. Gives no prefix where the interface does not have it, unless `known` refuses that.
fn prefix_of_clients(
    NativeClientPrefix { clients, prefix }: &NativeClientPrefix,
    prefixes: &[FaithPrefix],
    known: bool,
) -> Result<(Ipv6Prefix, Vec<FaithPrefix>), NativeFailure> {
    let wrong = |message| NativeFailure::new("ERR_FAITH_ARGUMENT", message);
    let network = clients
        .parse()
        .map_err(|error| wrong(format!("clientPrefixes: clients `{}`: {error}", excerpt(clients))))?;
    let prefix = options::prefix(prefix)?;
    let is_own = prefixes.contains(&prefix);
    if known && !is_own {
        return Err(wrong(format!("clientPrefixes: the interface does not have {prefix}")));
    }
    Ok((network, if is_own { vec![prefix] } else { Vec::new() }))
}

fn without_roots(text: &str) -> NativeFailure {
    let remedy = "install ca-certificates, or name a file with roots by SSL_CERT_FILE";
    NativeFailure::new("ERR_FAITH_SYSTEM", format!("{text}; {remedy}"))
}

fn failure(error: ServerError) -> NativeFailure {
    let text = error.to_string();
    let (what, syscall, source) = match error {
        ServerError::Unreachable(_) => {
            let remedy = "put an address in the place of the name, and the name behind #";
            return NativeFailure::new("ERR_FAITH_ARGUMENT", format!("{text}; {remedy}"));
        }
        ServerError::NoRoots(_) => return without_roots(&text),
        ServerError::Listen { address, protocol, error } => {
            (format!("answer DNS queries at {address} over {protocol}"), "bind", error)
        }
        ServerError::Thread(error) => ("start the thread of the DNS server".to_owned(), "clone", error),
    };
    let hint = match source.kind() {
        ErrorKind::AddrInUse => {
            Some("another DNS server has this address: stop that one, or name another address or port")
        }
        ErrorKind::AddrNotAvailable => Some("name an address of this host"),
        ErrorKind::PermissionDenied => Some("run as root, or give CAP_NET_BIND_SERVICE"),
        _ => None,
    };
    StackError::System { what, syscall, source, hint }.into()
}
