//! Bytes in, verdict out: what faithd knows about packets and addresses.
//!
//! Everything here is a pure function over bytes or a type that cannot hold an illegal value. There
//! is no I/O and no unsafe code; nothing on the per-packet path allocates, panics or takes longer
//! than a small bound, whatever the bytes say. The crates above do the reading and the writing.
//!
//! | module | answers |
//! |---|---|
//! | [`classify`] | does this packet go to the stack, to the host, or nowhere, and why |
//! | [`prefix`] | which addresses are captured |
//! | [`mapping`], [`rfc6052`] | which IPv4 server a captured address means |
//! | [`access`] | which client may be relayed to which server |
//! | [`cidr`], [`ports`] | prefixes and sets of ports, as operators write them |
//! | [`proxy`] | the PROXY header that gives a server the client's address |
//! | [`icmpv6`], [`tcp`], [`checksum`] | the packets faithd sends of its own accord |

#![forbid(unsafe_code)]

pub mod access;
mod chain;
pub mod checksum;
pub mod cidr;
pub mod classify;
mod excerpt;
mod flow;
pub mod icmpv6;
mod ipv6;
pub mod mapping;
mod nest;
pub mod ports;
pub mod prefix;
pub mod proxy;
pub mod rfc6052;
pub mod tcp;
