//! Bytes in, verdict out: what faithd knows about packets and addresses.
//!
//! Everything here is a pure function over bytes or a type that cannot hold an illegal value. There
//! is no I/O and no unsafe code; nothing on the per-packet path allocates, panics or takes longer
//! than a small bound, whatever the bytes say. The crates above do the reading and the writing.
//!
//! | module | answers |
//! |---|---|
//! | [`classify`] | does this packet go to the stack, to the host, or nowhere, and why |
//! | [`prefix`], [`rfc6052`] | which addresses are captured, and which IPv4 address one of them means |
//! | [`ports`] | which ports a listener wants |
//! | [`policy`] | which IPv4 addresses may be relayed to |
//! | [`icmpv6`], [`tcp`], [`checksum`] | the packets faithd sends of its own accord |

#![forbid(unsafe_code)]

mod chain;
pub mod checksum;
pub mod classify;
pub mod icmpv6;
mod ipv6;
pub mod policy;
pub mod ports;
pub mod prefix;
pub mod rfc6052;
pub mod tcp;
