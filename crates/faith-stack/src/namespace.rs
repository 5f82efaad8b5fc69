//! The private network namespace of a faith interface, and the thread it belongs to.
//!
//! This thread makes everything inside the namespace: the stack's device, routes, listening sockets and the `sk_lookup`
//! program. When the thread and the last socket are gone, the kernel removes the namespace. So no clean-up is needed,
//! even if the process is killed.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use faith_packet::prefix::FaithPrefix;
use faith_sys::netns;
use faith_sys::privileges::CapabilitySet;
use faith_sys::tun::Tun;

use crate::devices::{END_INSIDE, MAC, QUEUE, STACK, tun_failed};
use crate::error::StackError;
use crate::ipv6;
use crate::keeper::Keeper;
use crate::netlink::{Device, Netlink};
use crate::steer::Steering;
use crate::tcp_settings::TcpSettings;

/// Metrics of the default routes inside. The kernel uses the lower one while it exists.
const BY_SHORTCUT: u32 = 512;
const BY_PUMP: u32 = 1024;

/// The capabilities for changes of a running interface: local routes and the shortcut's pair, sockets of ports below 1024
/// on demand, and, before Linux 5.19, entries of BPF maps (`kernel.unprivileged_bpf_disabled`).
const NEEDS_LATER: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE).union(CapabilitySet::BPF);

/// A handle to the thread inside.
pub(crate) type Namespace = Keeper<Inside>;

/// The state of the thread inside.
pub(crate) struct Inside {
    netlink: Netlink,
    loopback: Device,
    mss: u32,
    pub(crate) steering: Option<Steering>,
    /// The reason for having no steering although it was asked for.
    pub(crate) unsteered: Option<String>,
}

impl Namespace {
    /// Makes the namespace, with the TCP settings of `host`, and returns the `queues` queues of the stack's device. `steer`
    /// loads the `sk_lookup` program if kernel and privileges allow it; if not, [`unsteered`](Inside::unsteered) has the
    /// reason.
    pub(crate) fn create(
        interface: &str,
        mtu: u32,
        queues: usize,
        steer: bool,
        host: TcpSettings,
    ) -> Result<(Self, Vec<Tun>), StackError> {
        let name = interface.to_owned();
        Self::start(interface, "stack", NEEDS_LATER, move || Inside::make(&name, mtu, queues, steer, &host))
    }
}

impl Inside {
    fn make(
        interface: &str,
        mtu: u32,
        queues: usize,
        steer: bool,
        host: &TcpSettings,
    ) -> Result<(Self, Vec<Tun>), StackError> {
        let failed = |syscall: &'static str| {
            move |error: io::Error| {
                StackError::system(format!("make the private namespace of {interface}"), syscall, error)
            }
        };
        netns::unshare_network().map_err(failed("unshare"))?;
        let tuns = Tun::create(STACK, queues).map_err(|error| tun_failed(interface, error))?;
        host.apply();
        tune();
        ipv6::enable(STACK)?;
        let netlink = Netlink::connect().map_err(|it| failed(it.call)(it.error))?;
        let loopback = netlink.loopback_up().map_err(failed("RTM_NEWLINK"))?;
        let stack = netlink.bring_up(STACK, mtu, QUEUE).map_err(failed("RTM_NEWLINK"))?;
        let mss = host.mss(mtu);
        netlink.add_default_route(stack, BY_PUMP, mss).map_err(failed("RTM_NEWROUTE"))?;
        let steered = steer.then(|| {
            let here = netns::current().map_err(|error| no_proc(&error))?;
            Steering::attach(here.as_fd()).map_err(|error| error.to_string())
        });
        let (steering, unsteered) = match steered {
            Some(Ok(steering)) => (Some(steering), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        Ok((Self { netlink, loopback, mss, steering, unsteered }, tuns))
    }

    /// Makes a veth pair whose other end, `name`, is in the namespace `host`.
    pub(crate) fn make_pair(&self, name: &str, host: BorrowedFd<'_>, mtu: u32) -> io::Result<()> {
        self.netlink.add_pair(END_INSIDE, name, host, MAC)?;
        self.netlink.bring_up(END_INSIDE, mtu, QUEUE)?;
        Ok(())
    }

    /// Routes all outgoing packets by the pair.
    pub(crate) fn take_shortcut(&self) -> io::Result<()> {
        self.netlink.add_default_route(self.netlink.device(END_INSIDE)?, BY_SHORTCUT, self.mss)
    }

    /// Removes the pair, on the host too, so that all outgoing packets go through the pump again.
    pub(crate) fn leave_shortcut(&self) {
        // The pair may be gone already.
        let _ = self.netlink.remove(END_INSIDE);
    }

    /// Makes every address of `prefix` local to the namespace.
    pub(crate) fn add_prefix(&self, prefix: &FaithPrefix) -> io::Result<()> {
        self.netlink.add_local(prefix, self.loopback)
    }

    /// Undoes [`add_prefix`](Self::add_prefix).
    pub(crate) fn remove_prefix(&self, prefix: &FaithPrefix) -> io::Result<()> {
        self.netlink.remove_local(prefix, self.loopback)
    }
}

/// Sets sysctls of the namespace that have no netlink message. If /proc/sys is read-only, as in a container, the kernel's
/// defaults remain: everything works, but accept queues may be shorter than asked for.
fn tune() {
    for (setting, value) in [
        ("core/somaxconn", "65535"),
        ("ipv4/tcp_syncookies", "1"),
        ("ipv4/tcp_max_syn_backlog", "65535"),
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv6/conf/all/disable_ipv6", "0"),
        ("ipv6/conf/default/disable_ipv6", "0"),
    ] {
        let _ = fs::write(format!("/proc/sys/net/{setting}"), value);
    }
}

/// Makes the error message for a network namespace that cannot be opened.
pub(crate) fn no_proc(error: &io::Error) -> String {
    format!(
        "cannot open /proc/thread-self/ns/net to attach a BPF program to the network namespace: {error}; mount /proc"
    )
}
