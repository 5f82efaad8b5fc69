//! Faith listeners: Rust accepts captured connections, and hands them to JavaScript.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use faith_packet::mapping::Mappings;
use faith_relay::{Observer, RefusalRecord, SessionRecord, Shortages};
use faith_stack::{Captured, FaithInterface, ListenOptions, ListenerHandle, Service};
use faith_sys::tcp::Resource;
use napi::Env;
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::connection::{Connections, NativeConnection};
use crate::failure::NativeFailure;
use crate::keep_alive::KeepAlive;
use crate::shortage::{NativeShortage, ShortageBatch};

/// Connections that may wait for the event loop before accepting pauses.
const WAITING: usize = 512;

/// The service of a JavaScript listener: passes connections on, and pauses accepting while the event loop is behind.
struct Handing {
    connections: Connections,
    shortages: Shortages,
    flow: Arc<Flow>,
}

/// Reports shortages to JavaScript. A listener has no sessions to report.
struct Telling(ShortageBatch);

impl Observer for Telling {
    fn ended(&self, _: SessionRecord) -> bool {
        true
    }

    fn refused(&self, _: RefusalRecord) -> bool {
        true
    }

    fn exhausted(&self, what: Resource, error: &io::Error) {
        self.0.exhausted(what, error);
    }
}

/// The two reasons to pause accepting: JavaScript asks for it, or the event loop is behind.
#[derive(Default)]
struct Flow {
    handle: OnceLock<Weak<ListenerHandle>>,
    paused: AtomicBool,
    behind: AtomicBool,
}

impl Flow {
    fn apply(&self) {
        let Some(handle) = self.handle.get().and_then(Weak::upgrade) else { return };
        if self.paused.load(Ordering::SeqCst) || self.behind.load(Ordering::SeqCst) {
            handle.pause();
        } else {
            handle.resume();
        }
    }

    fn caught_up(&self) {
        if self.behind.swap(false, Ordering::SeqCst) {
            self.apply();
        }
    }
}

impl Service for Handing {
    fn accepted(self: Arc<Self>, worker: usize, connection: Captured) {
        if self.connections.push(worker, connection, None) >= WAITING
            && !self.flow.behind.swap(true, Ordering::SeqCst)
        {
            self.flow.apply();
        }
    }

    fn closing(&self) {
        self.connections.discard();
    }

    fn exhausted(&self, error: &io::Error) -> bool {
        self.shortages.ran_out(error);
        false
    }
}

/// A faith listener.
#[napi]
pub struct NativeListener {
    /// The handle, until the listener is closed. Its service holds the JavaScript callback, which in turn holds this object. So
    /// neither would ever be collected if closing did not drop it.
    handle: Mutex<Option<Arc<ListenerHandle>>>,
    flow: Arc<Flow>,
    alive: KeepAlive,
}

/// The parts of a listener that the JavaScript thread makes before another thread opens it.
pub(crate) struct Prepared {
    handing: Arc<Handing>,
    flow: Arc<Flow>,
    alive: KeepAlive,
}

impl Prepared {
    pub(crate) fn new(
        env: &Env,
        interface: &Arc<FaithInterface>,
        on_connections: &Function<'_, Vec<NativeConnection>, ()>,
        on_shortages: &Function<'_, Vec<NativeShortage>, ()>,
    ) -> napi::Result<Self> {
        let flow = Arc::new(Flow::default());
        let resumed = Arc::clone(&flow);
        let connections = Connections::new(interface.guide(), on_connections, move || resumed.caught_up())?;
        let telling = Arc::new(Telling(ShortageBatch::new(on_shortages)?));
        let shortages = Shortages::new(Some(telling));
        let handing = Arc::new(Handing { connections, shortages, flow: Arc::clone(&flow) });
        Ok(Self { handing, flow, alive: KeepAlive::new(env)? })
    }

    pub(crate) fn open(
        self,
        interface: &FaithInterface,
        options: ListenOptions,
        mappings: Mappings,
    ) -> Result<NativeListener, NativeFailure> {
        self.handing.connections.map_by(mappings);
        let handle = Arc::new(interface.listen(options, self.handing)?);
        // Cannot fail: only this call sets it.
        let _ = self.flow.handle.set(Arc::downgrade(&handle));
        // Pauses now if connections came before there was a handle to pause.
        self.flow.apply();
        let handle = Mutex::new(Some(handle));
        Ok(NativeListener { handle, flow: self.flow, alive: self.alive })
    }
}

#[napi]
impl NativeListener {
    /// Pauses accepting; connections wait in the kernel's queue.
    #[napi]
    pub fn pause(&self) {
        self.flow.paused.store(true, Ordering::SeqCst);
        self.flow.apply();
    }

    /// Accepts again.
    #[napi]
    pub fn resume(&self) {
        self.flow.paused.store(false, Ordering::SeqCst);
        self.flow.apply();
    }

    /// Keeps the event loop alive while the listener is open, which is the default.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(js_name = "ref")]
    pub fn keep_alive(&self, env: Env) -> napi::Result<()> {
        self.alive.hold(&env)
    }

    /// Lets the event loop end while the listener is open.
    #[napi]
    pub fn unref(&self) {
        self.alive.release();
    }

    /// Closes the listener.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        let handle = self.handle.lock().take();
        let close = move || handle.inspect(|handle| handle.close());
        let closed = napi::bindgen_prelude::spawn_blocking(close).await.map(drop);
        self.alive.release();
        closed.map_err(|error| napi::Error::from_reason(error.to_string()))
    }
}
