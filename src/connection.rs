//! Captured connections on their way to JavaScript, where a socket of Node takes their descriptors.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;

use faith_packet::mapping::Mappings;
use faith_relay::Taker;
use faith_stack::{Captured, Guide};
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::batch::Batch;

/// A non-blocking TCP socket. This object alone has the descriptor until `take()`. Until then it closes the descriptor when
/// it is collected, or when the environment ends.
#[napi]
pub struct NativeSocket {
    socket: Option<OwnedFd>,
}

#[napi]
impl NativeSocket {
    /// Gives the descriptor to the caller.
    ///
    /// # Errors
    /// The descriptor was taken or closed before.
    #[napi]
    pub fn take(&mut self) -> napi::Result<i32> {
        let socket = self.socket.take().ok_or_else(|| napi::Error::from_reason("taken before"))?;
        Ok(socket.into_raw_fd())
    }

    /// Closes the descriptor, unless it was taken.
    #[napi]
    pub fn close(&mut self) {
        drop(self.socket.take());
    }
}

/// A captured connection.
#[napi(object, object_from_js = false)]
pub struct NativeConnection {
    /// Its socket.
    pub socket: NativeSocket,
    /// The address that the client dialled.
    pub address: String,
    /// The port that the client dialled.
    pub port: u16,
    /// The client's address.
    pub remote_address: String,
    /// The client's port.
    pub remote_port: u16,
    /// The server's address by the mappings, if they have one.
    pub ipv4: Option<String>,
    /// The server's port, likewise.
    pub ipv4_port: Option<u16>,
    /// The prefix that contains `address`.
    pub prefix: String,
    /// The worker that serves its packets.
    pub worker: u32,
    /// The connected server, if JavaScript stands between.
    pub server: Option<NativeSocket>,
}

/// A connection and its worker, with its server if JavaScript stands between.
type Given = (usize, Captured, Option<OwnedFd>);

/// Describes a connection that `worker` serves. `mappings` give its server.
pub(crate) fn describe(
    guide: &Guide,
    mappings: Option<&Mappings>,
    worker: usize,
    captured: Captured,
) -> NativeConnection {
    let address = *captured.destination.ip();
    let prefix = guide.prefix_of(&address);
    let server = prefix
        .as_ref()
        .zip(mappings)
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
        server: None,
    }
}

/// Connections on their way to a callback. Those that never arrive are closed.
pub(crate) struct Connections {
    batch: Batch<Given, Vec<NativeConnection>>,
    mappings: Arc<Mutex<Mappings>>,
}

impl Connections {
    /// Calls `callback` with connections of the guide's interface, and `taken` before each call.
    pub(crate) fn new(
        guide: Guide,
        callback: &Function<'_, Vec<NativeConnection>, ()>,
        taken: impl Fn() + Send + 'static,
    ) -> napi::Result<Self> {
        let mappings = Arc::<Mutex<Mappings>>::default();
        let mapped = Arc::clone(&mappings);
        let batch = Batch::new(callback, move |captured: Vec<Given>| {
            taken();
            let mappings = mapped.lock();
            let described = |(worker, captured, server): Given| NativeConnection {
                server: server.map(|server| NativeSocket { socket: Some(server) }),
                ..describe(&guide, Some(&mappings), worker, captured)
            };
            captured.into_iter().map(described).collect()
        })?;
        Ok(Self { batch, mappings })
    }

    /// Sets the mappings that give the connections' servers from now on.
    pub(crate) fn map_by(&self, mappings: Mappings) {
        *self.mappings.lock() = mappings;
    }

    /// Hands over a connection that `worker` serves, and maybe its server. Returns the number of connections that wait now.
    pub(crate) fn push(&self, worker: usize, connection: Captured, server: Option<OwnedFd>) -> usize {
        self.batch.push((worker, connection, server))
    }

    /// Closes the connections that wait.
    pub(crate) fn discard(&self) {
        self.batch.discard();
    }
}

/// Needs no pause: the program has asked for each of these connections, by its route or its local services.
impl Taker for Connections {
    fn take(&self, worker: usize, connection: Captured) {
        self.push(worker, connection, None);
    }

    fn stand_between(&self, worker: usize, client: Captured, server: OwnedFd) {
        self.push(worker, client, Some(server));
    }

    fn closing(&self) {
        self.discard();
    }
}
