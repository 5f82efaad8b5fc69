//! TCP sockets of the host, which another program has made and gave to this process.

use std::net::SocketAddrV6;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use faith_packet::excerpt::excerpt;
use faith_relay::Relay;
use faith_stack::{HostSockets, StackError, Warning};
use faith_sys::{host, tcp};
use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Function, PromiseRaw, spawn_blocking};
use napi_derive::napi;

use crate::batch::Batch;
use crate::failure::{NativeFailure, Outcome, blocking, outcome};
use crate::interface::NativeWarning;
use crate::log::NativeLog;
use crate::options::{self, NativeRelayOptions};
use crate::relay::{NativeRelay, PreparedRelay};
use crate::telling::NativeRelayCallbacks;

/// The place at which syslog daemons take messages (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// The addresses of a TCP socket of IPv6.
#[napi(object)]
pub struct NativeSocketEnds {
    /// The local address: for a captured connection, the one that the client dialled.
    pub address: String,
    /// The local port.
    pub port: u16,
    /// The client's address; absent for a listening socket.
    pub remote_address: Option<String>,
    /// The client's port, likewise.
    pub remote_port: Option<u16>,
}

/// Looks at a descriptor. `null` if it is not a listening or connected TCP socket of IPv6.
#[napi]
#[must_use]
pub fn socket_ends(descriptor: i32) -> Option<NativeSocketEnds> {
    let socket = tcp::duplicate(descriptor).ok()?;
    let (local, client) = host::ends(&socket).ok()?;
    Some(NativeSocketEnds {
        address: local.ip().to_string(),
        port: local.port(),
        remote_address: client.map(|client| client.ip().to_string()),
        remote_port: client.as_ref().map(SocketAddrV6::port),
    })
}

/// Replaces a standard descriptor, 0 to 2, by /dev/null, or with `toSyslog` by a socket to which each write is a message to
/// syslog, if this host has one.
#[napi(ts_return_type = "NativeFailure | null")]
#[must_use]
pub fn replace_standard(descriptor: u32, to_syslog: bool) -> Outcome<()> {
    let syslog = || UnixDatagram::unbound().and_then(|socket| socket.connect(SYSLOG).map(|()| socket.into()));
    let replaced = (if to_syslog { syslog().ok() } else { None })
        .map_or_else(host::null, Ok)
        .and_then(|other: OwnedFd| host::replace_standard(descriptor, &other));
    outcome(replaced.map_err(|source| {
        let what = format!("replace descriptor {descriptor}");
        StackError::System { what, syscall: "dup2", source, hint: None }.into()
    }))
}

/// Serves sockets of the host.
#[napi]
pub struct NativeHostSockets {
    host: Arc<HostSockets>,
}

/// Prepares to serve sockets of the host, whose local addresses are mapped by these prefixes. Calls `onWarnings` as
/// `createInterface` does.
///
/// # Errors
/// The environment is closing. The promise resolves to every other failure.
#[napi(ts_return_type = "Promise<NativeFailure | NativeHostSockets>")]
pub fn open_host_sockets<'env>(
    env: &'env Env,
    prefixes: Vec<String>,
    #[napi(ts_arg_type = "(batch: NativeWarning[]) => void")] on_warnings: Function<
        '_,
        Vec<NativeWarning>,
        (),
    >,
) -> napi::Result<PromiseRaw<'env, Outcome<NativeHostSockets>>> {
    let warnings = Batch::new(&on_warnings, |warnings: Vec<Warning>| {
        warnings.into_iter().map(NativeWarning::from).collect()
    })?;
    env.spawn_future(blocking(move || {
        let prefixes = prefixes.iter().map(|text| options::prefix(text)).collect::<Result<Vec<_>, _>>()?;
        let warned = Box::new(move |warning| {
            warnings.push(warning);
        });
        Ok(NativeHostSockets { host: Arc::new(HostSockets::start(&prefixes, warned)?) })
    }))
}

#[napi]
impl NativeHostSockets {
    /// The name in messages, in place of an interface's.
    #[napi(getter)]
    #[must_use]
    pub fn name(&self) -> String {
        "sockets".to_owned()
    }

    /// Relays the connections of these sockets: of connected ones, and those that listening ones accept. It duplicates the
    /// descriptors, and the caller closes its own. Reports its events as `NativeInterface.relay` does.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeRelay>")]
    pub fn relay<'env>(
        &self,
        env: &'env Env,
        sockets: Vec<i32>,
        options: NativeRelayOptions,
        callbacks: NativeRelayCallbacks<'_>,
        log: Option<ClassInstance<'_, NativeLog>>,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeRelay>>> {
        let host = Arc::clone(&self.host);
        let prepared = PreparedRelay::new(env, host.guide(), &callbacks, log.map(|log| log.share()))?;
        let sockets: Result<Vec<OwnedFd>, NativeFailure> = sockets.into_iter().map(duplicate).collect();
        env.spawn_future(blocking(move || {
            let sockets = sockets?;
            prepared.open(options, |options, observer| Relay::start_on(&host, options, sockets, observer))
        }))
    }

    /// Ends every relay of these sockets at once.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        let host = Arc::clone(&self.host);
        spawn_blocking(move || host.close())
            .await
            .map_err(|error| napi::Error::from_reason(error.to_string()))
    }
}

fn duplicate(descriptor: i32) -> Result<OwnedFd, NativeFailure> {
    tcp::duplicate(descriptor).map_err(|source| {
        let what = format!("take the socket {}", excerpt(&descriptor.to_string()));
        StackError::System { what, syscall: "fcntl", source, hint: None }.into()
    })
}
