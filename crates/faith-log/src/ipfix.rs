//! Records of sessions for a collector: the IPFIX protocol (RFC 7011) with the NAT events of RFC 8158, by UDP.
//!
//! | module | holds |
//! |---|---|
//! | `exporter` | the queue and the thread |
//! | `transport` | the socket, refusals, templates that are due |
//! | `message` | messages and sets |
//! | `event`, `template` | records and their templates |

#[cfg(test)]
mod decoder;
mod event;
mod exporter;
mod message;
mod template;
#[cfg(test)]
mod tests;
mod transport;

#[cfg(test)]
pub(crate) use decoder::Decoder;
pub(crate) use event::Event;
pub use exporter::{Counts, Exporter, Loss};
pub use transport::Collector;
