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
    what: What,
}

impl Warning {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &self.what {
            What::NoShortcut(_) => "shortcut-unavailable",
            What::NoSteering(_) => "steering-unavailable",
            What::NoSpread(_) => "queues-unavailable",
            What::NotBatched(_) => "batches-unavailable",
            What::NoSplice(_) => "splice-unavailable",
            What::ShortcutLost(_) => "shortcut-lost",
            What::ShortcutStuck { .. } => "shortcut-stuck",
            What::SteeringStuck(_) => "steering-stuck",
            What::RoutesLost { .. } => "routes-lost",
            What::RoutesRestored(_) => "routes-restored",
            What::RoutesContested(_) => "routes-contested",
            What::Unwatched(_) => "watch-lost",
            What::Watched => "watch-restored",
            What::ConnectionsUnknown(_) => "connections-unknown",
            What::ClientsUntold(_) => "clients-untold",
            What::WorkerStuck { .. } => "worker-stuck",
            What::WorkerRuns { .. } => "worker-runs",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.interface)?;
        match &self.what {
            What::NoShortcut(why) => {
                write!(f, "there is no shortcut, so every packet goes through this process: {why}")
            }
            What::NoSteering(why) => write!(
                f,
                "listeners of several ports are made on demand, so the first connection to a port waits: {why}"
            ),
            What::NoSpread(why) => {
                write!(f, "the kernel spreads packets over the workers without faithd's program: {why}")
            }
            What::NotBatched(error) => {
                write!(f, "workers keep the ordinary scheduling policy, not SCHED_BATCH: {error}")
            }
            What::NoSplice(error) => write!(
                f,
                "splice(2) is refused, perhaps by a seccomp filter: {error}; the relay copies bulk instead, which takes \
                 more processor time"
            ),
            What::ShortcutLost(why) => {
                write!(f, "the shortcut is disabled, so every packet goes through this process: {why}")
            }
            What::ShortcutStuck { what, error } => write!(f, "cannot {what} the shortcut: {error}"),
            What::SteeringStuck(error) => {
                write!(f, "the kernel still steers connections to a closed listener: {error}")
            }
            What::RoutesLost { prefixes, why } => {
                write!(f, "the host no longer routes {} here: {why}", list(prefixes))
            }
            What::RoutesRestored(prefixes) => {
                write!(f, "the host routes {} here again", list(prefixes))
            }
            What::RoutesContested(pause) => write!(
                f,
                "another program deletes the routes as often as faithd puts them back; faithd waits {} s: stop that \
                 program, or route by hand (routes: false, --no-routes)",
                pause.as_secs()
            ),
            What::Unwatched(error) => write!(
                f,
                "cannot follow the host's addresses, links and routes: {error}; until it can, faithd takes every \
                 address for the host's own and denies it"
            ),
            What::Watched => f.write_str("faithd follows the host's addresses, links and routes again"),
            What::ConnectionsUnknown(error) => write!(
                f,
                "cannot list the connections that end: {error}; clients may be cut off without a reset"
            ),
            What::ClientsUntold(why) => write!(
                f,
                "the interface was deleted, and its clients get no reset, which needs CAP_NET_RAW: {why}"
            ),
            What::WorkerStuck { worker, waited } => {
                write!(
                    f,
                    "worker {worker} has done nothing for more than {} s although work waits",
                    waited.as_secs()
                )
            }
            What::WorkerRuns { worker } => write!(f, "worker {worker} works again"),
        }
    }
}

/// The kinds of warnings.
#[derive(Debug, Clone)]
pub(crate) enum What {
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

    pub(crate) fn send(&self, what: What) {
        if let Some(callback) = &*self.callback() {
            callback(Warning { interface: Arc::clone(&self.interface), what });
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
