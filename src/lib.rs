//! The N-API bindings: arguments in, values out. Errors cross as values and are thrown in `lib/errors.ts`,
//! because an async function cannot throw an error that has a code.
#![allow(unsafe_code, reason = "what napi_derive generates")]
#![allow(unreachable_pub, reason = "what is pub is exported to JavaScript")]

mod batch;
mod failure;
mod interface;
mod keep_alive;
mod listener;
mod options;
mod relay;
mod stats;

use napi_derive::napi;

/// Switches capturing on or off for the process.
#[napi]
pub fn set_keepfaith(on: bool) {
    faith_stack::set_keepfaith(on);
}

/// Whether faith interfaces capture.
#[napi]
#[must_use]
pub fn get_keepfaith() -> bool {
    faith_stack::keepfaith()
}

/// The version of the addon.
#[napi]
#[must_use]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
