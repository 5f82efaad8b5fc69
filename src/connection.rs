//! Captured connections on their way to JavaScript, where a socket of Node's takes their descriptors.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use faith_packet::mapping::Mappings;
use faith_stack::{Captured, FaithInterface};
use napi::bindgen_prelude::Function;
use napi_derive::napi;

use crate::batch::Batch;

/// A non-blocking TCP socket. Nobody else has its descriptor until it is taken; before, it is closed with this, by the end
/// of the environment too.
#[napi]
pub struct NativeSocket {
    socket: Option<OwnedFd>,
}

#[napi]
impl NativeSocket {
    /// Gives the descriptor away.
    ///
    /// # Errors
    /// When it was taken or closed before.
    #[napi]
    pub fn take(&mut self) -> napi::Result<i32> {
        let socket = self.socket.take().ok_or_else(|| napi::Error::from_reason("taken before"))?;
        Ok(socket.into_raw_fd())
    }

    /// Closes it, unless it was taken.
    #[napi]
    pub fn close(&mut self) {
        drop(self.socket.take());
    }
}

/// A captured connection.
#[napi(object, object_from_js = false)]
pub struct NativeConnection {
    /// What it is made of.
    pub socket: NativeSocket,
    /// What the client dialled.
    pub address: String,
    /// What the client dialled.
    pub port: u16,
    /// Who connected.
    pub remote_address: String,
    /// Who connected.
    pub remote_port: u16,
    /// The server that the mappings say.
    pub ipv4: Option<String>,
    /// The server's port.
    pub ipv4_port: Option<u16>,
    /// The prefix that `address` is inside.
    pub prefix: String,
    /// The worker that its packets come by.
    pub worker: u32,
}

/// Connections on their way to a callback. Those that never get there are closed.
pub(crate) struct Connections {
    batch: Batch<(usize, Captured), Vec<NativeConnection>>,
    mappings: Arc<OnceLock<Mappings>>,
}

impl Connections {
    /// Calls `callback` with connections of `interface`, and `taken` before each time.
    pub(crate) fn new(
        interface: &Arc<FaithInterface>,
        callback: &Function<'_, Vec<NativeConnection>, ()>,
        taken: impl Fn() + Send + 'static,
    ) -> napi::Result<Self> {
        let guide = interface.guide();
        let mappings = Arc::<OnceLock<Mappings>>::default();
        let mapped = Arc::clone(&mappings);
        let batch = Batch::new(callback, move |captured: Vec<(usize, Captured)>| {
            taken();
            let describe = |(worker, captured): (usize, Captured)| {
                let address = *captured.destination.ip();
                let prefix = guide.prefix_of(&address);
                let server = prefix
                    .as_ref()
                    .zip(mapped.get())
                    .and_then(|(prefix, mappings)| mappings.resolve(prefix, captured.destination));
                NativeConnection {
                    socket: NativeSocket { socket: Some(captured.socket) },
                    address: address.to_string(),
                    port: captured.destination.port(),
                    remote_address: captured.client.ip().to_string(),
                    remote_port: captured.client.port(),
                    ipv4: server.map(|server| server.ip().to_string()),
                    ipv4_port: server.map(|server| server.port()),
                    prefix: prefix.map(|prefix| prefix.to_string()).unwrap_or_default(),
                    worker: u32::try_from(worker).unwrap_or_default(),
                }
            };
            captured.into_iter().map(describe).collect()
        })?;
        Ok(Self { batch, mappings })
    }

    /// Says which servers they mean, before the first of them comes.
    pub(crate) fn map_by(&self, mappings: Mappings) {
        // They are read later than this is made, and once.
        let _ = self.mappings.set(mappings);
    }

    /// Hands over a connection whose packets come by `worker`; how many wait now.
    pub(crate) fn push(&self, worker: usize, connection: Captured) -> usize {
        self.batch.push((worker, connection))
    }

    /// Closes those that wait.
    pub(crate) fn discard(&self) {
        self.batch.discard();
    }
}
