//! The N-API bindings: arguments in, values out. Errors cross as values, and `lib/errors.ts` throws them, because an async
//! native function cannot throw an error that has a code.
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "an Env is borrowed for as long as it is valid")]
#![expect(clippy::struct_excessive_bools, reason = "options as JavaScript gives them")]

pub mod addresses;
pub mod advertise;
mod batch;
pub mod bound_udp;
pub mod connection;
pub mod detail;
pub mod dial;
pub mod dns64;
pub mod dns64_stats;
pub mod failure;
pub mod host_sockets;
pub mod interface;
mod keep_alive;
pub mod listener;
pub mod live;
pub mod log;
pub mod networks;
pub mod notify;
pub mod options;
pub mod permission;
pub mod place;
pub mod privileges;
pub mod relay;
pub mod relay_options;
pub mod resolve;
pub mod route;
mod shortage;
pub mod sources;
pub mod splice;
pub mod stats;
pub mod support;
pub mod telling;
pub mod threads;

use napi_derive::napi;

/// Switches capturing on or off for the process.
#[napi]
pub fn set_keepfaith(on: bool) {
    faith_stack::set_keepfaith(on);
}

/// Tells whether faith interfaces of this process capture.
#[napi]
#[must_use]
pub fn get_keepfaith() -> bool {
    faith_stack::keepfaith()
}
