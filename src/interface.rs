//! Faith interfaces.

use std::sync::Arc;
use std::time::Duration;

use faith_packet::classify::Unsupported;
use faith_relay::{Relay, Splices};
use faith_stack::{FaithInterface, InterfaceOptions, ListenOptions, ShortcutUse, Steering, Warning};
use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Function, PromiseRaw, spawn_blocking};
use napi_derive::napi;

use crate::batch::Batch;
use crate::connection::NativeConnection;
use crate::failure::{NativeFailure, Outcome, blocking};
use crate::listener::{NativeListener, Prepared};
use crate::log::NativeLog;
use crate::options::{self, NativeInterfaceOptions, NativeListenOptions, NativeRelayOptions};
use crate::relay::{NativeRelay, PreparedRelay};
use crate::relay_options::mappings;
use crate::shortage::NativeShortage;
use crate::stats::{self, NativeInterfaceStats};
use crate::telling::NativeRelayCallbacks;

/// A change for the worse of an interface that goes on: it does not work as requested, or not as before.
#[napi(object)]
pub struct NativeWarning {
    /// The stable code that programs test.
    pub code: String,
    /// The text that people read.
    pub message: String,
}

impl From<Warning> for NativeWarning {
    fn from(warning: Warning) -> Self {
        Self { code: warning.code().to_owned(), message: warning.to_string() }
    }
}

/// A faith interface.
#[napi]
pub struct NativeInterface {
    pub(crate) interface: Arc<FaithInterface>,
    pub(crate) splices: Splices,
}

/// Makes a faith interface. Calls `onLost` when the interface cannot go on, and `onWarnings` when it goes on, but not as
/// requested or as before. Both may be called before the promise resolves.
///
/// # Errors
/// The environment is closing. The promise resolves to every other failure.
#[napi(ts_return_type = "Promise<NativeFailure | NativeInterface>")]
pub fn create_interface<'env>(
    env: &'env Env,
    options: NativeInterfaceOptions,
    #[napi(ts_arg_type = "(failure: NativeFailure) => void")] on_lost: Function<'_, NativeFailure, ()>,
    #[napi(ts_arg_type = "(batch: NativeWarning[]) => void")] on_warnings: Function<
        '_,
        Vec<NativeWarning>,
        (),
    >,
) -> napi::Result<PromiseRaw<'env, Outcome<NativeInterface>>> {
    let lost = Batch::new(&on_lost, |mut failures: Vec<NativeFailure>| {
        // There is exactly one, because an interface is lost once.
        failures.pop().unwrap_or_else(|| NativeFailure::new("ERR_FAITH_CLOSED", "the interface is gone"))
    })?;
    let warnings = Batch::new(&on_warnings, |warnings: Vec<Warning>| {
        warnings.into_iter().map(NativeWarning::from).collect()
    })?;
    env.spawn_future(blocking(move || {
        let options = interface_options(options)?;
        let lost = Box::new(move |error: faith_stack::StackError| {
            lost.push(error.into());
        });
        let warned = Box::new(move |warning| {
            warnings.push(warning);
        });
        let interface = Arc::new(FaithInterface::create(options, lost, warned)?);
        let splices = Splices::new(&interface);
        Ok(NativeInterface { interface, splices })
    }))
}

fn interface_options(options: NativeInterfaceOptions) -> Result<InterfaceOptions, NativeFailure> {
    let NativeInterfaceOptions { name, prefixes, mtu, routes, unsupported, workers, steering, shortcut } =
        options;
    let prefixes = prefixes.iter().map(|text| options::prefix(text)).collect::<Result<_, _>>()?;
    let unsupported = options::one_of(
        "unsupported",
        &unsupported,
        &[("unreachable", Unsupported::Unreachable), ("drop", Unsupported::Drop)],
    )?;
    let steering = options::one_of(
        "steering",
        &steering,
        &[("auto", Steering::Auto), ("on-demand", Steering::OnDemand)],
    )?;
    let shortcut = if shortcut { ShortcutUse::Auto } else { ShortcutUse::Off };
    let workers = workers.map(|workers| workers as usize);
    Ok(InterfaceOptions { name, prefixes, mtu, routes, unsupported, workers, steering, shortcut })
}

#[napi]
impl NativeInterface {
    /// The interface's name.
    #[napi(getter)]
    #[must_use]
    pub fn name(&self) -> String {
        self.interface.name().to_owned()
    }

    /// The prefixes that the interface captures now.
    #[napi]
    #[must_use]
    pub fn prefixes(&self) -> Vec<String> {
        self.interface.prefixes().iter().map(ToString::to_string).collect()
    }

    /// Adds a prefix to capture; resolves to it in RFC 5952 form.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | string>")]
    pub async fn add_prefix(&self, prefix: String) -> napi::Result<Outcome<String>> {
        let interface = Arc::clone(&self.interface);
        blocking(move || {
            let prefix = options::prefix(&prefix)?;
            interface.add_prefix(prefix)?;
            Ok(prefix.to_string())
        })
        .await
    }

    /// Stops capturing a prefix; resolves to it in RFC 5952 form.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | string>")]
    pub async fn remove_prefix(&self, prefix: String) -> napi::Result<Outcome<String>> {
        let interface = Arc::clone(&self.interface);
        blocking(move || {
            let prefix = options::prefix(&prefix)?;
            interface.remove_prefix(prefix)?;
            Ok(prefix.to_string())
        })
        .await
    }

    /// Accepts connections and hands them to `onConnections`. Calls `onShortages` with each resource that this host lacks to
    /// accept more, at most once a minute for each.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeListener>")]
    pub fn listen<'env>(
        &self,
        env: &'env Env,
        options: NativeListenOptions,
        #[napi(ts_arg_type = "(batch: NativeConnection[]) => void")] on_connections: Function<
            '_,
            Vec<NativeConnection>,
            (),
        >,
        #[napi(ts_arg_type = "(batch: NativeShortage[]) => void")] on_shortages: Function<
            '_,
            Vec<NativeShortage>,
            (),
        >,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeListener>>> {
        let interface = Arc::clone(&self.interface);
        let prepared = Prepared::new(env, &interface, &on_connections, &on_shortages)?;
        env.spawn_future(blocking(move || {
            let mappings = mappings(&options.mapping, &options.mappings)?;
            let options = ListenOptions {
                ports: options::ports(&options.ports)?,
                address: options::address(options.address.as_ref())?,
                backlog: options.backlog,
                prepare: |_| Ok(()),
                hold: None,
            };
            prepared.open(&interface, options, mappings)
        }))
    }

    /// Relays connections, and reports its events to `callbacks` and to `log`.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeRelay>")]
    pub fn relay<'env>(
        &self,
        env: &'env Env,
        options: NativeRelayOptions,
        callbacks: NativeRelayCallbacks<'_>,
        log: Option<ClassInstance<'_, NativeLog>>,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeRelay>>> {
        let interface = Arc::clone(&self.interface);
        let prepared = PreparedRelay::new(env, interface.guide(), &callbacks, log.map(|log| log.share()))?;
        env.spawn_future(blocking(move || {
            prepared.open(options, |options, observer| Relay::start(interface, options, observer))
        }))
    }

    /// The interface's counters.
    #[napi]
    #[must_use]
    pub fn stats(&self) -> NativeInterfaceStats {
        stats::of_interface(&self.interface, &self.splices.stats())
    }

    /// Notes how long clients may take to challenge their resets. Call this before sockets are reset. Blocks for a short time.
    #[napi]
    pub fn before_resets(&self) {
        self.interface.before_resets();
    }

    /// Waits until clients have acknowledged all bytes of closed sockets, for `withinMs` milliseconds at most.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn deliver(&self, within_ms: u32) -> napi::Result<()> {
        self.interface.delivered(Duration::from_millis(within_ms.into())).await;
        Ok(())
    }

    /// Does the same as [`deliver`](Self::deliver), but blocks until it is done: for a process that ends, whose event loop
    /// has stopped.
    #[napi]
    pub fn deliver_sync(&self, within_ms: u32) {
        self.interface.deliver(Duration::from_millis(within_ms.into()));
    }

    /// Does the same as [`close`](Self::close), but blocks until it is done.
    #[napi]
    pub fn close_sync(&self) {
        self.interface.close();
    }

    /// Closes the interface with its listeners, relays and connections.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        let interface = Arc::clone(&self.interface);
        spawn_blocking(move || interface.close())
            .await
            .map_err(|error| napi::Error::from_reason(error.to_string()))
    }
}
