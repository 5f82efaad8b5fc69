//! The classifier and the builders over whole packets, checked by etherparse.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod builder;
mod captured;
mod datagrams;
mod differential;
mod echo;
mod fragments;
mod icmp;
mod oracle;
mod reassembly;
mod replies;
mod strategy;
mod total;
