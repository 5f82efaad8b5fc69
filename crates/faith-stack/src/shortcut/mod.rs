//! The shortcut: established TCP goes past the pump, by the programs of `bpf/shortcut.bpf.c`.
//!
//! A veth pair joins the host's namespace and the private one. A program at the egress of the faith interface sends by
//! it what the pump would only pass on: segments of connections, and SYNs as long as no listener asks for them.
//! Whatever else goes to the pump. In the other direction the private namespace's default route leads by the pair,
//! where another program lets out what the pump would, as if it came from the faith interface. A third has each
//! connection that comes this way go to a worker that is ready for it.
//!
//! The programs are attached by links, which end with the process; the pair ends with the private namespace,
//! or before it, in [`Inside::leave_shortcut`](crate::namespace::Inside::leave_shortcut). Without programs the
//! pair carries nothing: its end on the host has no addresses and takes no packets. Sockets that a killed process leaves
//! behind keep the namespace, until a fourth program, which is the pair's own, has reset them.

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
use crate::warning::{Warnings, What};

use programs::{Loaded, Programs};

/// The shortcut of an interface, from when it is made until it is left for good.
pub(crate) struct Shortcut {
    state: Mutex<State>,
    backlogs: Backlogs,
    warnings: Warnings,
}

enum State {
    Taken(Box<Programs>),
    Left(Passed),
}

/// Why there is no shortcut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShortcutError {
    /// The kernel is too old, built without it, or keeps it from this user.
    #[error(
        "{}; it takes Linux 6.6, and CAP_BPF and CAP_NET_ADMIN outside of any user namespace",
        .0.of("shortcut")
    )]
    Unavailable(ProgramRefused),
    /// The network namespaces have no names.
    #[error("{0}")]
    NoProc(String),
    /// The pair of devices cannot be made, or led by.
    #[error("cannot {step}: {source}")]
    Pair {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
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

/// The devices a shortcut is made of, on the host.
struct Ends<'a> {
    interface: &'a str,
    faith: Device,
    queue: OwnedFd,
    name: String,
    mtu: u32,
    warnings: &'a Warnings,
}

impl Shortcut {
    /// Makes the shortcut of `interface`, which has these queues and is in the network namespace of the calling thread, and
    /// what is to watch it. It knows no prefixes yet. Minimum kernel version: 6.6 (`BPF_LINK_TYPE_TCX`).
    ///
    /// # Errors
    /// [`ShortcutError`]: do without. Nothing remains then.
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
        // No two interfaces have an index at the same time, and few have one after the other.
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
        // Whatever comes out of it is for the program alone, also when there is none any more. A read-only /proc/sys
        // leaves it open to what the private namespace, which is the process's own, might send then.
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

    /// Makes one between two ends in `here`, the network namespace of the calling thread, which is to end soon.
    ///
    /// # Errors
    /// Why [`make`](Self::make) would fail.
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

    /// Lets packets to and from `prefix` pass.
    pub(crate) fn add_prefix(&self, prefix: &FaithPrefix) -> io::Result<()> {
        match &mut *self.state() {
            State::Taken(programs) => programs.add_prefix(prefix),
            State::Left(_) => Ok(()),
        }
    }

    /// Lets packets to and from `prefix` pass no more.
    pub(crate) fn remove_prefix(&self, prefix: &FaithPrefix) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of(format!("take {prefix} from"), programs.remove_prefix(prefix));
        }
    }

    /// While it is off the pump gets every packet, and drops it.
    pub(crate) fn keepfaith(&self, on: bool) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of(if on { "open" } else { "close" }, programs.open(on));
        }
    }

    /// Warns of what the kernel has no reason to refuse.
    fn warn_of(&self, what: impl Into<String>, done: io::Result<()>) {
        if let Err(error) = done {
            self.warnings.send(What::ShortcutStuck { what: what.into(), error: Arc::new(error) });
        }
    }

    /// Lets SYNs pass as well if `nobody_looks` says so, which is asked when nobody else can change it.
    pub(crate) fn pass_syns(&self, nobody_looks: impl FnOnce() -> bool) {
        if let State::Taken(programs) = &mut *self.state() {
            self.warn_of("switch SYNs of", programs.pass_syns(nobody_looks()));
        }
    }

    /// Says that a worker has accepted all that came by it.
    pub(crate) fn accepted(&self, worker: usize) {
        self.backlogs.seen(worker);
    }

    /// Whether packets go by it while keepfaith is set.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(*self.state(), State::Taken(_))
    }

    /// Takes the programs away.
    pub(crate) fn leave(&self) {
        let passed = self.passed();
        *self.state() = State::Left(passed);
    }

    /// What has gone by it.
    pub(crate) fn passed(&self) -> Passed {
        match &*self.state() {
            State::Taken(programs) => programs.passed(),
            State::Left(passed) => *passed,
        }
    }
}

/// Sees that the devices of a shortcut are there.
pub(crate) struct Guard {
    shortcut: Arc<Shortcut>,
    namespace: Arc<Namespace>,
    pair: Device,
    faith: Device,
    /// A queue of the interface.
    queue: OwnedFd,
}

impl Guard {
    /// Whether the pair or the interface was taken away. Then everything goes through the pump again, for good: what the
    /// programs redirect to a device that is gone is lost. Where the interface was deleted nothing goes any way, which
    /// the workers report.
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
            // First: without programs the host refuses what comes to the pair.
            inside.leave_shortcut();
            shortcut.leave();
            if is_news {
                shortcut.warnings.send(What::ShortcutLost(why));
            }
        });
        Ok(true)
    }

    /// Whether the interface is in no network namespace any more (`tun_chr_poll()`).
    fn is_deleted(&self) -> bool {
        let mut queue = [PollFd::new(&self.queue, PollFlags::empty())];
        poll(&mut queue, Some(&Timespec::default())).is_ok() && queue[0].revents().contains(PollFlags::ERR)
    }
}

fn gone<T>() -> io::Result<T> {
    Err(io::ErrorKind::BrokenPipe.into())
}
