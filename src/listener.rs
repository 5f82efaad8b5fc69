//! Captured connections, accepted in Rust and handed to JavaScript as descriptors.

use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use faith_packet::rfc6052;
use faith_stack::{Captured, FaithInterface, ListenOptions, ListenerHandle, Service};
use napi::Env;
use napi_derive::napi;

use crate::batch::Batch;
use crate::failure::NativeFailure;
use crate::keep_alive::KeepAlive;

/// Connections that may wait for the event loop before accepting rests.
const WAITING: usize = 512;

/// A captured connection. Whoever gets it owns the descriptor.
#[napi(object)]
pub struct NativeConnection {
    /// A non-blocking TCP socket.
    pub fd: i32,
    /// What the client dialled.
    pub address: String,
    /// What the client dialled.
    pub port: u16,
    /// Who connected.
    pub remote_address: String,
    /// Who connected.
    pub remote_port: u16,
    /// The IPv4 address inside `address` (RFC 6052).
    pub ipv4: Option<String>,
    /// The prefix that `address` is inside.
    pub prefix: String,
    /// The worker that its packets come by.
    pub worker: u32,
}

/// What hands connections to JavaScript.
pub(crate) type Connections = Batch<(usize, Captured), Vec<NativeConnection>>;

/// The service of a JavaScript listener: it passes connections on, and lets accepting rest while the event loop
/// has not kept up.
struct Handing {
    connections: Connections,
    flow: Arc<Flow>,
}

/// Who wants accepting to rest.
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
        if self.connections.push((worker, connection)) >= WAITING
            && !self.flow.behind.swap(true, Ordering::SeqCst)
        {
            self.flow.apply();
        }
    }
}

/// A faith listener.
#[napi]
pub struct NativeListener {
    handle: Arc<ListenerHandle>,
    flow: Arc<Flow>,
    alive: KeepAlive,
}

/// What a listener is prepared with on the JavaScript thread, before it is opened on another.
pub(crate) struct Prepared {
    handing: Arc<Handing>,
    flow: Arc<Flow>,
    alive: KeepAlive,
}

impl Prepared {
    pub(crate) fn new(
        env: &Env,
        interface: &Arc<FaithInterface>,
        callback: &napi::bindgen_prelude::Function<'_, Vec<NativeConnection>, ()>,
    ) -> napi::Result<Self> {
        let flow = Arc::new(Flow::default());
        let (resumed, faith) = (Arc::clone(&flow), Arc::downgrade(interface));
        let connections = Batch::new(callback, move |captured: Vec<(usize, Captured)>| {
            resumed.caught_up();
            let prefixes = faith.upgrade().map(|faith| faith.prefixes()).unwrap_or_default();
            let describe = |(worker, captured): (usize, Captured)| {
                let address = *captured.destination.ip();
                let prefix = prefixes.find(&address);
                NativeConnection {
                    fd: captured.socket.into_raw_fd(),
                    address: address.to_string(),
                    port: captured.destination.port(),
                    remote_address: captured.client.ip().to_string(),
                    remote_port: captured.client.port(),
                    ipv4: prefix
                        .and_then(|prefix| rfc6052::extract(prefix, address))
                        .map(|ipv4| ipv4.to_string()),
                    prefix: prefix.map(ToString::to_string).unwrap_or_default(),
                    worker: u32::try_from(worker).unwrap_or_default(),
                }
            };
            captured.into_iter().map(describe).collect()
        })?;
        let handing = Arc::new(Handing { connections, flow: Arc::clone(&flow) });
        Ok(Self { handing, flow, alive: KeepAlive::new(env)? })
    }

    pub(crate) fn open(
        self,
        interface: &FaithInterface,
        options: ListenOptions,
    ) -> Result<NativeListener, NativeFailure> {
        let handle = Arc::new(interface.listen(options, self.handing)?);
        // The only one to set it.
        let _ = self.flow.handle.set(Arc::downgrade(&handle));
        // Connections may have come before there was a handle to pause.
        self.flow.apply();
        Ok(NativeListener { handle, flow: self.flow, alive: self.alive })
    }
}

#[napi]
impl NativeListener {
    /// Lets accepting rest; connections wait in the kernel's queue.
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

    /// Keeps the event loop alive while the listener is open; so it is from the start.
    ///
    /// # Errors
    /// When the environment is closing.
    #[napi(js_name = "ref")]
    pub fn keep_alive(&self, env: Env) -> napi::Result<()> {
        self.alive.hold(&env)
    }

    /// Lets the event loop end although the listener is open.
    #[napi]
    pub fn unref(&self) {
        self.alive.release();
    }

    /// Takes no more connections.
    ///
    /// # Errors
    /// When the environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        let handle = Arc::clone(&self.handle);
        let closed = napi::bindgen_prelude::spawn_blocking(move || handle.close()).await;
        self.alive.release();
        closed.map_err(|error| napi::Error::from_reason(error.to_string()))
    }
}
