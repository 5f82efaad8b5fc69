//! Asking JavaScript where connections go. Questions go out in batches and are answered by number, so that a
//! decision may take its time without anything of JavaScript's being held on a worker. Connections that JavaScript wants to
//! have itself come to it as those of a listener do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::mapping::Mappings;
use faith_packet::proxy::Version;
use faith_relay::{Question, Reject, Route, Terms, Verdict};
use faith_stack::{Captured, FaithInterface};
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use parking_lot::{Mutex, MutexGuard};

use crate::batch::Batch;
use crate::connection::{Connections, NativeConnection};
use crate::failure::NativeFailure;
use crate::options;
use crate::stats::number;

/// A connection whose way JavaScript decides.
#[napi(object)]
pub struct NativeQuestion {
    /// What it is answered by, and the id of its record.
    pub id: f64,
    /// Who connects.
    pub client: String,
    /// Who connects.
    pub client_port: u16,
    /// What the client dialled.
    pub destination: String,
    /// What the client dialled.
    pub destination_port: u16,
    /// The server that the mappings say.
    pub ipv4: Option<String>,
    /// The server's port.
    pub ipv4_port: Option<u16>,
}

/// An answer: with `host`, where it goes, any address with `allowAny`; with `reject`, that it does not; with `socket`, that JavaScript takes it; with
/// none of them, it proceeds as mappings and access list say.
#[napi(object)]
pub struct NativeVerdict {
    /// An IPv4 or IPv6 address.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u32>,
    /// Whether it may be a special-purpose address, one of the host's own or a loopback one.
    pub allow_any: Option<bool>,
    /// The address that the connection comes from, of the server's family.
    pub local_address: Option<String>,
    /// 1 or 2.
    pub proxy_protocol: Option<u8>,
    /// In milliseconds; 0 is never.
    pub idle_timeout_ms: Option<u32>,
    /// How many bytes it may pass, both directions together.
    pub max_bytes: Option<f64>,
    /// What its record is marked with.
    pub tag: Option<String>,
    /// `refused`, `unreachable`, `prohibited` or `drop`.
    pub reject: Option<String>,
    /// Whether JavaScript takes it.
    pub socket: Option<bool>,
}

/// The open questions of a relay.
pub(crate) struct Asking {
    open: Arc<Mutex<HashMap<u64, Question>>>,
    questions: Batch<u64, Vec<NativeQuestion>>,
    withdrawn: Batch<u64, Vec<f64>>,
    connections: Connections,
}

impl Asking {
    pub(crate) fn new(
        interface: &Arc<FaithInterface>,
        on_questions: &Function<'_, Vec<NativeQuestion>, ()>,
        on_withdrawn: &Function<'_, Vec<f64>, ()>,
        on_connections: &Function<'_, Vec<NativeConnection>, ()>,
    ) -> napi::Result<Arc<Self>> {
        let open = Arc::<Mutex<HashMap<u64, Question>>>::default();
        let asked = Arc::clone(&open);
        let questions = Batch::new(on_questions, move |ids: Vec<u64>| {
            let mut asked = lock(&asked);
            // JavaScript is not asked about clients that do not wait any more.
            let describe = |id: u64| match asked.entry(id) {
                Entry::Occupied(open) if open.get().is_late() => {
                    open.remove();
                    None
                }
                Entry::Occupied(open) => Some(describe(open.get())),
                Entry::Vacant(_) => None,
            };
            ids.into_iter().filter_map(describe).collect()
        })?;
        let withdrawn = Batch::new(on_withdrawn, |ids: Vec<u64>| ids.into_iter().map(number).collect())?;
        // Nothing needs to rest until they are taken: there are no more than JavaScript has found the time to ask for.
        let connections = Connections::new(interface, on_connections, || {})?;
        Ok(Arc::new(Self { open, questions, withdrawn, connections }))
    }

    /// Says which servers its connections mean, before the first of them comes.
    pub(crate) fn map_by(&self, mappings: Mappings) {
        self.connections.map_by(mappings);
    }

    /// Answers question `id`; it is a failure when its time is up. The answer to one that was withdrawn is dropped.
    pub(crate) fn answer(&self, id: f64, verdict: &NativeVerdict) -> Result<(), NativeFailure> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
        let question = lock(&self.open).remove(&(id as u64));
        // An answer that cannot be read drops the question, which refuses the client.
        let verdict = verdict_of(verdict)?;
        match question {
            None => Ok(()),
            Some(question) if !question.is_late() => {
                question.answer(verdict);
                Ok(())
            }
            Some(_) => Err(NativeFailure::new("ETIMEDOUT", "the answer came too late")),
        }
    }

    /// Forgets question `id`, which refuses its client.
    pub(crate) fn give_up(&self, id: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ids are counted from 1"
        )]
        drop(lock(&self.open).remove(&(id as u64)));
    }
}

impl Route for Asking {
    fn ask(&self, question: Question) {
        let id = question.id;
        lock(&self.open).insert(id, question);
        self.questions.push(id);
    }

    fn withdraw(&self, id: u64) {
        if lock(&self.open).remove(&id).is_some() {
            self.withdrawn.push(id);
        }
    }

    fn take(&self, worker: usize, connection: Captured) {
        self.connections.push(worker, connection);
    }

    fn closing(&self) {
        self.connections.discard();
    }
}

fn lock(open: &Mutex<HashMap<u64, Question>>) -> MutexGuard<'_, HashMap<u64, Question>> {
    open.lock()
}

fn describe(question: &Question) -> NativeQuestion {
    NativeQuestion {
        id: number(question.id),
        client: question.client.ip().to_string(),
        client_port: question.client.port(),
        destination: question.destination.ip().to_string(),
        destination_port: question.destination.port(),
        ipv4: question.server.map(|server| server.ip().to_string()),
        ipv4_port: question.server.map(|server| server.port()),
    }
}

fn verdict_of(verdict: &NativeVerdict) -> Result<Verdict, NativeFailure> {
    const REJECTS: &[(&str, Reject)] = &[
        ("refused", Reject::Refused),
        ("unreachable", Reject::Unreachable),
        ("prohibited", Reject::Prohibited),
        ("drop", Reject::Drop),
    ];
    if let Some(reject) = &verdict.reject {
        let tag = verdict.tag.as_deref().map(Arc::from);
        return options::one_of("reject", reject, REJECTS).map(|reject| Verdict::Reject { reject, tag });
    }
    if verdict.socket == Some(true) {
        return Ok(Verdict::HandOver);
    }
    let terms = terms_of(verdict)?;
    let Some(host) = &verdict.host else { return Ok(Verdict::Proceed(terms)) };
    let port = verdict.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| wrong(format!("the port for {host} is missing or outside 1-65535")))?;
    Ok(Verdict::Connect {
        server: SocketAddr::new(options::ip(host)?, port),
        allow_any: verdict.allow_any == Some(true),
        terms,
    })
}

fn terms_of(verdict: &NativeVerdict) -> Result<Terms, NativeFailure> {
    let proxy = match verdict.proxy_protocol {
        None => None,
        Some(1) => Some(Version::V1),
        Some(2) => Some(Version::V2),
        Some(other) => return Err(wrong(format!("proxyProtocol is 1 or 2, not {other}"))),
    };
    Ok(Terms {
        source: verdict.local_address.as_deref().map(options::ip).transpose()?,
        proxy,
        idle_timeout: verdict.idle_timeout_ms.map(|timeout| Duration::from_millis(timeout.into())),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of bytes"
        )]
        max_bytes: verdict.max_bytes.map(|most| most as u64),
        tag: verdict.tag.as_deref().map(Arc::from),
    })
}

fn wrong(message: String) -> NativeFailure {
    NativeFailure::new("ERR_FAITH_ARGUMENT", message)
}
