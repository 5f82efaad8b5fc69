//! The native relay.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use faith_log::Log;
use faith_relay::{Observer, Relay, RelayOptions, RelayStats, Routing, Untold};
use faith_stack::{Guide, StackError};
use napi::Env;
use napi::bindgen_prelude::spawn_blocking;
use napi_derive::napi;
use parking_lot::{Mutex, MutexGuard};

use crate::connection::Connections;
use crate::detail::NativeSessionDetail;
use crate::failure::NativeFailure;
use crate::failure::{Outcome, blocking, outcome};
use crate::keep_alive::KeepAlive;
use crate::live::{self, NativeLiveSessions};
use crate::networks::NativeNetworks;
use crate::options::{self, NativeRelayOptions};
use crate::permission::{self, NativePermission};
use crate::place::NativePlace;
use crate::relay_options::{access_list, relay_options};
use crate::route::{Asking, NativeVerdict};
use crate::sources::NativeSource;
use crate::stats::{
    NativeConnectDurations, NativeRefusalCount, NativeSessionStats, NativeUdpStats, number, of_connects,
    of_sessions, of_udp, refusals,
};
use crate::telling::{NativeRelayCallbacks, Telling, TellingSettings};

/// A relay's counters.
#[napi(object)]
pub struct NativeRelayStats {
    /// Connections accepted.
    pub accepted: f64,
    /// Connections given to JavaScript.
    pub handed_over: f64,
    /// Attempts that go on.
    pub attempts: f64,
    /// Sessions.
    pub sessions: NativeSessionStats,
    /// Times until servers had answered.
    pub connect_durations: NativeConnectDurations,
    /// Attempts that ended without a session.
    pub refused: Vec<NativeRefusalCount>,
    /// Sessions whose records JavaScript did not get; 0 if it does not listen to them.
    pub untold_sessions: f64,
    /// Refusals whose records JavaScript did not get, likewise.
    pub untold_refused: Vec<NativeRefusalCount>,
    /// Connections from another local address than their client's own.
    pub local_address_fallbacks: f64,
    /// Limit of held SYNs.
    pub max_held: u32,
    /// Limit of sessions; 0 is no limit.
    pub max_sessions: u32,
    /// Datagrams, if the relay carries them.
    pub udp: Option<NativeUdpStats>,
}

/// The parts of a relay that the JavaScript thread makes before another thread opens it.
pub(crate) struct PreparedRelay {
    observer: Option<Arc<dyn Observer>>,
    telling: Arc<TellingSettings>,
    asking: Option<Arc<Asking>>,
    connections: Option<Arc<Connections>>,
    alive: KeepAlive,
}

impl PreparedRelay {
    pub(crate) fn new(
        env: &Env,
        guide: Guide,
        callbacks: &NativeRelayCallbacks<'_>,
        log: Option<Arc<Log>>,
    ) -> napi::Result<Self> {
        let telling = Arc::<TellingSettings>::default();
        let observer = Telling::observer(callbacks, log, &telling)?;
        let asking = callbacks
            .on_questions
            .as_ref()
            .zip(callbacks.on_withdrawn.as_ref())
            .map(|(questions, withdrawn)| Asking::new(questions, withdrawn))
            .transpose()?;
        let connections = callbacks
            .on_connections
            .as_ref()
            .map(|callback| Connections::new(guide, callback, || {}).map(Arc::new))
            .transpose()?;
        Ok(Self { observer, telling, asking, connections, alive: KeepAlive::new(env)? })
    }

    /// Opens the relay by `start`.
    pub(crate) fn open(
        self,
        options: NativeRelayOptions,
        start: impl FnOnce(RelayOptions, Option<Arc<dyn Observer>>) -> Result<Relay, StackError>,
    ) -> Result<NativeRelay, NativeFailure> {
        let mut wanted = relay_options(&options)?;
        self.telling.set(&options);
        let ports = options.route_ports.as_deref().map(options::ports).transpose()?;
        wanted.routing = self.asking.as_ref().map(|asking| Routing {
            route: Arc::<Asking>::clone(asking),
            ports: ports.clone(),
            timeout: Duration::from_millis(options.route_timeout_ms.unwrap_or(5000).into()),
            max_undecided: options.max_undecided.unwrap_or(1024),
        });
        if let Some(connections) = &self.connections {
            connections.map_by(wanted.mappings.clone());
        }
        wanted.taker = self.connections.clone().map(|connections| connections as _);
        let relay = Arc::new(start(wanted, self.observer)?);
        self.telling.limit(&relay.stats());
        let state = Mutex::new(State::Open { relay, asking: self.asking, connections: self.connections });
        Ok(NativeRelay { state, telling: self.telling, alive: self.alive })
    }
}

/// A relay.
#[napi]
pub struct NativeRelay {
    state: Mutex<State>,
    telling: Arc<TellingSettings>,
    alive: KeepAlive,
}

/// The state of a relay. A closed relay has dropped its callbacks: they hold the JavaScript object that holds the relay, so
/// neither would ever be collected.
enum State {
    Open { relay: Arc<Relay>, asking: Option<Arc<Asking>>, connections: Option<Arc<Connections>> },
    Closed(Box<RelayStats>),
}

impl NativeRelay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn relay(&self) -> Option<Arc<Relay>> {
        match &*self.state() {
            State::Open { relay, .. } => Some(Arc::clone(relay)),
            State::Closed(_) => None,
        }
    }

    fn asking(&self) -> Option<Arc<Asking>> {
        match &*self.state() {
            State::Open { asking, .. } => asking.clone(),
            State::Closed(_) => None,
        }
    }
}

#[napi]
impl NativeRelay {
    /// Answers a question. `null` gives no verdict, which refuses the client.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn answer(&self, id: f64, verdict: Option<NativeVerdict>) -> Option<NativeFailure> {
        let asking = self.asking()?;
        if let Some(verdict) = verdict {
            return asking.answer(id, &verdict).err();
        }
        asking.give_up(id);
        None
    }

    /// The active sessions with ids above `id`, in the order of their ids, `most` of them at most.
    #[napi]
    #[must_use]
    pub fn sessions(&self, id: f64, most: u32) -> NativeLiveSessions {
        self.relay().map(|relay| live::list(&relay, id, most)).unwrap_or_default()
    }

    /// An active session in detail; null if there is none with this id.
    #[napi]
    #[must_use]
    pub fn session(&self, id: f64) -> Option<NativeSessionDetail> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
        self.relay()?.session(id as u64).map(NativeSessionDetail::from)
    }

    /// Sums up the active sessions by client networks of this prefix length, 0 to 128.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn networks(&self, prefix_length: u8) -> napi::Result<NativeNetworks> {
        let relay = self.relay();
        let sum = move || relay.map(|relay| relay.networks(prefix_length)).unwrap_or_default();
        spawn_blocking(sum)
            .await
            .map(|networks| NativeNetworks::new(networks, prefix_length))
            .map_err(|error| napi::Error::from_reason(error.to_string()))
    }

    /// The use of each address that connections to servers come from.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn sources(&self) -> napi::Result<Vec<NativeSource>> {
        let relay = self.relay();
        let look = move || relay.map(|relay| relay.sources()).unwrap_or_default();
        spawn_blocking(look)
            .await
            .map(|sources| sources.into_iter().map(Into::into).collect())
            .map_err(|error| napi::Error::from_reason(error.to_string()))
    }

    /// Tells the relay's present decision about a client and a destination of either family, by a protocol.
    #[napi(ts_return_type = "NativeFailure | NativePermission")]
    #[must_use]
    pub fn permits(
        &self,
        protocol: String,
        client: String,
        address: String,
        port: u16,
    ) -> Outcome<NativePermission> {
        let permission = permission::ends(&client, &address, port).and_then(|(client, destination)| {
            let relay = self.relay().ok_or_else(permission::closed)?;
            Ok(relay.permission(permission::protocol_of(&protocol)?, client, destination).into())
        });
        outcome(permission)
    }

    /// Takes a place among the sessions, for a connection that JavaScript makes for a client.
    #[napi(ts_return_type = "NativeFailure | NativePlace")]
    #[must_use]
    pub fn take_place(&self, client: String) -> Outcome<NativePlace> {
        let place = permission::client(&client).and_then(|client| {
            let relay = self.relay().ok_or_else(permission::closed)?;
            Ok(relay.take_place(&client).into())
        });
        outcome(place)
    }

    /// Resets both sides of an active session; tells whether there is one with this id.
    #[napi]
    #[must_use]
    pub fn abort(&self, id: f64) -> bool {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are counted from 1")]
        self.relay().is_some_and(|relay| relay.end(id as u64))
    }

    /// The relay's counters.
    #[napi]
    #[must_use]
    pub fn stats(&self) -> NativeRelayStats {
        let stats = match &*self.state() {
            State::Open { relay, .. } => relay.stats(),
            State::Closed(stats) => **stats,
        };
        let untold =
            if self.telling.tells.load(Ordering::Relaxed) { stats.untold } else { Untold::default() };
        NativeRelayStats {
            accepted: number(stats.accepted),
            handed_over: number(stats.handed_over),
            attempts: number(stats.attempts),
            sessions: of_sessions(&stats.sessions),
            connect_durations: of_connects(&stats.connect_durations),
            refused: refusals(&stats.refused),
            untold_sessions: number(untold.sessions),
            untold_refused: refusals(&untold.refused),
            local_address_fallbacks: number(stats.source_fallbacks),
            max_held: stats.max_held,
            max_sessions: stats.max_sessions.unwrap_or(0),
            udp: stats.udp.as_ref().map(of_udp),
        }
    }

    /// Judges new connections by another access list. With `endDenied`, also resets the sessions that it does not permit.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | null>")]
    pub async fn set_access_list(
        &self,
        text: String,
        name: String,
        allow_loopback: bool,
        end_denied: bool,
    ) -> napi::Result<Outcome<()>> {
        let relay = self.relay();
        blocking(move || {
            let access = access_list(&text, &name, allow_loopback)?;
            if let Some(relay) = relay {
                relay.set_access(access, end_denied);
            }
            Ok(())
        })
        .await
    }

    /// Changes the options for connections from now on, but for those that only opening a relay can set.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | null>")]
    pub async fn update(&self, options: NativeRelayOptions) -> napi::Result<Outcome<()>> {
        let relay = self.relay();
        let connections = match &*self.state() {
            State::Open { connections, .. } => connections.clone(),
            State::Closed(_) => None,
        };
        let telling = Arc::clone(&self.telling);
        blocking(move || {
            let wanted = relay_options(&options)?;
            if let Some(relay) = relay {
                let mappings = wanted.mappings.clone();
                relay.update(wanted)?;
                if let Some(connections) = connections {
                    connections.map_by(mappings);
                }
                telling.set(&options);
                telling.limit(&relay.stats());
            }
            Ok(())
        })
        .await
    }

    /// Takes no more connections; sessions go on.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | null>")]
    pub async fn stop(&self) -> napi::Result<Outcome<()>> {
        let relay = self.relay();
        blocking(move || {
            if let Some(relay) = relay {
                relay.stop();
            }
            Ok(())
        })
        .await
    }

    /// Keeps the event loop alive while the relay is open, which is the default.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(js_name = "ref")]
    pub fn keep_alive(&self, env: Env) -> napi::Result<()> {
        self.alive.hold(&env)
    }

    /// Lets the event loop end while the relay is open.
    #[napi]
    pub fn unref(&self) {
        self.alive.release();
    }

    /// Takes no more connections, lets sessions go on for `drainMs` milliseconds at most, and resets the rest.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self, drain_ms: u32) -> napi::Result<()> {
        if let Some(relay) = self.relay() {
            relay.close(Duration::from_millis(drain_ms.into())).await;
            let closed = State::Closed(Box::new(relay.stats()));
            let open = std::mem::replace(&mut *self.state(), closed);
            drop(open);
        }
        self.alive.release();
        Ok(())
    }
}
