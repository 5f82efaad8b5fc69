//! The errors of creating, changing or listening on a faith interface.

use std::io;
use std::net::Ipv6Addr;

use faith_packet::ports::PortSet;
use faith_packet::prefix::{FaithPrefix, PrefixSetError};
use rustix::io::Errno;

use crate::errno;

/// A failed system call or netlink request, before it becomes the error of an operation.
#[derive(Debug)]
pub(crate) struct FailedCall {
    pub(crate) call: &'static str,
    pub(crate) error: io::Error,
}

impl FailedCall {
    /// Makes the constructor for errors of `call`.
    pub(crate) fn of<E: Into<io::Error>>(call: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { call, error: error.into() }
    }
}

impl From<FailedCall> for io::Error {
    fn from(failed: FailedCall) -> Self {
        failed.error
    }
}

fn in_words(ports: &PortSet) -> String {
    let noun = if ports.is_single().is_some() { "port" } else { "ports" };
    format!("{noun} {ports}")
}

/// A failed operation on a faith interface. [`code`](Self::code) is stable: programs test it; the message is for people.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The interface name is illegal.
    #[error("`{0}` is not a legal interface name")]
    Name(String),
    /// An interface of this name exists already.
    #[error("cannot create {0}: an interface of that name exists")]
    Exists(String),
    /// The options have no prefix.
    #[error("cannot create {0}: it has no prefix")]
    NoPrefix(String),
    /// The prefix overlaps one that the interface has.
    #[error(transparent)]
    Prefix(#[from] PrefixSetError),
    /// The interface does not have this prefix.
    #[error("{interface} has no prefix {prefix}")]
    NoSuchPrefix {
        /// The interface's name.
        interface: String,
        /// The missing prefix.
        prefix: FaithPrefix,
    },
    /// The MTU is below IPv6's minimum or above the maximum of an interface.
    #[error("mtu {0} is outside 1280-65535")]
    Mtu(u32),
    /// keepfaith is off.
    #[error("keepfaith is 0: nothing is captured")]
    Keepfaith,
    /// Another faith listener has one of the ports.
    #[error("another faith listener of {address} has {}", in_words(.taken))]
    PortTaken {
        /// The listener's address, `::` for every address.
        address: Ipv6Addr,
        /// The ports that it has, of those that were asked for.
        taken: PortSet,
    },
    /// Another relay takes the echo requests.
    #[error("another relay of {address} takes the echo requests")]
    EchoTaken {
        /// The relay's address, `::` for every address.
        address: Ipv6Addr,
    },
    /// The address of a listener, or of this side of a connection, is outside every prefix.
    #[error("{address} is inside no prefix of {interface}")]
    AddressOutside {
        /// The interface's name.
        interface: String,
        /// The address.
        address: Ipv6Addr,
    },
    /// A client cannot have this address.
    #[error("{address} is no address of a client of {interface}")]
    NoClient {
        /// The interface's name.
        interface: String,
        /// The address.
        address: Ipv6Addr,
    },
    /// Another program deleted the interface's device.
    #[error("{0} was deleted by another program")]
    Deleted(String),
    /// The interface was closed.
    #[error("{0} is closed")]
    Closed(String),
    /// A worker's thread has ended by itself.
    #[error("worker {worker} of {interface} has ended by itself")]
    Worker {
        /// The interface's name.
        interface: String,
        /// The worker's number, counted from 0.
        worker: usize,
    },
    /// The process has given up its privileges.
    #[error("cannot create {0}: this process has given up its privileges")]
    Unprivileged(String),
    /// The host has no IPv6.
    #[error("IPv6 is disabled: {what}")]
    Ipv6 {
        /// The cause: a sysctl, or the kernel itself.
        what: String,
        /// The remedy.
        hint: &'static str,
    },
    /// The interface has no room for more listeners or ranges of ports.
    #[error("cannot {0}")]
    Full(String),
    /// The kernel refused a step.
    #[error("cannot {what}: {source}")]
    System {
        /// The step, which completes "cannot …".
        what: String,
        /// The system call or netlink request.
        syscall: &'static str,
        /// The kernel's error.
        source: io::Error,
        /// The remedy.
        hint: Option<&'static str>,
    },
}

impl StackError {
    pub(crate) fn system(
        what: impl Into<String>,
        syscall: &'static str,
        source: impl Into<io::Error>,
    ) -> Self {
        let source = source.into();
        let hint = match Errno::from_io_error(&source) {
            Some(Errno::PERM | Errno::ACCESS) => Some(NEEDS),
            Some(Errno::AGAIN) if syscall == "clone" => Some(MORE_THREADS),
            Some(Errno::MFILE) => {
                Some("raise the limit of descriptors: ulimit -n, or LimitNOFILE= of a service")
            }
            _ => None,
        };
        Self::System { what: what.into(), syscall, source, hint }
    }

    pub(crate) fn failed(what: impl Into<String>, FailedCall { call, error }: FailedCall) -> Self {
        Self::system(what, call, error)
    }

    /// Makes the error of a thread that could not be started.
    pub fn threads(what: impl Into<String>, source: io::Error) -> Self {
        Self::system(what, "clone", source)
    }

    /// The stable code: the errno's name if the kernel refused, else one of faithd's own. `ERR_FAITH_SYSTEM` for a system
    /// error without an errno; `None` for an [`errno`](Self::errno) without a name.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Name(_) => "ERR_FAITH_NAME",
            Self::Exists(_) => "EEXIST",
            Self::NoPrefix(_) | Self::Prefix(_) => "ERR_FAITH_PREFIX",
            Self::NoSuchPrefix { .. } => "ENOENT",
            Self::Mtu(_) | Self::NoClient { .. } => "ERR_FAITH_ARGUMENT",
            Self::Keepfaith => "ERR_FAITH_KEEPFAITH",
            Self::PortTaken { .. } | Self::EchoTaken { .. } => "EADDRINUSE",
            Self::AddressOutside { .. } => "EADDRNOTAVAIL",
            Self::Closed(_) | Self::Deleted(_) => "ERR_FAITH_CLOSED",
            Self::Worker { .. } => "ERR_FAITH_WORKER",
            Self::Ipv6 { .. } => "ERR_FAITH_IPV6",
            Self::Unprivileged(_) => "EPERM",
            Self::Full(_) => "ENOSPC",
            Self::System { source, .. } if source.raw_os_error().is_none() => "ERR_FAITH_SYSTEM",
            Self::System { source, .. } => return errno::name(source),
        })
    }

    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Name(_) => Some("use 1 to 15 bytes without `/`, `:`, `%` or white space"),
            Self::Exists(_) => {
                Some("another faithd may have it; choose another name, or delete that interface")
            }
            Self::NoPrefix(_) => Some("name at least one, such as 64:ff9b::/96"),
            Self::Keepfaith => Some("set keepfaith first: setKeepfaith(true), or faithd -k"),
            Self::PortTaken { .. } => Some("close that listener, or leave its ports out"),
            Self::EchoTaken { .. } => Some("leave `icmp` out of the protocols of all relays but one"),
            Self::AddressOutside { .. } => Some("name an address inside a prefix of the interface, or none"),
            Self::NoClient { .. } => Some(
                "name a unicast address that is neither loopback, IPv4-mapped nor link-local, and inside no prefix",
            ),
            Self::Deleted(_) => Some("start faithd again (in a program: create the interface again)"),
            Self::Worker { .. } => Some("this is a bug of faithd: report what it printed before"),
            Self::Ipv6 { hint, .. } => Some(hint),
            Self::Unprivileged(_) => Some("start faithd again with this interface in its configuration"),
            Self::Full(_) => Some("close a listener, or have one listen on several ports"),
            Self::System { hint, .. } => *hint,
            _ => None,
        }
    }

    /// The errno, if the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The system call or netlink request, if the kernel refused.
    #[must_use]
    pub fn syscall(&self) -> Option<&'static str> {
        match self {
            Self::System { syscall, .. } => Some(syscall),
            _ => None,
        }
    }
}

pub(crate) const NEEDS: &str =
    "run as root, or give CAP_NET_ADMIN (the interface) and CAP_SYS_ADMIN (its network namespace)";

/// The remedy if clone(2) returns `EAGAIN`.
pub(crate) const MORE_THREADS: &str = "raise the limit of threads: pids.max of the cgroup (TasksMax= of a systemd service), \
                                ulimit -u, or kernel.threads-max";

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(source: io::Error) -> StackError {
        StackError::system("do it", "bpf", source)
    }

    #[test]
    fn code_and_errno_are_the_kernels() {
        let known = failed(Errno::PERM.into());
        assert_eq!((known.code(), known.errno()), (Some("EPERM"), Some(1)));
        let unknown = failed(io::Error::from_raw_os_error(511));
        assert_eq!((unknown.code(), unknown.errno()), (None, Some(511)));
        let without = failed(io::Error::other("the answer makes no sense"));
        assert_eq!((without.code(), without.errno()), (Some("ERR_FAITH_SYSTEM"), None));
    }
}
