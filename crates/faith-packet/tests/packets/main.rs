//! What the classifier and the builders do with whole packets, etherparse being the second opinion.

mod builder;
mod captured;
mod differential;
mod fragments;
mod icmp;
mod oracle;
mod replies;
mod strategy;
mod total;
