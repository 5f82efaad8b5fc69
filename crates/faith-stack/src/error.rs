//! What can go wrong while a faith interface is made, changed or listened on.

use std::io;
use std::net::Ipv6Addr;

use faith_packet::ports::PortSet;
use faith_packet::prefix::{FaithPrefix, PrefixSetError};
use rustix::io::Errno;

use crate::errno;

/// A system call or netlink request that failed, on its way to the operation that needed it.
#[derive(Debug)]
pub(crate) struct FailedCall {
    pub(crate) call: &'static str,
    pub(crate) error: io::Error,
}

impl FailedCall {
    /// Names the call of an error.
    pub(crate) fn of<E: Into<io::Error>>(call: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { call, error: error.into() }
    }
}

impl From<FailedCall> for io::Error {
    fn from(failed: FailedCall) -> Self {
        failed.error
    }
}

/// An operation on a faith interface that failed. [`code`](Self::code) is stable and what programs test;
/// the message is for people.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// An interface name the kernel would not take.
    #[error("`{0}` is not a legal interface name")]
    Name(String),
    /// The name belongs to an interface that exists.
    #[error("cannot create {0}: an interface of that name exists")]
    Exists(String),
    /// No prefixes were given.
    #[error("cannot create {0}: it has no prefix")]
    NoPrefix(String),
    /// A prefix that overlaps one the interface has.
    #[error(transparent)]
    Prefix(#[from] PrefixSetError),
    /// A prefix the interface does not have.
    #[error("{interface} has no prefix {prefix}")]
    NoSuchPrefix {
        /// Whose.
        interface: String,
        /// Which.
        prefix: FaithPrefix,
    },
    /// An MTU below IPv6's least or above what an interface can have.
    #[error("mtu {0} is outside 1280-65535")]
    Mtu(u32),
    /// keepfaith is off.
    #[error("keepfaith is 0: nothing is captured")]
    Keepfaith,
    /// A port that another faith listener has.
    #[error("ports {ports} of {address} are taken by another faith listener")]
    PortTaken {
        /// Where.
        address: String,
        /// What was asked for.
        ports: PortSet,
    },
    /// A listener's address outside every prefix.
    #[error("{address} is inside no prefix of {interface}")]
    AddressOutside {
        /// Whose.
        interface: String,
        /// Which.
        address: Ipv6Addr,
    },
    /// The interface's device was deleted under it.
    #[error("{0} was deleted by somebody else")]
    Deleted(String),
    /// The interface was closed.
    #[error("{0} is closed")]
    Closed(String),
    /// A worker's thread has ended by itself.
    #[error("worker {worker} of {interface} has ended by itself")]
    Worker {
        /// Whose.
        interface: String,
        /// Which, counted from 0.
        worker: usize,
    },
    /// The host has no IPv6.
    #[error("IPv6 is disabled: {what}")]
    Ipv6 {
        /// Where.
        what: String,
        /// The remedy.
        hint: &'static str,
    },
    /// No more listeners, or ranges of ports, fit on the interface.
    #[error("cannot {0}")]
    Full(String),
    /// The kernel refused a step.
    #[error("cannot {what}: {source}")]
    System {
        /// The step, as in "cannot …".
        what: String,
        /// The system call or request.
        syscall: &'static str,
        /// Why.
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

    /// A thread could not be started.
    pub fn threads(what: impl Into<String>, source: io::Error) -> Self {
        Self::system(what, "clone", source)
    }

    /// The stable code: an errno's name where the kernel refused, else one of faithd's own. `None` of an
    /// [`errno`](Self::errno) that has no name here; `ERR_FAITH_SYSTEM` where the system failed without an errno.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Name(_) => "ERR_FAITH_NAME",
            Self::Exists(_) => "EEXIST",
            Self::NoPrefix(_) | Self::Prefix(_) => "ERR_FAITH_PREFIX",
            Self::NoSuchPrefix { .. } => "ENOENT",
            Self::Mtu(_) => "ERR_FAITH_ARGUMENT",
            Self::Keepfaith => "ERR_FAITH_KEEPFAITH",
            Self::PortTaken { .. } => "EADDRINUSE",
            Self::AddressOutside { .. } => "EADDRNOTAVAIL",
            Self::Closed(_) | Self::Deleted(_) => "ERR_FAITH_CLOSED",
            Self::Worker { .. } => "ERR_FAITH_WORKER",
            Self::Ipv6 { .. } => "ERR_FAITH_IPV6",
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
            Self::Exists(_) => Some("choose another name, or delete that interface"),
            Self::NoPrefix(_) => Some("name at least one, such as 64:ff9b::/96"),
            Self::Keepfaith => Some("set keepfaith first: setKeepfaith(true), or faithd -k"),
            Self::PortTaken { .. } => Some("close that listener, or leave its ports out"),
            Self::AddressOutside { .. } => Some("name an address inside a prefix of the interface, or none"),
            Self::Deleted(_) => Some("create it again; deleting its device ends a faith interface"),
            Self::Worker { .. } => Some("this is a bug of faithd: report what it printed before"),
            Self::Ipv6 { hint, .. } => Some(hint),
            Self::Full(_) => Some("close a listener, or have one listen on several ports"),
            Self::System { hint, .. } => *hint,
            _ => None,
        }
    }

    /// The errno, where the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// The system call or netlink request, where the kernel refused.
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

/// The remedy where clone(2) gives `EAGAIN`.
pub(crate) const MORE_THREADS: &str = "raise the limit of threads: pids.max of the cgroup (TasksMax= of a systemd service), \
                                ulimit -u, or kernel.threads-max";

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(source: io::Error) -> StackError {
        StackError::system("do it", "bpf", source)
    }

    #[test]
    fn a_code_and_an_errno_are_what_the_kernel_gave() {
        let known = failed(Errno::PERM.into());
        assert_eq!((known.code(), known.errno()), (Some("EPERM"), Some(1)));
        let unknown = failed(io::Error::from_raw_os_error(511));
        assert_eq!((unknown.code(), unknown.errno()), (None, Some(511)));
        let without = failed(io::Error::other("the answer makes no sense"));
        assert_eq!((without.code(), without.errno()), (Some("ERR_FAITH_SYSTEM"), None));
    }
}
