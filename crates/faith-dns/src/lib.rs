//! A DNS server that asks others, and synthesises AAAA records by faith-dns64.
//!
//! ```text
//! client ─► udp, tcp ─► request ─► forwarder ─┬─► faith-dns64
//!                                             ├─► hook: the program's own names
//!                                             ├─► cache
//!                                             └─► resolver ─► peer ─┬─► plain: UDP, or a session if truncated
//!                                                                   └─► session: TCP, TLS, HTTPS
//! ```
//!
//! | module | part |
//! |---|---|
//! | `server` | sockets and thread |
//! | `settings` | the settings and decisions that hold for a query |
//! | `udp`, `tcp` | queries of clients in, responses out, over TLS too |
//! | `request` | a query, or the error that answers it |
//! | `forwarder` | the way from a query to its response |
//! | `hook` | names that the program answers |
//! | `entry`, `cache` | responses of upstreams, and those made of them |
//! | `failures` | questions that upstreams have failed |
//! | `upstream`, `secure`, `resolv_conf` | the servers to ask, as they are given |
//! | `resolver`, `peers`, `peer`, `round_trip` | the order and the times of asking them |
//! | `naming` | upstreams by name, which others look up |
//! | `health`, `record` | upstreams that do not answer, and the figures of each |
//! | `loops` | upstreams that ask this server |
//! | `ask`, `plain` | a query to one of them, over UDP |
//! | `session`, `connect`, `link`, `stream`, `doh` | queries over TCP, TLS and HTTPS, many on one connection |
//! | `tls`, `certificate` | roots, and the certificate for clients |
//! | `clients` | limits of each client |
//! | `wire` | messages as octets |
//!
//! Responses of upstreams pass as octets, except for synthesised ones. hickory-server takes responses as records and
//! writes them itself. hickory-net gives the octets of a response as they came, but drops one that it cannot read as
//! records, as if it had never come; it takes responses of any length over HTTPS, and never closes an idle connection.
//! So the transports here are their own, on tokio, rustls and h2, and hickory-proto is used for synthesised
//! responses alone.
//!
//! One thread does everything, so nothing is locked. A server on `::` answers from the address that was asked.

#![forbid(unsafe_code)]

mod ask;
mod cache;
mod certificate;
mod clients;
mod connect;
mod counters;
mod doh;
mod entry;
mod failures;
mod forwarder;
mod health;
mod hook;
mod link;
mod loops;
mod naming;
#[cfg(any(test, fuzzing))]
pub mod octets;
#[cfg(test)]
mod open_gate;
mod peer;
mod peers;
mod plain;
mod record;
mod request;
mod resolv_conf;
mod resolver;
mod round_trip;
mod secure;
mod server;
mod session;
mod settings;
mod stream;
mod tcp;
mod tls;
mod udp;
mod upstream;
mod wire;

pub use certificate::{BadCertificate, Certificate};
pub use clients::Limits;
pub use counters::Stats;
pub use hook::{Hook, OwnQuery, Resolve, Zone};
pub use record::{Condition, UpstreamState};
pub use secure::{SecureUpstream, UpstreamSyntaxError};
pub use server::{Server, ServerError, ServerOptions};
pub use settings::{ClientNetworks, Fault, Gate};
pub use tls::{NoRoots, Roots};
pub use upstream::{Upstream, Upstreams};
