//! Bytes in, verdict out: what faithd knows about packets and addresses.
//!
//! The crate consists of pure functions over bytes, and of types that cannot hold an illegal value. It
//! does no I/O and has no unsafe code. The per-packet path never allocates or panics, and takes bounded
//! time for any bytes. The crates above do the reading and the writing.
//!
//! | module | answers |
//! |---|---|
//! | [`classify`] | does this packet go to the stack, to the host, or nowhere, and why |
//! | [`prefix`] | the captured addresses |
//! | [`mapping`], [`rfc6052`] | the IPv4 server that a captured address means |
//! | [`access`] | may this client be relayed to that server |
//! | [`cidr`], [`ports`], [`protocol`] | prefixes, sets of ports and protocols, as operators write them |
//! | [`proxy`] | the PROXY header that gives a server the client's address |
//! | [`pref64`] | router advertisements that tell hosts the prefix |
//! | [`icmpv4`], [`icmpv6`], [`tcp`], [`checksum`] | the packets faithd sends of its own accord |
//! | [`udp`], [`echo`], [`translate`] | the datagrams and pings of clients and servers, and the errors about them |
//! | [`fragments`], [`reassembly`] | packets that are too long for a link |

#![forbid(unsafe_code)]

pub mod access;
mod chain;
pub mod checksum;
pub mod cidr;
pub mod classify;
pub mod echo;
pub mod excerpt;
mod flow;
pub mod fragments;
pub mod icmpv4;
pub mod icmpv6;
mod ipv6;
pub mod mapping;
mod nest;
pub mod ports;
pub mod pref64;
pub mod prefix;
pub mod protocol;
pub mod proxy;
pub mod reassembly;
pub mod rfc6052;
pub mod tcp;
pub mod translate;
pub mod udp;
mod virtio;
