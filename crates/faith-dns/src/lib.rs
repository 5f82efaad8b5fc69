//! A DNS server that asks others, and synthesises AAAA records by faith-dns64.
//!
//! ```text
//! client ─► udp, tcp ─► request ─► forwarder ─┬─► faith-dns64
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
//! | `entry`, `cache` | responses of upstreams |
//! | `upstream`, `resolv_conf` | the servers that are asked |
//! | `clients` | limits of each client |
//! | `wire` | messages as octets |
//!
//! Responses of upstreams pass as octets, except for synthesised ones. hickory-server and hickory-net read
//! each message into records and write it again, which loses records that they do not know, extended errors and
//! the order of things; so only hickory-proto is used here, for synthesised responses.
//!
//! One thread does everything, so nothing is locked. A server on `::` answers from the address that was asked.

#![forbid(unsafe_code)]

mod cache;
mod clients;
mod counters;
mod entry;
mod forwarder;
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
pub use server::{Server, ServerError, ServerOptions};
pub use settings::Gate;
pub use upstream::Upstreams;
