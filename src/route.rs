//! Asks JavaScript where connections go. Questions go out in batches, and JavaScript answers them by number. So a decision
//! may take its time, and no worker holds a JavaScript object meanwhile.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use faith_packet::proxy::Version;
use faith_relay::{Question, Reject, Route, Terms, Verdict};
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use parking_lot::{Mutex, MutexGuard};

use crate::batch::Batch;
use crate::failure::NativeFailure;
use crate::options;
use crate::stats::number;

/// A connection about which JavaScript decides.
#[napi(object)]
pub struct NativeQuestion {
    /// The number by which it is answered, and the id of its record.
    pub id: f64,
    /// The protocol: `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// The client's address.
    pub client: String,
    /// The client's port.
    pub client_port: u16,
    /// The address that the client dialled.
    pub destination: String,
    /// The port that the client dialled.
    pub destination_port: u16,
    /// The server's address by the mappings, if they have one.
    pub ipv4: Option<String>,
    /// The server's port, likewise.
    pub ipv4_port: Option<u16>,
}

/// A verdict. With `host` the connection goes to that server, with `reject` it is refused, and with `socket` JavaScript
/// takes it. With none of them it proceeds by the mappings and the access list.
#[napi(object)]
pub struct NativeVerdict {
    /// The server's IPv4 or IPv6 address.
    pub host: Option<String>,
    /// The server's port.
    pub port: Option<u32>,
    /// True lets the server be a special-purpose address, one of the host's own or a loopback one.
    pub allow_any: Option<bool>,
    /// The address that the connection comes from, of the server's family.
    pub local_address: Option<String>,
    /// True connects from a privileged port; by default as the relay does.
    pub privileged_local_port: Option<bool>,
    /// The version of the PROXY protocol: 1 or 2.
    pub proxy_protocol: Option<u8>,
    /// Longest time that the session may pass no byte, in milliseconds; 0 is no limit.
    pub idle_timeout_ms: Option<u32>,
    /// Most bytes that the session may pass, in both directions together.
    pub max_bytes: Option<f64>,
    /// The mark of its record.
    pub tag: Option<String>,
    /// The answer to the client: `refused`, `unreachable`, `prohibited` or `drop`.
    pub reject: Option<String>,
    /// True if JavaScript takes the connection; with `proceed`, true if it stands between client and server.
    pub socket: Option<bool>,
    /// True if the connection proceeds by the mappings and the access list although `socket` is set.
    pub proceed: Option<bool>,
}

/// The open questions of a relay.
pub(crate) struct Asking {
    open: Arc<Mutex<HashMap<u64, Question>>>,
    questions: Batch<u64, Vec<NativeQuestion>>,
    withdrawn: Batch<u64, Vec<f64>>,
}

impl Asking {
    pub(crate) fn new(
        on_questions: &Function<'_, Vec<NativeQuestion>, ()>,
        on_withdrawn: &Function<'_, Vec<f64>, ()>,
    ) -> napi::Result<Arc<Self>> {
        let open = Arc::<Mutex<HashMap<u64, Question>>>::default();
        let asked = Arc::clone(&open);
        let questions = Batch::new(on_questions, move |ids: Vec<u64>| {
            let mut asked = lock(&asked);
            // Skips questions whose clients no longer wait.
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
        Ok(Arc::new(Self { open, questions, withdrawn }))
    }

    /// Answers question `id`. Fails if its time is up. Ignores the answer to a question that was withdrawn.
    pub(crate) fn answer(&self, id: f64, verdict: &NativeVerdict) -> Result<(), NativeFailure> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
        let question = lock(&self.open).remove(&(id as u64));
        // An invalid answer drops the question, which refuses the client.
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

    /// Drops question `id`, which refuses its client.
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
}

fn lock(open: &Mutex<HashMap<u64, Question>>) -> MutexGuard<'_, HashMap<u64, Question>> {
    open.lock()
}

fn describe(question: &Question) -> NativeQuestion {
    NativeQuestion {
        id: number(question.id),
        protocol: question.protocol.name().to_owned(),
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
    if verdict.socket == Some(true) && verdict.proceed != Some(true) {
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
        privileged: verdict.privileged_local_port,
        proxy,
        idle_timeout: verdict.idle_timeout_ms.map(|timeout| Duration::from_millis(timeout.into())),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of bytes"
        )]
        max_bytes: verdict.max_bytes.map(|most| most as u64),
        tag: verdict.tag.as_deref().map(Arc::from),
        between: verdict.socket == Some(true),
    })
}

fn wrong(message: String) -> NativeFailure {
    NativeFailure::new("ERR_FAITH_ARGUMENT", message)
}
