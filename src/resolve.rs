//! Asks JavaScript about names. Queries go out in batches, and JavaScript answers them by number.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use faith_dns::{OwnQuery, Resolve};
use faith_dns64::Own;
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::batch::Batch;
use crate::failure::NativeFailure;
use crate::relay_options::parse_each;
use crate::stats::number;

/// The queries that may wait for the event loop. Clients of further ones get SERVFAIL at once.
const WAITING: usize = 4096;

/// A DNS query that JavaScript answers.
#[napi(object)]
pub struct NativeQuery {
    /// The number by which it is answered.
    pub id: f64,
    /// The name in lower case, without the dot at its end.
    pub name: String,
    /// The type of the records: `A`, `AAAA`, …
    #[napi(js_name = "type")]
    pub kind: String,
    /// The client's address.
    pub client: String,
}

/// An answer. `refused` goes before `absent`, and that before `addresses`; without any of them, the upstreams are asked.
#[napi(object)]
pub struct NativeAnswer {
    /// The addresses of the name.
    pub addresses: Option<Vec<String>>,
    /// True if the name does not exist.
    pub absent: Option<bool>,
    /// True if the client gets no answer.
    pub refused: Option<bool>,
    /// The seconds that the client may keep the answer.
    pub ttl: u32,
}

/// The open queries of a server.
pub(crate) struct Asking {
    open: Arc<Mutex<HashMap<u64, OwnQuery>>>,
    last: AtomicU64,
    queries: Batch<u64, Vec<NativeQuery>>,
}

impl Asking {
    pub(crate) fn new(on_queries: &Function<'_, Vec<NativeQuery>, ()>) -> napi::Result<Arc<Self>> {
        let open = Arc::<Mutex<HashMap<u64, OwnQuery>>>::default();
        let asked = Arc::clone(&open);
        let queries = Batch::new(on_queries, move |ids: Vec<u64>| {
            let mut asked = asked.lock();
            // Skips queries whose clients have got SERVFAIL while the event loop was busy.
            asked.retain(|_, query| !query.is_late());
            let describe = |id| asked.get(&id).map(|query| describe(id, query));
            ids.into_iter().filter_map(describe).collect()
        })?;
        Ok(Arc::new(Self { open, last: AtomicU64::new(0), queries }))
    }

    /// Answers query `id`; without an answer, its client gets SERVFAIL. Fails if its time is up.
    pub(crate) fn answer(&self, id: f64, answer: Option<&NativeAnswer>) -> Result<(), NativeFailure> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
        let query = self.open.lock().remove(&(id as u64));
        let Some(answer) = answer else { return Ok(()) };
        let own = own_of(answer)?;
        if query.is_some_and(|query| query.answer(own)) {
            return Ok(());
        }
        Err(NativeFailure::new("ETIMEDOUT", "the answer came too late"))
    }
}

impl Resolve for Asking {
    fn ask(&self, query: OwnQuery) {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(id, query);
        if !self.queries.push_within(WAITING, id) {
            self.open.lock().remove(&id);
        }
    }
}

fn describe(id: u64, query: &OwnQuery) -> NativeQuery {
    NativeQuery {
        id: number(id),
        name: query.name.clone(),
        kind: query.kind.clone(),
        client: query.client.to_string(),
    }
}

fn own_of(answer: &NativeAnswer) -> Result<Option<Own>, NativeFailure> {
    let ttl = answer.ttl;
    if answer.refused == Some(true) {
        return Ok(Some(Own::Refused));
    }
    if answer.absent == Some(true) {
        return Ok(Some(Own::Absent { ttl }));
    }
    let Some(addresses) = &answer.addresses else { return Ok(None) };
    Ok(Some(Own::Addresses { addresses: parse_each("addresses", addresses)?, ttl }))
}
