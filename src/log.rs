//! The log of faithd.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use faith_log::ipfix::{Collector, Counts};
use faith_log::{Address, Form, Level, Log, Settings, StartError, Target};
use faith_stack::StackError;
use faith_sys::users;
use napi_derive::napi;

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::options;
use crate::stats::number;

/// The facility `daemon` (RFC 5424 section 6.2.1).
const DAEMON: u8 = 3;

/// The place that a log goes to.
#[napi(object, object_to_js = false)]
pub struct NativeLogTarget {
    /// `stderr`, `file`, `journal` or `syslog`.
    pub kind: String,
    /// The path of the file, or of the Unix socket of syslog.
    pub path: Option<String>,
    /// The address and port of syslog, instead of the path: `198.51.100.2:514`.
    pub address: Option<String>,
    /// The facility of syslog, from 0 to 23; by default 3, `daemon`.
    pub facility: Option<u32>,
    /// The private enterprise number of the facts in syslog; without, messages have none.
    pub enterprise: Option<u32>,
    /// The user that gets a file that is created.
    pub owner: Option<String>,
}

/// Settings of the log.
#[napi(object, object_to_js = false)]
pub struct NativeLogSettings {
    /// Lines of JSON instead of text.
    pub json: bool,
    /// Colours in text.
    pub colours: bool,
    /// Sessions and refusals have lines.
    pub records: bool,
    /// Sessions have records when they begin, too.
    pub begins: bool,
    /// Sessions have records.
    pub sessions: bool,
    /// Records of sessions and refusals have the dialled address and the server.
    pub destinations: bool,
    /// Lines of sessions have the source of the connection to the server.
    pub sources: bool,
    /// Lost records of the collector have lines.
    pub errors: bool,
    /// The collector of records.
    pub collector: Option<NativeCollector>,
}

/// A collector of IPFIX.
#[napi(object, object_to_js = false)]
pub struct NativeCollector {
    /// Its address.
    pub address: String,
    /// Its UDP port.
    pub port: u16,
    /// The observation domain.
    pub domain: u32,
    /// The templates are sent again after this time, in milliseconds.
    pub template_interval_ms: u32,
}

/// Records of the collector so far.
#[napi(object, object_from_js = false)]
pub struct NativeExported {
    /// Records that were sent.
    pub sent: f64,
    /// Records that were lost, as far as the kernel knows.
    pub lost: f64,
}

/// Writes lines to the place that [`open_log`] was given; see [`Log`]. Relays that were opened with it write theirs too.
#[napi]
pub struct NativeLog {
    log: Arc<Log>,
}

impl NativeLog {
    pub(crate) fn share(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }
}

#[napi]
impl NativeLog {
    /// Changes the settings, for lines that are not yet written too.
    ///
    /// # Errors
    /// The address of the collector is none. The thread that sends to it cannot be started.
    #[napi]
    pub fn configure(&self, settings: NativeLogSettings) -> napi::Result<()> {
        let NativeLogSettings {
            json,
            colours,
            records,
            begins,
            sessions,
            destinations,
            sources,
            errors,
            collector,
        } = settings;
        let form = match (json, colours) {
            (true, _) => Form::Json,
            (false, true) => Form::ColouredText,
            (false, false) => Form::Text,
        };
        self.log.set(Settings { form, records, begins, sessions, destinations, sources, errors });
        let collector = collector.map(|given| collector_of(&given, destinations)).transpose()?;
        self.log.exporter().set(collector).map_err(|error| {
            let error = StackError::threads("start the thread that sends records", error);
            let hint = error.hint().unwrap_or_default();
            napi::Error::from_reason(format!("{error}; {hint}"))
        })
    }

    /// The records of the collector so far.
    #[napi]
    #[must_use]
    pub fn exported(&self) -> NativeExported {
        let Counts { sent, lost } = self.log.exporter().counts();
        NativeExported { sent: number(sent), lost: number(lost) }
    }

    /// Writes a line. `level` is `fatal`, `error`, `warn`, `info` or `debug`; `facts` is an object of JSON.
    #[napi]
    pub fn write(&self, level: String, facts: String, message: String) {
        let known = Level::ALL.into_iter().find(|known| known.name() == level);
        self.log.say(known.unwrap_or(Level::Info), facts, message);
    }

    /// Writes the sums of the refusals that got no line, before their time.
    #[napi]
    pub fn tell_sums(&self) {
        self.log.tell_sums();
    }

    /// Opens the file of the log again, and writes a line about that; returns before.
    #[napi]
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// The reason why no line can be written now, in a sentence.
    #[napi]
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.log.trouble()
    }

    /// The number of lines that were lost so far.
    #[napi]
    #[must_use]
    pub fn lines_lost(&self) -> f64 {
        number(self.log.lost_in_all())
    }

    /// The number of refusals so far that only sums tell.
    #[napi]
    #[must_use]
    pub fn refusals_summed(&self) -> f64 {
        number(self.log.summed())
    }

    /// Waits until all lines are written, for `limitMs` milliseconds at most; tells whether all are.
    #[napi]
    #[must_use]
    pub fn flush(&self, limit_ms: u32) -> bool {
        self.log.flush(Duration::from_millis(limit_ms.into()))
    }
}

/// Opens the place of a log and starts its thread. Lines of about `limit` bytes may wait for it.
#[napi(ts_return_type = "NativeFailure | NativeLog")]
#[must_use]
pub fn open_log(target: NativeLogTarget, limit: u32) -> Outcome<NativeLog> {
    let what = format!("open the log {}", target.path.as_deref().unwrap_or(&target.kind));
    let failed = |error| match error {
        StartError::Open(source) => StackError::System { what, syscall: "open", source, hint: None },
        StartError::Thread(source) => StackError::threads("start the thread that writes the log", source),
    };
    let log = Log::start(target_of(target), limit as usize).map_err(failed);
    outcome(log.map(|log| NativeLog { log: Arc::new(log) }).map_err(NativeFailure::from))
}

fn target_of(target: NativeLogTarget) -> Target {
    let NativeLogTarget { kind, path, address, facility, enterprise, owner } = target;
    match (kind.as_str(), path) {
        ("file", Some(path)) => {
            // The configuration is checked later, so the user may be unknown.
            let owner = owner.and_then(|name| users::find(&name).ok().flatten());
            let owner = owner.map(|user| (user.uid.as_raw(), user.gid.as_raw()));
            Target::File { path: PathBuf::from(path), owner }
        }
        ("journal", path) => Target::Journal(path.map(PathBuf::from)),
        ("syslog", path) => {
            let udp = address.and_then(|address| address.parse().ok()).map(Address::Udp);
            let to = udp.unwrap_or_else(|| Address::Unix(path.unwrap_or_else(|| "/dev/log".into()).into()));
            let facility = facility.and_then(|facility| u8::try_from(facility).ok()).unwrap_or(DAEMON);
            Target::Syslog { to, facility: facility.min(23), enterprise }
        }
        _ => Target::Descriptor(Box::new(io::stderr())),
    }
}

fn collector_of(given: &NativeCollector, destinations: bool) -> napi::Result<Collector> {
    let ip = options::ip(&given.address).map_err(|error| napi::Error::from_reason(error.message))?;
    Ok(Collector {
        address: SocketAddr::new(ip, given.port),
        domain: given.domain,
        template_interval: Duration::from_millis(given.template_interval_ms.into()),
        destinations,
    })
}
