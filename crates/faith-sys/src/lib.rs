//! The kernel's edge: TUN devices, network namespaces, pipes, splice, lines for a log and the socket options that neither
//! rustix nor socket2 offer. All of faithd's `unsafe` is here, each block with the reason it is sound, and
//! each function names the kernel it needs.

pub mod backlog;
pub mod descriptors;
pub mod line_writer;
pub mod netns;
pub mod peer;
pub mod pipe;
pub mod reactor;
pub mod reuseport;
pub mod sched;
pub mod source;
pub mod splice;
pub mod tcp;
pub mod tcx;
pub mod tun;
