//! The records of a relay's sessions and refusals, on their way to JavaScript.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use faith_log::Log;
use faith_relay::{Cause, Observer, PortBlockRecord, RefusalRecord, RelayStats, SessionBegin, SessionRecord};
use faith_sys::tcp::Resource;
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::batch::Batch;
use crate::connection::NativeConnection;
use crate::options::NativeRelayOptions;
use crate::permission::NativeRule;
use crate::route::NativeQuestion;
use crate::shortage::{NativeShortage, ShortageBatch};
use crate::stats::{milliseconds, number};

/// Records of each kind that may wait for the event loop. Further ones are counted as untold and dropped.
const WAITING: usize = 65_536;

/// A session that ended.
#[napi(object)]
pub struct NativeSession {
    /// Unique within the relay.
    pub id: f64,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The client's address.
    pub client: String,
    /// The client's port.
    pub client_port: u16,
    /// The address that the client dialled.
    pub destination: String,
    /// The port that the client dialled.
    pub destination_port: u16,
    /// The server's address.
    pub server: Option<String>,
    /// The server's port.
    pub server_port: Option<u16>,
    /// Bytes from the client to the server.
    pub bytes_up: f64,
    /// Bytes from the server to the client.
    pub bytes_down: f64,
    /// Time at which its attempt began, in milliseconds since 1970.
    pub started_at_ms: f64,
    /// Time from then to its end, in milliseconds.
    pub duration_ms: f64,
    /// The reason for its end.
    pub reason: String,
    /// The cause, if it was aborted and the cause is known.
    pub cause: Option<String>,
    /// The mark that the verdict gave it.
    pub tag: Option<String>,
    /// The name for which the client got the dialled address, if a DNS server of this process gave it.
    pub name: Option<String>,
}

/// An attempt that ended without a session.
#[napi(object)]
pub struct NativeRefusal {
    /// Unique within the relay, also among sessions.
    pub id: f64,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The client's address.
    pub client: String,
    /// The client's port.
    pub client_port: u16,
    /// The address that the client dialled.
    pub destination: String,
    /// The port that the client dialled.
    pub destination_port: u16,
    /// The server's address, if a server was decided.
    pub server: Option<String>,
    /// The server's port, likewise.
    pub server_port: Option<u16>,
    /// Time at which it began, in milliseconds since 1970.
    pub started_at_ms: f64,
    /// Time from then to its end, in milliseconds.
    pub duration_ms: f64,
    /// The reason for the refusal.
    pub reason: String,
    /// The cause, if the reason leaves it open.
    pub cause: Option<String>,
    /// The rule that denied it, if one did.
    pub rule: Option<NativeRule>,
    /// The kernel's errno, if it reported one, negative as in Node.
    pub errno: Option<i32>,
    /// The mark that the verdict gave it.
    pub tag: Option<String>,
}

type Sessions = Batch<SessionRecord, Vec<NativeSession>>;
type Refusals = Batch<RefusalRecord, Vec<NativeRefusal>>;

/// The functions that a relay calls. It asks `onQuestions` only if `onWithdrawn` is given too.
#[napi(object, object_to_js = false)]
pub struct NativeRelayCallbacks<'scope> {
    /// Gets the sessions that have ended.
    #[napi(ts_type = "(batch: NativeSession[]) => void")]
    pub on_sessions: Option<Function<'scope, Vec<NativeSession>, ()>>,
    /// Gets the attempts that ended without a session.
    #[napi(ts_type = "(batch: NativeRefusal[]) => void")]
    pub on_refusals: Option<Function<'scope, Vec<NativeRefusal>, ()>>,
    /// Gets questions about connections, which `NativeRelay.answer` answers.
    #[napi(ts_type = "(batch: NativeQuestion[]) => void")]
    pub on_questions: Option<Function<'scope, Vec<NativeQuestion>, ()>>,
    /// Gets the ids of questions that no longer need an answer.
    #[napi(ts_type = "(ids: number[]) => void")]
    pub on_withdrawn: Option<Function<'scope, Vec<f64>, ()>>,
    /// Gets the connections that JavaScript serves itself.
    #[napi(ts_type = "(batch: NativeConnection[]) => void")]
    pub on_connections: Option<Function<'scope, Vec<NativeConnection>, ()>>,
    /// Gets the resources that this host lacks, each at most once a minute.
    #[napi(ts_type = "(batch: NativeShortage[]) => void")]
    pub on_shortages: Option<Function<'scope, Vec<NativeShortage>, ()>>,
}

/// The settings of reports, which an update of the relay changes.
#[derive(Debug, Default)]
pub(crate) struct TellingSettings {
    /// JavaScript listens to ends.
    pub(crate) tells: AtomicBool,
    /// Length of the IPv6 prefix that counts as one client.
    pub(crate) client_prefix_length: AtomicU8,
    /// The most sessions at once; 0 is no limit.
    max_sessions: AtomicU32,
    /// The most sessions of a client at once; 0 is no limit.
    max_sessions_per_client: AtomicU32,
    /// The most mappings of datagrams at once, and of a client; 0 is no limit.
    max_mappings: AtomicU32,
    max_mappings_per_client: AtomicU32,
}

impl TellingSettings {
    pub(crate) fn set(&self, options: &NativeRelayOptions) {
        self.tells.store(options.session_events, Ordering::Relaxed);
        self.client_prefix_length.store(options.client_prefix_length, Ordering::Relaxed);
        self.max_sessions.store(options.max_sessions, Ordering::Relaxed);
        self.max_sessions_per_client.store(options.max_sessions_per_client, Ordering::Relaxed);
        let of_client = options.udp.as_ref().map_or(0, |udp| udp.max_mappings_per_client);
        self.max_mappings_per_client.store(of_client, Ordering::Relaxed);
    }

    /// Notes the limits that a relay has, which may be below those that it was given.
    pub(crate) fn limit(&self, stats: &RelayStats) {
        self.max_sessions.store(stats.max_sessions.unwrap_or(0), Ordering::Relaxed);
        let mappings = stats.udp.as_ref().map_or(0, |udp| udp.max_mappings);
        self.max_mappings.store(mappings, Ordering::Relaxed);
    }

    /// The limit that was reached, if one of sessions or mappings was.
    fn limit_of(&self, refusal: &RefusalRecord) -> Option<u32> {
        let limit = match refusal.cause? {
            Cause::MaxSessions => &self.max_sessions,
            Cause::MaxSessionsPerClient => &self.max_sessions_per_client,
            Cause::MaxMappings => &self.max_mappings,
            Cause::MaxMappingsPerClient => &self.max_mappings_per_client,
            _ => return None,
        };
        Some(limit.load(Ordering::Relaxed))
    }
}

/// Passes the reports of a relay to its callbacks, and to the log if it has one.
pub(crate) struct Telling {
    settings: Arc<TellingSettings>,
    log: Option<Arc<Log>>,
    sessions: Option<Sessions>,
    refusals: Option<Refusals>,
    shortages: Option<ShortageBatch>,
}

impl Telling {
    /// Reports to these callbacks and this log; `None` if there is none of either.
    pub(crate) fn observer(
        callbacks: &NativeRelayCallbacks<'_>,
        log: Option<Arc<Log>>,
        settings: &Arc<TellingSettings>,
    ) -> napi::Result<Option<Arc<dyn Observer>>> {
        let sessions = callbacks
            .on_sessions
            .as_ref()
            .map(|callback| {
                Batch::new(callback, |records: Vec<SessionRecord>| records.into_iter().map(session).collect())
            })
            .transpose()?;
        let refusals = callbacks
            .on_refusals
            .as_ref()
            .map(|callback| {
                Batch::new(callback, |records: Vec<RefusalRecord>| records.into_iter().map(refusal).collect())
            })
            .transpose()?;
        let shortages = callbacks.on_shortages.as_ref().map(ShortageBatch::new).transpose()?;
        let hears = sessions.is_some() || shortages.is_some() || log.is_some();
        let telling = Self { settings: Arc::clone(settings), log, sessions, refusals, shortages };
        Ok(hears.then(|| -> Arc<dyn Observer> { Arc::new(telling) }))
    }

    /// The batch, while JavaScript listens.
    fn of_ends<'a, B>(&self, batch: Option<&'a B>) -> Option<&'a B> {
        batch.filter(|_| self.settings.tells.load(Ordering::Relaxed))
    }

    /// The log, while it takes records.
    fn log(&self) -> Option<&Log> {
        self.log.as_deref().filter(|log| log.takes_records())
    }
}

impl Observer for Telling {
    fn ended(&self, record: SessionRecord) -> bool {
        match (self.log(), self.of_ends(self.sessions.as_ref())) {
            (None, None) => true,
            (Some(log), None) => {
                log.session(record);
                true
            }
            (log, Some(sessions)) => {
                if let Some(log) = log {
                    log.session(record.clone());
                }
                sessions.push_within(WAITING, record)
            }
        }
    }

    fn refused(&self, record: RefusalRecord) -> bool {
        match (self.log(), self.of_ends(self.refusals.as_ref())) {
            (None, None) => true,
            (Some(log), None) => {
                let limit = self.settings.limit_of(&record);
                log.refusal(record, limit);
                true
            }
            (log, Some(refusals)) => {
                if let Some(log) = log {
                    log.refusal(record.clone(), self.settings.limit_of(&record));
                }
                refusals.push_within(WAITING, record)
            }
        }
    }

    fn passed_over(&self, refusal: &RefusalRecord) {
        if let Some(log) = self.log() {
            log.sum(refusal, self.settings.client_prefix_length.load(Ordering::Relaxed));
        }
    }

    fn follows_begins(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.takes_begins())
    }

    fn follows_sources(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.takes_sources())
    }

    fn began(&self, session: SessionBegin) {
        if let Some(log) = &self.log {
            log.begin(session);
        }
    }

    fn port_block(&self, block: PortBlockRecord) {
        if let Some(log) = &self.log {
            log.port_block(block);
        }
    }

    fn exhausted(&self, what: Resource, error: &io::Error) {
        if let Some(shortages) = &self.shortages {
            shortages.exhausted(what, error);
        }
    }

    fn unusable_source(&self, source: IpAddr, error: &io::Error) {
        if let Some(shortages) = &self.shortages {
            shortages.unusable_source(source, error);
        }
    }
}

fn session(record: SessionRecord) -> NativeSession {
    NativeSession {
        id: number(record.id),
        protocol: record.protocol.name().to_owned(),
        client: record.client.ip().to_string(),
        client_port: record.client.port(),
        destination: record.destination.ip().to_string(),
        destination_port: record.destination.port(),
        server: record.server.map(|server| server.ip().to_string()),
        server_port: record.server.as_ref().map(SocketAddr::port),
        bytes_up: number(record.bytes_up),
        bytes_down: number(record.bytes_down),
        started_at_ms: record.started.duration_since(UNIX_EPOCH).map_or(0.0, milliseconds),
        duration_ms: milliseconds(record.duration),
        reason: record.reason.name().to_owned(),
        cause: record.cause.map(|cause| cause.name().to_owned()),
        tag: record.tag.as_deref().map(str::to_owned),
        name: record.name.as_deref().map(str::to_owned),
    }
}

fn refusal(record: RefusalRecord) -> NativeRefusal {
    NativeRefusal {
        id: number(record.id),
        protocol: record.protocol.name().to_owned(),
        client: record.client.ip().to_string(),
        client_port: record.client.port(),
        destination: record.destination.ip().to_string(),
        destination_port: record.destination.port(),
        server: record.server.map(|server| server.ip().to_string()),
        server_port: record.server.as_ref().map(SocketAddr::port),
        started_at_ms: record.started.duration_since(UNIX_EPOCH).map_or(0.0, milliseconds),
        duration_ms: milliseconds(record.duration),
        reason: record.reason.name().to_owned(),
        cause: record.cause.map(|cause| cause.name().to_owned()),
        rule: record.rule.and_then(|rule| rule.written()).map(Into::into),
        errno: record.errno.map(i32::wrapping_neg),
        tag: record.tag.as_deref().map(str::to_owned),
    }
}
