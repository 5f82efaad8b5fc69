//! A relay without the interface that feeds it.
//!
//! The engine knows workers by number and sockets by descriptor, but not their origin. So its tests run over loopback
//! sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use faith_packet::access::{AccessList, WrittenRule};

use crate::admission::{Admission, Router};
use crate::clock::FAR;
use crate::counters::RelayStats;
use crate::detail::{Inspected, SessionDetail};
use crate::ledger::Ledger;
use crate::live::LiveSession;
use crate::options::RelayOptions;
use crate::pairing::Pairing;
use crate::record::Observer;
use crate::slow::slow_side;
use crate::source_use::SourceUse;
use crate::spares::Spares;
use crate::udp::State;

/// A relay's rules and its sessions.
pub(crate) struct Engine {
    options: ArcSwap<RelayOptions>,
    pub(crate) admission: Admission,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) pairing: Arc<Pairing>,
    pub(crate) spares: Spares,
    /// The state of datagrams, if the relay carries them.
    pub(crate) udp: Option<Arc<State>>,
}

impl Engine {
    pub(crate) fn new(
        mut options: RelayOptions,
        router: impl Router,
        workers: usize,
        observer: Option<Arc<dyn Observer>>,
    ) -> Arc<Self> {
        bound(&mut options);
        let ledger = Ledger::new(workers, observer.clone());
        let admission = Admission::new(&mut options, router, Arc::clone(&ledger.shortages), observer);
        let spares = Spares::new(options.connect_first);
        let pairing = Arc::new(Pairing::new(workers));
        let length = options.clients.prefix_length;
        let udp = options.udp.take().map(|udp| State::new(udp, length, workers));
        Arc::new(Self { options: ArcSwap::from_pointee(options), admission, ledger, pairing, spares, udp })
    }

    /// The options of this moment, without those that [`Admission`] has. A connection that begins asks for them once.
    pub(crate) fn options(&self) -> Guard<Arc<RelayOptions>> {
        self.options.load()
    }

    /// Treats connections by other options from now on: all but ports, access list, routing, and how SYNs are held.
    pub(crate) fn update(&self, mut options: RelayOptions) {
        bound(&mut options);
        options.connect_first = self.options().connect_first;
        self.admission.update(&mut options);
        if let (Some(state), Some(udp)) = (&self.udp, options.udp.take()) {
            state.update(udp, options.clients.prefix_length);
        }
        self.options.store(Arc::new(options));
    }

    /// Judges by `access` from now on. With `end_denied`, ends the sessions that the list does not permit.
    pub(crate) fn set_access(&self, access: AccessList, end_denied: bool) {
        self.admission.set_access(access);
        if end_denied {
            for tasks in self.ledger.all_tasks() {
                tasks.abort_unless(|protocol, client, server| {
                    self.admission.permits(protocol, client, server)
                });
            }
        }
    }

    /// An active session in detail, if there is one with this id. Takes a dozen system calls, and delays sessions of the same
    /// worker that begin or end meanwhile.
    pub(crate) fn detail(&self, id: u64) -> Option<SessionDetail> {
        let Inspected { session, routed, legs, waiting: (waiting_up, waiting_down) } =
            self.ledger.inspect(id)?;
        let rule = if routed { None } else { self.permitting_rule(&session) };
        let slow = |(client, server): &_| slow_side(client, server, waiting_up, waiting_down);
        let slow = legs.as_ref().and_then(slow);
        Some(SessionDetail { session, legs, waiting_up, waiting_down, rule, slow })
    }

    fn permitting_rule(&self, session: &LiveSession) -> Option<WrittenRule> {
        // The mappings may have changed since, so the server itself is judged.
        let destination = session.server.unwrap_or(SocketAddr::V6(session.destination));
        let permission = self.admission.permission(session.protocol, *session.client.ip(), destination);
        permission.rule.filter(|_| permission.cause.is_none())
    }

    pub(crate) fn sources(&self) -> Vec<SourceUse> {
        self.admission.source_use(self.ledger.sources())
    }

    pub(crate) fn stats(&self) -> RelayStats {
        RelayStats {
            source_fallbacks: self.admission.source_fallbacks(),
            max_held: self.options().hold.total,
            max_sessions: self.options().max_sessions,
            udp: self.udp.as_ref().map(|udp| udp.stats()),
            ..self.ledger.stats()
        }
    }
}

/// Bounds times to those that a timer can have.
fn bound(options: &mut RelayOptions) {
    options.connect_timeout = options.connect_timeout.min(FAR);
    options.idle_timeout = options.idle_timeout.map(|timeout| timeout.min(FAR));
    options.keep_alive = options.keep_alive.min(FAR);
}
