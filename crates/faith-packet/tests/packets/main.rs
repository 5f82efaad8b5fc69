//! The classifier and the builders over whole packets, checked by etherparse.

mod builder;
mod captured;
mod differential;
mod fragments;
mod icmp;
mod oracle;
mod replies;
mod strategy;
mod total;
