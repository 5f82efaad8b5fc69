//! The networks that this host has an address in, kept up to date: those of its neighbours, and of itself.

use std::convert::identity;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::error::{FailedCall, StackError};
use crate::netlink::Netlink;
use crate::netlink::notices::{Notices, Woken};
use crate::ranges::Ranges;
use crate::thread::{self, Begun};

/// The pause before the thread tries again to follow changes.
const REST: Duration = Duration::from_secs(1);

/// The time between two looks without a reason.
const IDLE: Duration = Duration::from_hours(1);

/// The networks, and the thread that follows their changes. Dropping it ends the thread.
pub struct LocalNetworks {
    known: Arc<ArcSwap<Ranges>>,
    /// An eventfd that stops the thread.
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl LocalNetworks {
    /// Follows the networks of the calling thread's network namespace.
    ///
    /// # Errors
    /// The thread cannot be started, or the kernel does not tell the addresses. While it does not tell them later, the last
    /// ones count.
    pub fn follow() -> Result<Self, StackError> {
        let failed = |failed| StackError::failed("follow the networks of this host".to_owned(), failed);
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(FailedCall::of("eventfd")).map_err(failed)?;
        let stopped = stop.try_clone().map_err(FailedCall::of("fcntl")).map_err(failed)?;
        let known = Arc::<ArcSwap<Ranges>>::default();
        let learning = Arc::clone(&known);
        let body = move |begun| persist(stopped.as_fd(), &learning, &begun);
        let ((), thread) = thread::start("faith/networks".to_owned(), identity, body).map_err(failed)?;
        Ok(Self { known, stop, thread: Some(thread) })
    }

    /// Returns true if the address is in a network that this host has an address in.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.known.load().contains(address.to_canonical())
    }
}

impl Drop for LocalNetworks {
    fn drop(&mut self) {
        // This cannot block: the counter of the eventfd is written to only once.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Follows until it is stopped, and begins again after a failure, unless that is the first look's.
fn persist(stop: BorrowedFd<'_>, known: &ArcSwap<Ranges>, begun: &Begun<(), FailedCall>) {
    let mut has_begun = false;
    loop {
        let looked = || {
            if !std::mem::replace(&mut has_begun, true) {
                let _ = begun.send(Ok(()));
            }
        };
        match follow(stop, known, looked) {
            Ok(()) => return,
            Err(failed) if !has_begun => return drop(begun.send(Err(failed))),
            Err(_) if is_readable_within(stop, REST) => return,
            Err(_) => {}
        }
    }
}

/// Looks at the addresses, and again after each change.
fn follow(stop: BorrowedFd<'_>, known: &ArcSwap<Ranges>, mut looked: impl FnMut()) -> Result<(), FailedCall> {
    let mut notices = Notices::subscribe()?;
    let netlink = Netlink::connect()?;
    loop {
        let networks = netlink.networks().map_err(FailedCall::of("RTM_GETADDR"))?;
        // An address with a prefix of no length says nothing about the hosts around it.
        known.store(Arc::new(networks.into_iter().filter(|(_, length)| *length > 0).collect()));
        looked();
        loop {
            match notices.wait(stop, IDLE, |_| false).map_err(FailedCall::of("recvfrom"))? {
                Woken::Stopped => return Ok(()),
                Woken::Changed(changes) if changes.own => break,
                Woken::Changed(_) => {}
            }
        }
    }
}

fn is_readable_within(descriptor: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], limit.as_ref())
        .is_ok_and(|ready| ready > 0)
}
