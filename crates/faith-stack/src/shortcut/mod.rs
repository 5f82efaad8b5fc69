//! The shortcut: established TCP goes past the pump, by the programs of `bpf/shortcut.bpf.c`.
//!
//! A veth pair joins the host's namespace and the private one. A program at the egress of the faith interface redirects
//! the packets that the pump would only pass on: segments of connections, and SYNs while no listener needs to see them.
//! All other packets go to the pump. In the other direction, the private namespace's default route leads to the pair.
//! Another program lets out the packets that the pump would let out, as if they came from the faith interface. A third
//! program gives each connection to the less loaded of two workers.
//!
//! The programs are attached by links, which end with the process. The pair ends with the private namespace, or before it
//! in [`Inside::leave_shortcut`](crate::namespace::Inside::leave_shortcut). Without programs the pair carries no packets:
//! its end on the host has no addresses and accepts none. Sockets that a killed process leaves behind keep the namespace,
//! until a fourth program, which the pair itself keeps, has reset them.

mod programs;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use faith_packet::prefix::FaithPrefix;
use faith_sys::backlog::Backlogs;
use faith_sys::netns;
use faith_sys::tun::Tun;
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::counters::Passed;
use crate::devices::{END_INSIDE, MAC, QUEUE};
use crate::ebpf::ProgramRefused;
use crate::namespace::{Namespace, no_proc};
use crate::netlink::{Device, Netlink};
use crate::warning::{self, Warnings};

use programs::{Loaded, Programs};

/// The shortcut of an interface, until it is left for good.
pub(crate) struct Shortcut {
    state: Mutex<State>,
    backlogs: Backlogs,
    warnings: Warnings,
}

enum State {
    Taken(Box<Programs>),
    Left(Passed),
}

/// Errors of making the shortcut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShortcutError {
    /// The kernel is too old, built without it, or forbids it to this user.
    #[error(
        "{}; it needs Linux 6.6, and CAP_BPF and CAP_NET_ADMIN outside any user namespace",
        .0.of("shortcut")
    )]
    Unavailable(ProgramRefused),
    /// The network namespace cannot be opened by /proc.
    #[error("{0}")]
    NoProc(String),
    /// The pair of devices cannot be made or used.
    #[error("cannot {step}: {source}")]
    Pair {
        /// The step, which completes "cannot …".
        step: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

impl From<ProgramRefused> for ShortcutError {
    fn from(refused: ProgramRefused) -> Self {
        Self::Unavailable(refused)
    }
}

fn cannot(step: &'static str) -> impl Fn(io::Error) -> ShortcutError {
    move |source| ShortcutError::Pair { step, source }
}

/// The devices of a shortcut on the host.
struct Ends<'a> {
    interface: &'a str,
    faith: Device,
    queue: OwnedFd,
    name: String,
    mtu: u32,
    warnings: &'a Warnings,
}

impl Shortcut {
    /// Makes the shortcut of `interface`, which has these queues and is in the calling thread's network namespace, and the
    /// guard that the watch asks. The shortcut has no prefixes yet. Minimum kernel version: 6.6 (`BPF_LINK_TYPE_TCX`).
    ///
    /// # Errors
    /// [`ShortcutError`]: the interface works without a shortcut. No part of it remains.
    pub(crate) fn make(
        interface: &str,
        queues: &[Tun],
        mtu: u32,
        netlink: &Netlink,
        namespace: &Arc<Namespace>,
        warnings: &Warnings,
    ) -> Result<(Arc<Self>, Guard), ShortcutError> {
        let loaded = Loaded::load(queues.len())?;
        let faith = netlink.device(interface).map_err(cannot("find the interface"))?;
        // An index is unique at any time, and rarely used again.
        let name = format!("shortcut{}", faith.index());
        let queue = queues.first().ok_or_else(|| io::ErrorKind::NotFound.into());
        let queue = queue.and_then(|queue| queue.as_fd().try_clone_to_owned());
        let queue = queue.map_err(cannot("watch the interface"))?;
        let ends = Ends { interface, faith, queue, name, mtu, warnings };
        let (name, host) =
            (ends.name.clone(), netns::current().map_err(|error| ShortcutError::NoProc(no_proc(&error)))?);
        namespace
            .run(move |inside| inside.make_pair(&name, host.as_fd(), mtu))
            .unwrap_or_else(gone)
            .map_err(cannot("make the pair of the shortcut"))?;
        let made = Self::lead_by(loaded, ends, netlink, namespace);
        if made.is_err() {
            namespace.run(|inside| inside.leave_shortcut());
        }
        made
    }

    fn lead_by(
        loaded: Loaded,
        ends: Ends<'_>,
        netlink: &Netlink,
        namespace: &Arc<Namespace>,
    ) -> Result<(Arc<Self>, Guard), ShortcutError> {
        let Ends { interface, faith, queue, name, mtu, warnings } = ends;
        // Only the program may take packets from this end, even after the program is gone: the host's IPv6 must not. If
        // /proc/sys is read-only, the host would take packets that the process's own private namespace might send then.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
        let pair = netlink.bring_up(&name, mtu, QUEUE).map_err(cannot("bring the shortcut up"))?;
        let inside = namespace.run(|_| loaded.attach_inside(END_INSIDE));
        let loaded =
            inside.ok_or_else(|| cannot("enter the namespace")(io::ErrorKind::BrokenPipe.into()))??;
        let (programs, backlogs) = loaded.attach((interface, faith), (&name, pair))?;
        let state = Mutex::new(State::Taken(Box::new(programs)));
        let shortcut = Arc::new(Self { state, backlogs, warnings: warnings.clone() });
        let guard =
            Guard { shortcut: Arc::clone(&shortcut), namespace: Arc::clone(namespace), pair, faith, queue };
        namespace
            .run(|inside| inside.take_shortcut())
            .unwrap_or_else(gone)
            .map_err(cannot("route by the shortcut"))?;
        Ok((shortcut, guard))
    }

    /// Makes a shortcut with both ends in `here`, the calling thread's network namespace, which must end soon.
    ///
    /// # Errors
    /// The errors of [`make`](Self::make).
    pub(crate) fn probe(here: BorrowedFd<'_>) -> Result<(), ShortcutError> {
        let loaded = Loaded::load(2)?;
        let netlink = Netlink::connect().map_err(|failed| cannot("ask the kernel")(failed.into()))?;
        let [one, other] = ["one", "other"];
        netlink.add_pair(one, other, here, MAC).map_err(cannot("make the pair of the shortcut"))?;
        let device = |name| netlink.device(name).map_err(cannot("find the pair of the shortcut"));
        loaded.attach_inside(other)?.attach((one, device(one)?), (other, device(other)?))?;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Lets packets to and from `prefix` take the shortcut.
    pub(crate) fn add_prefix(&self, prefix: &FaithPrefix) -> io::Result<()> {
        match &mut *self.state() {
            State::Taken(programs) => programs.add_prefix(prefix),
            State::Left(_) => Ok(()),
        }
    }

    /// Stops packets to and from `prefix` from taking the shortcut.
    pub(crate) fn remove_prefix(&self, prefix: &FaithPrefix) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of(format!("remove {prefix} from"), programs.remove_prefix(prefix));
        }
    }

    /// Opens or closes the way to the stack. While keepfaith is off, the pump gets every packet, and drops it.
    pub(crate) fn keepfaith(&self, on: bool) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of(if on { "open" } else { "close" }, programs.open(on));
        }
    }

    /// Warns of a refused change. The kernel has no reason to refuse one.
    fn warn_of(&self, what: impl Into<String>, done: io::Result<()>) {
        if let Err(error) = done {
            self.warnings.send(warning::Kind::ShortcutStuck { what: what.into(), error: Arc::new(error) });
        }
    }

    /// Lets SYNs take the shortcut if `may_pass` returns true. Calls it under the lock, so that the last of several
    /// changes counts.
    pub(crate) fn pass_syns(&self, may_pass: impl FnOnce() -> bool) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of("switch SYNs of", programs.pass_syns(may_pass()));
        }
    }

    /// Records that a worker has accepted all pending connections.
    pub(crate) fn accepted(&self, worker: usize) {
        self.backlogs.seen(worker);
    }

    /// Returns true if packets take the shortcut while keepfaith is set.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(*self.state(), State::Taken(_))
    }

    /// Detaches the programs for good, and keeps their counts.
    pub(crate) fn leave(&self) {
        let passed = self.passed();
        *self.state() = State::Left(passed);
    }

    /// The counts of packets that took the shortcut.
    pub(crate) fn passed(&self) -> Passed {
        match &*self.state() {
            State::Taken(programs) => programs.passed(),
            State::Left(passed) => *passed,
        }
    }
}

/// Checks that the devices of a shortcut exist.
pub(crate) struct Guard {
    shortcut: Arc<Shortcut>,
    namespace: Arc<Namespace>,
    pair: Device,
    faith: Device,
    /// A queue of the interface.
    queue: OwnedFd,
}

impl Guard {
    /// Returns true if the pair or the interface was removed. All packets then go through the pump again, for good:
    /// packets that the programs redirect to a removed device would be lost. If the interface was deleted, the workers
    /// report that instead.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(crate) fn is_over(&self, netlink: &Netlink) -> io::Result<bool> {
        let faith_is_here = netlink.is_up(self.faith)?.is_some();
        let why = match netlink.is_up(self.pair)? {
            _ if !faith_is_here => "the interface has left this network namespace",
            Some(true) => return Ok(false),
            Some(false) => "its veth pair is down",
            None => "its veth pair was removed",
        };
        let is_news = !self.is_deleted();
        let shortcut = Arc::clone(&self.shortcut);
        self.namespace.post(move |inside| {
            // This comes first: without programs the host drops packets from the pair.
            inside.leave_shortcut();
            shortcut.leave();
            if is_news {
                shortcut.warnings.send(warning::Kind::ShortcutLost(why));
            }
        });
        Ok(true)
    }

    /// Returns true if the interface's device was deleted (`tun_chr_poll()`).
    fn is_deleted(&self) -> bool {
        let mut queue = [PollFd::new(&self.queue, PollFlags::empty())];
        poll(&mut queue, Some(&Timespec::default())).is_ok() && queue[0].revents().contains(PollFlags::ERR)
    }
}

fn gone<T>() -> io::Result<T> {
    Err(io::ErrorKind::BrokenPipe.into())
}
