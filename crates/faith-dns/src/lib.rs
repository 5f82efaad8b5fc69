//! A DNS server that asks others, and synthesises AAAA records by faith-dns64.
//!
//! ```text
//! client ─► udp, tcp ─► request ─► forwarder ─┬─► faith-dns64
//!                                             ├─► hook: the program's own names
//!                                             ├─► cache
//!                                             └─► upstream ─► UDP, or TCP if truncated
//! ```
//!
//! | module | part |
//! |---|---|
//! | `server` | sockets and thread |
//! | `settings` | the settings and decisions that hold for a query |
//! | `udp`, `tcp` | queries of clients in, responses out |
//! | `request` | a query, or the error that answers it |
//! | `forwarder` | the way from a query to its response |
//! | `hook` | names that the program answers |
//! | `entry`, `cache` | responses of upstreams |
//! | `made` | synthesised responses beside them |
//! | `upstream`, `resolv_conf` | the servers that are asked |
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

mod cache;
mod clients;
mod counters;
mod entry;
mod forwarder;
mod hook;
mod made;
mod request;
mod resolv_conf;
mod server;
mod settings;
mod tcp;
mod udp;
mod upstream;
mod wire;

pub use clients::Limits;
pub use counters::Stats;
pub use hook::{Hook, OwnQuery, Resolve, Zone};
pub use server::{Server, ServerError, ServerOptions};
pub use settings::{ClientNetworks, Gate};
pub use upstream::Upstreams;
