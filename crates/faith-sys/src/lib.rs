//! The kernel's edge: TUN devices, network namespaces, privileges, pipes, splice, log lines, and the socket options that
//! rustix and socket2 lack. All of faithd's `unsafe` is here. Each block says why it is sound, and functions that need a
//! certain kernel name it.
#![expect(unsafe_code, reason = "the crate of unsafe")]

pub mod asked;
pub mod backlog;
mod control;
pub mod datagram;
pub mod descriptors;
pub mod error_queue;
mod every_thread;
pub mod host;
pub mod icmp;
pub mod icmpv6;
pub mod info;
pub mod line_sink;
pub mod local_ports;
pub mod log_file;
mod message;
pub mod netns;
pub mod notify;
pub mod peer;
pub mod pipe;
pub mod privileges;
pub mod reactor;
pub mod reuseport;
pub mod sched;
mod seccomp;
pub mod source;
pub mod splice;
pub mod tcp;
pub mod tcx;
pub mod tun;
pub mod udp;
pub mod users;
pub mod way;
pub mod zone;
