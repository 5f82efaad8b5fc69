//! The relay: captured connections in, sessions with IPv4 servers out.
//!
//! ```text
//!  SYN offered ──► admit (mapping, policy, limit) ──► connect ──► pairing table ──► SYN to the kernel
//!                                                                       │                  │
//!                                             session ◄── join ◄────────┴──── accepted ◄───┘
//! ```
//!
//! All of a session happens on the thread of the worker that accepted it: one task, two sockets, two
//! directions. The data path takes no lock and shares nothing with other threads.
//!
//! | module | holds |
//! |---|---|
//! | `relay`, `options`, `record`, `cause`, `counters`, `tally` | the public surface |
//! | `admission`, `clients`, `permission`, `room`, `route`, `terms` | who may go where |
//! | `engine`, `begin`, `course` | a relay's rules; what becomes of a SYN and of an accepted connection |
//! | `ledger`, `tasks`, `live`, `reports`, `shortage` | sessions as they are known from outside; the relay's end; who is told what |
//! | `attempt`, `began`, `pairing`, `spares` | a session before it is one, its 4-tuple and its descriptor |
//! | `upstream`, `source`, `taken_ports`, `connect_error`, `refusal` | connecting, where from, and what a failure means |
//! | `splice` | sessions of connections that JavaScript accepted |
//! | `session`, `side`, `ending`, `leg`, `direction`, `pipes`, `clock`, `alarm`, `first_word` | moving bytes, half-close, reset, idle |
//!
//! Its worker threads must run tokio with I/O and time enabled, in a `LocalRuntime`, and the process must
//! ignore `SIGPIPE`.

#![forbid(unsafe_code)]

mod admission;
mod alarm;
mod attempt;
mod began;
mod begin;
mod cause;
mod clients;
mod clock;
mod connect_error;
mod counters;
mod course;
mod direction;
mod ending;
mod engine;
mod first_word;
mod ledger;
mod leg;
mod live;
mod options;
mod pairing;
mod permission;
mod pipes;
mod record;
mod refusal;
mod relay;
mod reports;
mod room;
mod route;
mod session;
mod shortage;
mod side;
mod source;
mod spares;
mod splice;
mod taken_ports;
mod tally;
mod tasks;
mod terms;
mod upstream;

#[cfg(test)]
mod tests;

pub use cause::Cause;
pub use clients::ClientLimits;
pub use connect_error::ConnectError;
pub use counters::{RelayStats, SessionStats, Untold};
pub use live::LiveSession;
pub use options::RelayOptions;
pub use permission::Permission;
pub use record::{Observer, RefusalReason, RefusalRecord, SessionEnd, SessionRecord};
pub use relay::Relay;
pub use route::{Question, Reject, Route, Routing, Verdict};
pub use shortage::Shortages;
pub use splice::{Connection, NoServer, Server, Splice, SpliceHandle, Splices, take_back};
pub use tally::{RefusalTally, SessionTally};
pub use terms::Terms;
