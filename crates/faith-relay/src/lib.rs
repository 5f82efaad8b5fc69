//! The relay: makes sessions with servers out of captured connections.
//!
//! ```text
//!  SYN offered ──► admit (mapping, policy, limit) ──► connect ──► pairing table ──► SYN to the kernel
//!                                                                       │                  │
//!                                             session ◄── join ◄────────┴──── accepted ◄───┘
//! ```
//!
//! A session lives on the thread of the worker that accepted it: one task, two sockets, two directions. Its data path
//! takes no lock and shares nothing with other threads.
//!
//! | module | holds |
//! |---|---|
//! | `relay`, `options`, `record`, `port_block`, `cause`, `counters`, `tally`, `durations` | the public surface |
//! | `admission`, `clients`, `denying_rule`, `permission`, `room`, `route`, `terms` | policy and limits |
//! | `engine`, `begin`, `between`, `course` | a relay's rules, and the steps from a SYN or an accepted connection to a session |
//! | `ledger`, `tasks`, `live`, `names`, `detail`, `slow`, `networks`, `source_use`, `reports`, `shortage` | the list of sessions, the relay's end, reports to the observer |
//! | `attempt`, `began`, `pairing`, `spares` | attempts, their 4-tuples and descriptors |
//! | `upstream`, `source`, `port_blocks`, `port_claims`, `taken_ports`, `connect_error`, `offender`, `refusal` | connecting, source addresses and ports, failures |
//! | `splice`, `dial` | sessions of connections that JavaScript accepted, connections to clients |
//! | `udp`, `bound` | sessions of datagrams, a program's own ports of datagrams |
//! | `session`, `side`, `ending`, `leg`, `direction`, `pipes`, `clock`, `alarm`, `first_word` | moving bytes, half-close, reset, idle |
//!
//! The worker threads must run tokio with I/O and time enabled, in a `LocalRuntime`. The process must ignore `SIGPIPE`.

#![forbid(unsafe_code)]

mod admission;
mod alarm;
mod attempt;
mod began;
mod begin;
mod between;
mod bound;
mod cause;
mod clients;
mod clock;
mod connect_error;
mod counters;
mod course;
mod denying_rule;
mod detail;
mod dial;
mod direction;
mod durations;
mod ending;
mod engine;
mod first_word;
mod ledger;
mod leg;
mod live;
mod local;
pub mod names;
mod networks;
mod offender;
mod options;
mod pairing;
mod permission;
mod pipes;
mod port_block;
mod port_blocks;
mod port_claims;
mod record;
mod refusal;
mod relay;
mod reports;
mod room;
mod route;
mod session;
mod shortage;
mod side;
mod slow;
mod source;
mod source_use;
mod spares;
mod splice;
mod taken_ports;
mod tally;
mod tasks;
mod terms;
mod udp;
mod upstream;

#[cfg(test)]
mod tests;

pub use bound::{BoundUdp, BoundUdpStats, Hearer, Message, SendError};
pub use cause::Cause;
pub use clients::{ClientLimits, Place};
pub use connect_error::ConnectError;
pub use counters::{ProtocolStats, RelayStats, SessionStats, Untold};
pub use denying_rule::DenyingRule;
pub use detail::SessionDetail;
pub use dial::Dial;
pub use durations::ConnectDurations;
pub use faith_packet::protocol::Protocol;
pub use faith_sys::info::TcpInfo;
pub use live::{LiveSession, SessionState};
pub use local::{Local, LocalService, Taker};
pub use networks::ClientNetwork;
pub use options::RelayOptions;
pub use permission::Permission;
pub use port_block::PortBlockRecord;
pub use port_blocks::PortBlockOptions;
pub use record::{Observer, RefusalReason, RefusalRecord, SessionBegin, SessionEnd, SessionRecord};
pub use relay::Relay;
pub use route::{Question, Reject, Route, Routing, Verdict};
pub use shortage::Shortages;
pub use side::Side;
pub use source_use::SourceUse;
pub use splice::{Connection, NoServer, Server, Splice, SpliceHandle, Splices, take_back};
pub use tally::{AbortTally, RefusalTally, SessionTally};
pub use terms::Terms;
pub use udp::{Filtering, Oversize, UdpOptions, UdpStats, UdpTimeouts};
