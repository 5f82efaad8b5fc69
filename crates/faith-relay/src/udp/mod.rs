//! Datagrams of UDP and echo requests, relayed without entering the stack.
//!
//! ```text
//! pump ─► Part ─► Endpoint (a client's port) ─► Session (a destination) ─► Mapping (a socket) ═► server
//!  ▲                  │                             ▲                          │
//!  └── faith0 ◄───────┴──────── filter ◄────────────┴──────────────────────────┘
//! ```
//!
//! Each worker has a part of the relay. A client's port has one socket on the IPv4 side, whatever it sends to
//! (endpoint-independent mapping, RFC 4787 REQ-1): servers see one address and port. A second socket exists only where the
//! access list names another outgoing address for some destinations. A session is one destination of that port: it has the
//! record, the timeout and the answers' source address. A mapping ends with its last session.
//!
//! Echo requests go the same way: their identifier takes the place of the client's port, and a destination has port 0. A
//! relay of both protocols has a part for each on every worker. The parts share limits.
//!
//! Neither side says when it has ended, so timeouts decide: by the server's port, from the client's last datagram on.
//!
//! | module | holds |
//! |---|---|
//! | `options`, `stats` | the public surface |
//! | `state` | the state that the workers share: limits, and the ports of clients |
//! | `part` | one worker's clients, and the begin of their sessions |
//! | `endpoint` | a client's port |
//! | `undecided`, `waiting` | the first datagrams of a session, while the route decides about it |
//! | `session` | one destination of a client's port, and its end |
//! | `mapping`, `ports` | the sockets of clients, their ports, and superframes |
//! | `wire` | the kinds of sockets, and a raw one that many clients share |
//! | `up`, `gathered` | datagrams of clients to servers, and those that wait for the next ones |
//! | `down`, `route_back` | datagrams of servers to clients, and those that are filtered |
//! | `run` | datagrams that leave together |
//! | `errors`, `path` | errors of the network for clients, and MTUs |
//! | `to_server` | errors of clients and the routers on their side, for servers |

mod down;
mod endpoint;
mod errors;
mod gathered;
mod mapping;
mod options;
mod part;
pub(crate) mod path;
mod ports;
mod route_back;
mod run;
mod session;
mod state;
mod stats;
mod to_server;
mod undecided;
mod up;
mod waiting;
mod wire;

#[cfg(test)]
mod tests;

pub use options::{Filtering, Oversize, UdpOptions, UdpTimeouts};
pub use stats::UdpStats;

pub(crate) use part::Part;
pub(crate) use state::State;
