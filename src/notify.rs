//! Tells a service manager how the process is, and asks the workers for that.

use napi_derive::napi;

/// A worker that does not answer.
#[napi(object)]
pub struct NativeSilentWorker {
    /// The name of its thread: `faith0/1`.
    pub name: String,
    /// The number of calls in a row that found it silent.
    pub looks: u32,
}

/// Gives the workers that have not answered since the last call, and asks all others again.
#[napi]
#[must_use]
pub fn silent_workers() -> Vec<NativeSilentWorker> {
    let native = |faith_stack::SilentWorker { name, looks }| NativeSilentWorker { name, looks };
    faith_stack::silent_workers().into_iter().map(native).collect()
}

/// Sends a message to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). Blocks for a second at most.
///
/// # Errors
/// The message cannot be sent.
#[napi]
pub fn notify(socket: String, message: String) -> napi::Result<()> {
    faith_sys::notify::notify(&socket, &message).map_err(|error| napi::Error::from_reason(error.to_string()))
}
