//! Captured sockets that JavaScript gives back.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use faith_packet::access::DenyReason;
use faith_packet::proxy;
use faith_relay::{
    ConnectError, Connection, NoServer, Server, SessionRecord, Splice, SpliceHandle, take_back,
};
use faith_stack::StackError;
use faith_sys::tcp;
use napi::Env;
use napi::bindgen_prelude::{Buffer, ClassInstance, PromiseRaw};
use napi_derive::napi;
use parking_lot::Mutex;

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::interface::NativeInterface;
use crate::options;
use crate::stats::{milliseconds, number};

/// One of the two connections of a splice that has not begun. Closing or collecting this object resets the connection.
#[napi]
pub struct NativeLeg {
    connection: Mutex<Option<Connection>>,
}

impl NativeLeg {
    fn new(connection: Connection) -> Self {
        Self { connection: Mutex::new(Some(connection)) }
    }

    fn take(&self) -> Option<Connection> {
        self.connection.lock().take()
    }
}

#[napi]
impl NativeLeg {
    /// Resets the connection, unless it was spliced.
    #[napi]
    pub fn close(&self) {
        drop(self.take());
    }
}

/// The captured connection of a splice.
#[napi(object)]
pub struct NativeCaptured {
    /// The address that the client dialled.
    pub address: String,
    /// The port that the client dialled.
    pub port: u16,
    /// The client's address.
    pub remote_address: String,
    /// The client's port.
    pub remote_port: u16,
    /// The worker that serves its packets.
    pub worker: u32,
}

/// A server to connect to.
#[napi(object)]
pub struct NativeServer {
    /// Its IPv4 or IPv6 address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The address that the connection comes from, of the server's family.
    pub local_address: Option<String>,
    /// The version of the PROXY protocol: 1 or 2.
    pub proxy_protocol: Option<u8>,
    /// True lets it be a special-purpose address, one of the host's own or a loopback one.
    pub allow_any: Option<bool>,
    /// Longest time that it may take to answer, in milliseconds.
    pub connect_timeout_ms: u32,
}

/// The options of a splice, and bytes that JavaScript has read before.
#[napi(object)]
pub struct NativeSpliceOptions {
    /// Longest time that no byte may pass, in milliseconds; 0 is no limit.
    pub idle_timeout_ms: u32,
    /// Time after which a silent peer counts as dead, in milliseconds.
    pub keep_alive_timeout_ms: u32,
    /// Bytes that were read from the client already.
    pub up: Buffer,
    /// Bytes that were read from the server already.
    pub down: Buffer,
}

/// A splice that has ended.
#[napi(object)]
pub struct NativeSpliced {
    /// Bytes from the client to the server.
    pub bytes_up: f64,
    /// Bytes from the server to the client.
    pub bytes_down: f64,
    /// Time from its begin to its end, in milliseconds.
    pub duration_ms: f64,
    /// The reason for its end.
    pub reason: String,
}

/// The handle of one splice, valid from before its server is connected until after its end.
#[napi]
#[derive(Default)]
pub struct NativeSpliceHandle {
    handle: SpliceHandle,
}

impl NativeSpliceHandle {
    pub(crate) fn handle(&self) -> SpliceHandle {
        self.handle.clone()
    }
}

#[napi]
impl NativeSpliceHandle {
    /// Makes the handle of a splice that has not begun.
    #[napi(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the splice now, or as soon as it begins.
    #[napi]
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// Bytes from the client to the server so far.
    #[napi(getter)]
    #[must_use]
    pub fn bytes_up(&self) -> f64 {
        number(self.handle.bytes_up())
    }

    /// Bytes from the server to the client so far.
    #[napi(getter)]
    #[must_use]
    pub fn bytes_down(&self) -> f64 {
        number(self.handle.bytes_down())
    }
}

/// Takes the connections of these sockets, all or none. The caller then closes its descriptors, and the connections go on.
#[napi(ts_return_type = "NativeFailure | NativeLeg[]")]
#[must_use]
pub fn take_sockets(descriptors: Vec<i32>) -> Outcome<Vec<NativeLeg>> {
    let taken = take_back(&descriptors).map(|taken| taken.into_iter().map(NativeLeg::new).collect());
    outcome(taken.map_err(|error| refused("take the socket".to_owned(), "fcntl", error)))
}

/// Sends one byte as urgent on the socket of this descriptor; false if its send queue is full.
#[napi(ts_return_type = "NativeFailure | boolean")]
#[must_use]
pub fn send_urgent(descriptor: i32, byte: u8) -> Outcome<bool> {
    let sent = tcp::duplicate(descriptor).and_then(|socket| tcp::transmit_urgent(&socket, byte));
    outcome(match sent {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(refused("send an urgent byte".to_owned(), "send", error)),
    })
}

#[napi]
impl NativeInterface {
    /// Connects to a server for a captured connection. If the handle is stopped, the resulting failure has no meaning.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeLeg>")]
    pub fn connect<'env>(
        &self,
        env: &'env Env,
        captured: NativeCaptured,
        server: NativeServer,
        #[napi(ts_arg_type = "NativeSpliceHandle")] handle: &NativeSpliceHandle,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeLeg>>> {
        let name = self.interface.name().to_owned();
        let begun = read_server(&captured, &server).map(|server| {
            let handle = handle.handle.clone();
            (server.address, self.splices.connect(captured.worker as usize, server, handle))
        });
        env.spawn_future(async move {
            let (address, connected) = match begun {
                Ok(begun) => begun,
                Err(failure) => return Ok(outcome(Err(failure))),
            };
            Ok(outcome(match connected.await {
                Some(Ok(connection)) => Ok(NativeLeg::new(connection)),
                Some(Err(NoServer::Denied(reason))) => Err(denied(address, reason)),
                Some(Err(NoServer::Failed(error))) => Err(not_connected(address, error)),
                None => Err(StackError::Closed(name).into()),
            }))
        })
    }

    /// Splices two connections, the client's first, and resolves at the end. Neither can be used again.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeSpliced>")]
    pub fn splice<'env>(
        &self,
        env: &'env Env,
        captured: NativeCaptured,
        options: NativeSpliceOptions,
        #[napi(ts_arg_type = "NativeLeg[]")] legs: Vec<ClassInstance<'env, NativeLeg>>,
        #[napi(ts_arg_type = "NativeSpliceHandle")] handle: &NativeSpliceHandle,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeSpliced>>> {
        let name = self.interface.name().to_owned();
        let begun = read_splice(&captured, &options, legs.iter().map(|leg| leg.take()).collect())
            .map(|splice| self.splices.begin(captured.worker as usize, splice, handle.handle.clone()));
        // The future must not hold the interface, which closes when JavaScript drops it.
        env.spawn_future(async move {
            Ok(outcome(match begun {
                Ok(ended) => ended.await.map(spliced).ok_or_else(|| StackError::Closed(name).into()),
                Err(failure) => Err(failure),
            }))
        })
    }
}

fn spliced(record: SessionRecord) -> NativeSpliced {
    NativeSpliced {
        bytes_up: number(record.bytes_up),
        bytes_down: number(record.bytes_down),
        duration_ms: milliseconds(record.duration),
        reason: record.reason.name().to_owned(),
    }
}

fn read_server(captured: &NativeCaptured, server: &NativeServer) -> Result<Server, NativeFailure> {
    let version = match server.proxy_protocol {
        None => None,
        Some(1) => Some(proxy::Version::V1),
        Some(2) => Some(proxy::Version::V2),
        Some(other) => return Err(wrong(format!("proxyProtocol is 1 or 2, not {other}"))),
    };
    let (source, destination) = ends(captured)?;
    Ok(Server {
        address: SocketAddr::new(options::ip(&server.host)?, server.port),
        allow_any: server.allow_any == Some(true),
        source: server.local_address.as_deref().map(options::ip).transpose()?,
        header: version.map(|version| proxy::header(version, source, destination)),
        connect_timeout: Duration::from_millis(server.connect_timeout_ms.into()),
    })
}

fn read_splice(
    captured: &NativeCaptured,
    options: &NativeSpliceOptions,
    legs: Option<Vec<Connection>>,
) -> Result<Splice, NativeFailure> {
    let (source, destination) = ends(captured)?;
    let [client, server] = legs.and_then(|legs| legs.try_into().ok()).ok_or_else(|| {
        wrong("a splice needs two connections, neither closed nor spliced before".to_owned())
    })?;
    let idle = Duration::from_millis(options.idle_timeout_ms.into());
    Ok(Splice {
        source,
        destination,
        client,
        server,
        up: options.up.to_vec(),
        down: options.down.to_vec(),
        idle_timeout: (!idle.is_zero()).then_some(idle),
        keep_alive: Duration::from_millis(options.keep_alive_timeout_ms.into()),
    })
}

/// Parses the client and the dialled destination.
fn ends(captured: &NativeCaptured) -> Result<(SocketAddrV6, SocketAddrV6), NativeFailure> {
    let NativeCaptured { address, port, remote_address, remote_port, .. } = captured;
    Ok((end(remote_address, *remote_port)?, end(address, *port)?))
}

pub(crate) fn end(address: &str, port: u16) -> Result<SocketAddrV6, NativeFailure> {
    Ok(SocketAddrV6::new(options::ipv6(address)?, port, 0, 0))
}

fn wrong(message: String) -> NativeFailure {
    NativeFailure::new("ERR_FAITH_ARGUMENT", message)
}

fn denied(server: SocketAddr, reason: DenyReason) -> NativeFailure {
    let address = server.ip();
    let why = match reason {
        DenyReason::OwnAddress => "is one of this host's own addresses",
        DenyReason::Loopback => "is a loopback address",
        _ => "is a special-purpose address, not a public one",
    };
    let message = format!(
        "cannot connect to {server}: {address} {why} ({}); `allowAny: true` permits it",
        reason.name()
    );
    let mut failure = NativeFailure::new("ERR_FAITH_DENIED", message);
    failure.hint = Some("give allowAny: true only if clients cannot choose the address".into());
    failure
}

fn not_connected(server: SocketAddr, error: ConnectError) -> NativeFailure {
    match error {
        ConnectError::Source { address, error } => refused(format!("connect from {address}"), "bind", error),
        ConnectError::Prohibited(error)
        | ConnectError::Reported { error, .. }
        | ConnectError::Ports { error, .. }
        | ConnectError::Other(error) => refused(format!("connect to {server}"), "connect", error),
    }
}

pub(crate) fn refused(what: String, syscall: &'static str, source: io::Error) -> NativeFailure {
    StackError::System { what, syscall, source, hint: None }.into()
}
