//! The log of faithd.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_log::ipfix::{Collector, Counts};
use faith_log::{Form, Level, Log, Settings};
use faith_stack::StackError;
use napi_derive::napi;

use crate::options;
use crate::stats::number;

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

/// Writes lines to stderr; see [`Log`]. Relays that were opened with it write theirs too.
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
    /// Starts the thread of the log. Lines of about `limit` bytes may wait for it.
    ///
    /// # Errors
    /// The thread cannot be started.
    #[napi(constructor)]
    pub fn new(limit: u32) -> napi::Result<Self> {
        let log = Log::start(io::stderr(), limit as usize).map_err(|error| {
            let error = StackError::threads("start the thread that writes the log", error);
            let hint = error.hint().unwrap_or_default();
            napi::Error::from_reason(format!("{error}; {hint}"))
        })?;
        Ok(Self { log: Arc::new(log) })
    }

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

fn collector_of(given: &NativeCollector, destinations: bool) -> napi::Result<Collector> {
    let ip = options::ip(&given.address).map_err(|error| napi::Error::from_reason(error.message))?;
    Ok(Collector {
        address: SocketAddr::new(ip, given.port),
        domain: given.domain,
        template_interval: Duration::from_millis(given.template_interval_ms.into()),
        destinations,
    })
}
