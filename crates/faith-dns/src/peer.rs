//! An upstream as it is asked.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt;
#[cfg(test)]
use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::counters::Counters;
use crate::entry::Entry;
use crate::health::Health;
use crate::record::Record;
use crate::round_trip::RoundTrip;
use crate::session::Session;
use crate::settings::{Fault, Gate};
use crate::upstream::Upstream;
use crate::{plain, tls};

/// The time that a try has over UDP, and over a connection, which must be made first.
const TRY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// An upstream as it is asked. It lasts as long as the upstream is named.
pub(crate) struct Peer {
    upstream: Upstream,
    way: Way,
    health: Rc<Health>,
    counters: Arc<Counters>,
    pub(crate) record: Arc<Record>,
    pub(crate) round_trip: RoundTrip,
    /// The upstream was told to ask this server.
    pub(crate) is_loop_told: Cell<bool>,
    /// The upstream was told to be this server.
    pub(crate) is_own_told: Cell<bool>,
}

/// The way to an upstream.
pub(crate) enum Way {
    /// Over UDP, and by the session over TCP.
    Plain(SocketAddr, Rc<Session>),
    Secure(Rc<Session>),
    #[cfg(test)]
    Script(Script),
}

/// Answers in the place of an upstream.
#[cfg(test)]
pub(crate) type Script = Box<dyn Fn(&Ask) -> LocalBoxFuture<'static, io::Result<Entry>>>;

impl Peer {
    pub(crate) fn plain(address: SocketAddr, gate: &Arc<dyn Gate>, counters: &Arc<Counters>) -> Rc<Self> {
        let way = |_: &Rc<Health>| Way::Plain(address, Session::plain(address));
        Self::new(Upstream::Plain(address), gate, counters, way)
    }

    /// An upstream with the way that `way` makes. The gate hears of its troubles.
    pub(crate) fn new(
        upstream: Upstream,
        gate: &Arc<dyn Gate>,
        counters: &Arc<Counters>,
        way: impl FnOnce(&Rc<Health>) -> Way,
    ) -> Rc<Self> {
        Rc::new_cyclic(|peer: &Weak<Self>| {
            let record = Record::new(upstream.to_string());
            let (gate, recorded, peer) = (Arc::clone(gate), Arc::clone(&record), Weak::clone(peer));
            let named = upstream.to_string();
            let report = move |trouble: Option<&str>| {
                recorded.set_trouble(trouble);
                let (upstream, trouble) = (named.clone(), trouble.map(str::to_owned));
                gate.warn_of(Fault::Upstream { upstream, trouble });
            };
            let attempt = move || try_once(Weak::clone(&peer)).boxed_local();
            let health = Health::new(Box::new(report), Box::new(attempt));
            Self {
                way: way(&health),
                upstream,
                health,
                counters: Arc::clone(counters),
                record,
                round_trip: RoundTrip::default(),
                is_loop_told: Cell::new(false),
                is_own_told: Cell::new(false),
            }
        })
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The address, unless the upstream has a name alone.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.upstream {
            Upstream::Plain(address) => Some(*address),
            Upstream::Secure(upstream) => upstream.address(),
        }
    }

    /// Returns true while the upstream is not to be asked, because it accepts no connections.
    pub(crate) fn rests(&self) -> bool {
        self.health.rests()
    }

    /// The upstream's response; `None` if it gives none in this time.
    pub(crate) async fn ask(&self, ask: &Ask, limit: Duration) -> Option<Entry> {
        let response = self.respond(ask, limit).await;
        if response.is_err() {
            self.health.doubt();
        }
        response.ok()
    }

    /// Learns that another upstream has answered before this one.
    pub(crate) fn outrun(&self) {
        self.health.outrun();
    }

    /// The upstream's response, or the reason why it gave none.
    async fn respond(&self, ask: &Ask, limit: Duration) -> Result<Entry, String> {
        self.counters.upstream_queries.add();
        self.record.queries.add();
        let response = match timeout(limit, self.exchange(ask)).await {
            Ok(response) => response.map_err(|error| tls::reason(&error)),
            Err(_) => Err("gives no response".to_owned()),
        };
        if response.is_ok() {
            self.record.answered.add();
            self.health.answered();
        } else {
            self.record.unanswered.add();
        }
        response
    }

    async fn exchange(&self, ask: &Ask) -> io::Result<Entry> {
        match &self.way {
            Way::Plain(address, tcp) => plain::exchange(*address, ask, tcp).await,
            Way::Secure(session) => session.exchange(ask.padded_query(), &ask.question).await,
            #[cfg(test)]
            Way::Script(script) => script(ask).await,
        }
    }
}

/// Tries an upstream, unless it is no longer named.
async fn try_once(peer: Weak<Peer>) -> Result<(), String> {
    let Some(peer) = peer.upgrade() else { return Ok(()) };
    let [datagram, connection] = TRY;
    let limit = if matches!(peer.way, Way::Secure(_)) { connection } else { datagram };
    peer.respond(&Ask::root(), limit).await.map(drop)
}
