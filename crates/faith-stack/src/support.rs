//! Finds out what this host allows a faith interface, by trying it without a trace.
//!
//! A thread tests if it may make a device here. It then moves into a new network namespace, makes the stack's device and
//! attaches the programs there, and ends. The kernel removes all of it with the thread.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use faith_sys::netns;
use faith_sys::tun::{Tun, TunError};

use crate::devices::{STACK, tun_failed};
use crate::error::MORE_THREADS;
use crate::ipv6;
use crate::namespace::no_proc;
use crate::shortcut::Shortcut;
use crate::steer::Steering;

/// The features of this host, each with the obstacle if it is missing.
#[derive(Debug, Clone)]
pub struct Support {
    /// TUN devices in the calling thread's network namespace: /dev/net/tun and `CAP_NET_ADMIN`.
    pub tun: Result<(), Obstacle>,
    /// IPv6 in the kernel, and not disabled on every interface.
    pub ipv6: Result<(), Obstacle>,
    /// Network namespaces, with a device inside if devices are possible at all: `CAP_SYS_ADMIN`.
    pub namespace: Result<(), Obstacle>,
    /// Steering by `sk_lookup`: Linux 5.9, `CAP_BPF` and `CAP_NET_ADMIN` outside any user namespace.
    pub sk_lookup: Result<(), Obstacle>,
    /// A shortcut for established TCP: Linux 6.6 with veth, `CAP_BPF` and `CAP_NET_ADMIN` outside any user namespace.
    pub shortcut: Result<(), Obstacle>,
}

/// The reason a feature is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The step that failed, and its error.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

impl Obstacle {
    fn new(message: impl Into<String>, hint: &str) -> Self {
        Self { message: message.into(), hint: hint.to_owned() }
    }
}

impl Support {
    /// Tries everything. Takes some milliseconds.
    #[must_use]
    pub fn probe() -> Self {
        let thread = std::thread::Builder::new().name("faith/probe".to_owned()).spawn(Self::try_all);
        let tried =
            thread.and_then(|thread| thread.join().map_err(|_| io::Error::other("the probe panicked")));
        tried.unwrap_or_else(|error| {
            let obstacle = Obstacle::new(
                format!("not tried, because no thread could be started: {error}"),
                MORE_THREADS,
            );
            Self {
                tun: Err(obstacle.clone()),
                ipv6: Err(obstacle.clone()),
                namespace: Err(obstacle.clone()),
                sk_lookup: Err(obstacle.clone()),
                shortcut: Err(obstacle),
            }
        })
    }

    fn try_all() -> Self {
        let tun = Tun::may_create().map_err(no_tun);
        let ipv6 = ipv6::check_host()
            .map_err(|error| Obstacle::new(error.to_string(), error.hint().unwrap_or_default()));
        if let Err(error) = netns::unshare_network() {
            let obstacle = no_namespace(&error);
            let untried = format!("not tried, because it needs a network namespace: {error}");
            let rest = Err(Obstacle::new(untried, &obstacle.hint));
            return Self { tun, ipv6, namespace: Err(obstacle), sk_lookup: rest.clone(), shortcut: rest };
        }
        // If devices are impossible, `tun` has the reason.
        let namespace = if tun.is_ok() { Tun::create(STACK, 1).map(drop).map_err(no_tun) } else { Ok(()) };
        let here = netns::current().map_err(|error| Obstacle::new(no_proc(&error), "mount /proc"));
        let attached = |attach: fn(BorrowedFd<'_>) -> Result<(), String>| {
            let here = here.as_ref().map_err(Obstacle::clone)?;
            attach(here.as_fd()).map_err(|message| Obstacle::new(message, BPF_HINT))
        };
        Self {
            tun,
            ipv6,
            namespace,
            sk_lookup: attached(|here| Steering::attach(here).map(drop).map_err(|error| error.to_string())),
            shortcut: attached(|here| Shortcut::probe(here).map_err(|error| error.to_string())),
        }
    }
}

const BPF_HINT: &str = "run as root, or give CAP_BPF and CAP_NET_ADMIN (before Linux 5.8: CAP_SYS_ADMIN), outside \
                        any user namespace";

fn no_tun(error: TunError) -> Obstacle {
    let forbidden = matches!(&error, TunError::Attach(why) if why.kind() == io::ErrorKind::PermissionDenied);
    let error = tun_failed("a TUN device", error);
    let hint = if forbidden {
        "run as root, or give CAP_NET_ADMIN"
    } else {
        error.hint().unwrap_or("see Documentation/networking/tuntap.rst of the kernel")
    };
    Obstacle::new(error.to_string(), hint)
}

fn no_namespace(error: &io::Error) -> Obstacle {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as root, or give CAP_SYS_ADMIN; a seccomp filter must allow unshare(2) too"
        }
        io::ErrorKind::StorageFull => "raise the sysctl user.max_net_namespaces",
        _ => "use a kernel that has network namespaces (CONFIG_NET_NS)",
    };
    Obstacle::new(format!("cannot make a network namespace: {error}"), hint)
}
