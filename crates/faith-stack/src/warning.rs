//! Warnings: the interface goes on, but without something that was asked for or that worked before.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::prefix::FaithPrefix;
use parking_lot::{Mutex, MutexGuard};

/// Called with every warning, from any thread of the interface. It must not block.
pub type WarningCallback = Box<dyn Fn(Warning) + Send + Sync>;

/// A change of an interface that goes on. [`code`](Self::code) is stable: programs test it; the message is for people.
#[derive(Debug, Clone)]
pub struct Warning {
    interface: Arc<str>,
    kind: Kind,
}

impl Warning {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.kind {
            Kind::NoShortcut(_) => "shortcut-unavailable",
            Kind::NoSteering(_) => "steering-unavailable",
            Kind::NoSpread(_) => "queues-unavailable",
            Kind::NotBatched(_) => "batches-unavailable",
            Kind::NoSplice(_) => "splice-unavailable",
            Kind::ShortcutLost(_) => "shortcut-lost",
            Kind::ShortcutStuck { .. } => "shortcut-stuck",
            Kind::SteeringStuck(_) => "steering-stuck",
            Kind::RoutesLost { .. } => "routes-lost",
            Kind::RoutesRestored(_) => "routes-restored",
            Kind::RoutesContested(_) => "routes-contested",
            Kind::Unwatched(_) => "watch-lost",
            Kind::Watched => "watch-restored",
            Kind::ConnectionsUnknown(_) => "connections-unknown",
            Kind::ClientsUntold(_) => "clients-untold",
            Kind::ServersUntold(_) => "servers-untold",
            Kind::NoSuperframes(_) => "superframes-refused",
            Kind::NoEcho(_) => "echo-unavailable",
            Kind::WorkerStuck { .. } => "worker-stuck",
            Kind::WorkerRuns { .. } => "worker-runs",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.interface)?;
        match &self.kind {
            Kind::NoShortcut(why) => {
                write!(f, "there is no shortcut, so every packet goes through this process: {why}")
            }
            Kind::NoSteering(why) => write!(
                f,
                "listeners of several ports are made on demand, so the first connection to a port waits: {why}"
            ),
            Kind::NoSpread(why) => {
                write!(f, "the kernel spreads packets over the workers without faithd's program: {why}")
            }
            Kind::NotBatched(error) => {
                write!(f, "workers keep the ordinary scheduling policy, not SCHED_BATCH: {error}")
            }
            Kind::NoSplice(error) => write!(
                f,
                "splice(2) is refused, perhaps by a seccomp filter: {error}; the relay copies bulk instead, which takes \
                 more processor time"
            ),
            Kind::ShortcutLost(why) => {
                write!(f, "the shortcut is disabled, so every packet goes through this process: {why}")
            }
            Kind::ShortcutStuck { what, error } => write!(f, "cannot {what} the shortcut: {error}"),
            Kind::SteeringStuck(error) => {
                write!(f, "the kernel still steers connections to a closed listener: {error}")
            }
            Kind::RoutesLost { prefixes, why } => {
                write!(f, "the host no longer routes {} here: {why}", list(prefixes))
            }
            Kind::RoutesRestored(prefixes) => {
                write!(f, "the host routes {} here again", list(prefixes))
            }
            Kind::RoutesContested(pause) => write!(
                f,
                "another program deletes the routes as often as faithd puts them back; faithd waits {} s: stop that \
                 program, or start faithd with --no-routes and route by hand (in a program: routes: false)",
                pause.as_secs()
            ),
            Kind::Unwatched(error) => write!(
                f,
                "cannot follow the host's addresses, links and routes: {error}; until it can, faithd takes every \
                 address for the host's own and denies it"
            ),
            Kind::Watched => f.write_str("faithd follows the host's addresses, links and routes again"),
            Kind::ConnectionsUnknown(error) => write!(
                f,
                "cannot list the connections that end: {error}; clients may be cut off without a reset"
            ),
            Kind::ClientsUntold(why) => write!(
                f,
                "the interface was deleted, and its clients get no reset, which needs CAP_NET_RAW: {why}"
            ),
            Kind::ServersUntold(error) => write!(
                f,
                "servers do not learn of clients' errors about datagrams, which needs CAP_NET_RAW: {error}"
            ),
            Kind::NoSuperframes(why) => write!(
                f,
                "the way to a server takes no superframes of datagrams: {why}; the relay sends datagrams on such ways one \
                 by one, which takes more processor time"
            ),
            Kind::NoEcho(error) => write!(
                f,
                "pings get no answer, because this process has neither CAP_NET_RAW nor a group in \
                 net.ipv4.ping_group_range: {error}"
            ),
            Kind::WorkerStuck { worker, waited } => {
                write!(
                    f,
                    "worker {worker} has done nothing for more than {} s although work waits",
                    waited.as_secs()
                )
            }
            Kind::WorkerRuns { worker } => write!(f, "worker {worker} works again"),
        }
    }
}

/// The kinds of warnings.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    NoShortcut(String),
    NoSteering(String),
    NoSpread(String),
    NotBatched(Arc<io::Error>),
    NoSplice(Arc<io::Error>),
    ShortcutLost(&'static str),
    ShortcutStuck { what: String, error: Arc<io::Error> },
    SteeringStuck(String),
    RoutesLost { prefixes: Vec<FaithPrefix>, why: String },
    RoutesRestored(Vec<FaithPrefix>),
    RoutesContested(Duration),
    Unwatched(Arc<io::Error>),
    Watched,
    ConnectionsUnknown(Arc<io::Error>),
    ClientsUntold(String),
    ServersUntold(Arc<io::Error>),
    NoSuperframes(String),
    NoEcho(Arc<io::Error>),
    WorkerStuck { worker: usize, waited: Duration },
    WorkerRuns { worker: usize },
}

/// Sends the warnings of an interface's threads to its owner.
#[derive(Clone)]
pub(crate) struct Warnings {
    interface: Arc<str>,
    /// `None` once the interface is closed.
    callback: Arc<Mutex<Option<WarningCallback>>>,
}

impl Warnings {
    pub(crate) fn new(interface: &str, callback: WarningCallback) -> Self {
        Self { interface: interface.into(), callback: Arc::new(Mutex::new(Some(callback))) }
    }

    pub(crate) fn send(&self, kind: Kind) {
        if let Some(callback) = &*self.callback() {
            callback(Warning { interface: Arc::clone(&self.interface), kind });
        }
    }

    /// Drops the callback, and the values that it keeps alive.
    pub(crate) fn end(&self) {
        let callback = self.callback().take();
        drop(callback);
    }

    fn callback(&self) -> MutexGuard<'_, Option<WarningCallback>> {
        self.callback.lock()
    }
}

fn list(prefixes: &[FaithPrefix]) -> String {
    prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
