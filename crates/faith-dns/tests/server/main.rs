//! The server, asked over its sockets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clients;
mod lab;
mod loops;
mod made;
mod octets;
mod own_names;
mod synthesis;
mod upstreams;
mod upstreams_tcp;
