//! The watch: one thread of an interface that notices changes on the host and stuck workers.
//!
//! It looks at the host's own addresses, the shortcut's pair and the routes: once at the start, and again whenever the
//! kernel says that they may have changed (see [`notices`](crate::netlink::notices)). While it cannot look, the host's
//! addresses are unknown, so the relay denies all of them. It tries again until it can.

use std::convert::identity;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::error::FailedCall;
use crate::netlink::Netlink;
use crate::netlink::notices::{Changes, Notices, Subject, Woken};
use crate::own_addresses::OwnAddresses;
use crate::routes::Routes;
use crate::shortcut::Guard;
use crate::thread::{self, Begun};
use crate::warning::{self, Warnings};
use crate::watchdog::Watchdog;

/// The first and the longest pause before the watch tries again.
const REST: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// The time between two looks without a reason.
const IDLE: Duration = Duration::from_hours(1);

/// The thread, in the network namespace of its starter.
pub(crate) struct Watch(Mutex<Option<Running>>);

struct Running {
    /// An eventfd that stops the thread.
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

/// The parts that the watch looks at.
pub(crate) struct Watched {
    pub(crate) own: Arc<OwnAddresses>,
    pub(crate) guard: Option<Guard>,
    /// `None` without an interface, like `watchdog`.
    pub(crate) routes: Option<Routes>,
    pub(crate) watchdog: Option<Watchdog>,
    pub(crate) warnings: Warnings,
}

impl Watch {
    /// Starts the thread, and returns after its first look.
    ///
    /// # Errors
    /// The thread cannot be started, or cannot look. Later failures are warnings.
    pub(crate) fn start(name: &str, mut watched: Watched) -> Result<Self, FailedCall> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(FailedCall::of("eventfd"))?;
        let stopped = stop.try_clone().map_err(FailedCall::of("fcntl"))?;
        let body = move |begun| {
            let mut state = State::new(Arc::clone(&watched.own), watched.warnings.clone(), begun);
            persist(stopped.as_fd(), &mut state, |state| watched.follow(stopped.as_fd(), state));
        };
        let ((), thread) = thread::start(format!("{name}/watch"), identity, body)?;
        Ok(Self(Mutex::new(Some(Running { stop, thread }))))
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let running = self.0.lock().take();
        if let Some(Running { stop, thread }) = running {
            // This cannot block: the counter of the eventfd is written to only once.
            let _ = rustix::io::write(&stop, &1_u64.to_ne_bytes());
            let _ = thread.join();
        }
    }
}

impl Watched {
    /// Looks repeatedly, until the watch is stopped.
    fn follow(&mut self, stop: BorrowedFd<'_>, state: &mut State) -> Result<(), FailedCall> {
        let mut notices = Notices::subscribe()?;
        let netlink = Netlink::connect()?;
        let mut changes = Changes::ALL;
        loop {
            if changes.own {
                self.own.learn(netlink.own_addresses().map_err(FailedCall::of("RTM_GETROUTE"))?);
            }
            if changes.links
                && let Some(guard) = &self.guard
                && guard.is_over(&netlink).map_err(FailedCall::of("RTM_GETLINK"))?
            {
                self.guard = None;
            }
            if let Some(routes) = &mut self.routes {
                if changes.routes {
                    routes.changed();
                }
                if routes.due().is_zero() {
                    routes.look(&netlink).map_err(FailedCall::of("RTM_GETROUTE"))?;
                }
            }
            state.looked();
            let due = self.routes.as_ref().map_or(Duration::MAX, Routes::due);
            let limit = self.watchdog.as_mut().map_or(IDLE, Watchdog::look).min(due);
            let concerns =
                |subject: Subject<'_>| self.routes.as_ref().is_some_and(|routes| routes.concerns(subject));
            let woken = notices.wait(stop, limit, concerns);
            match woken.map_err(FailedCall::of("recvfrom"))? {
                Woken::Stopped => return Ok(()),
                Woken::Changed(some) => changes = some,
            }
        }
    }
}

/// The watch's ability to look, with the warnings about it.
struct State {
    own: Arc<OwnAddresses>,
    warnings: Warnings,
    /// Reports the first look to the starter; `None` after that.
    begun: Option<Begun<(), FailedCall>>,
    blind: bool,
}

impl State {
    fn new(own: Arc<OwnAddresses>, warnings: Warnings, begun: Begun<(), FailedCall>) -> Self {
        Self { own, warnings, begun: Some(begun), blind: false }
    }

    fn looked(&mut self) {
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Ok(()));
        }
        if std::mem::take(&mut self.blind) {
            self.warnings.send(warning::Kind::Watched);
        }
    }

    /// Handles a failure. Returns true if the watch shall try again.
    fn failed(&mut self, failed: FailedCall) -> bool {
        self.own.forget();
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Err(failed));
            return false;
        }
        if !std::mem::replace(&mut self.blind, true) {
            self.warnings.send(warning::Kind::Unwatched(Arc::new(failed.error)));
        }
        true
    }
}

/// Handles a panic: the watch never looks again.
impl Drop for State {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let panic = "the watch thread has panicked; create the interface again";
            self.failed(FailedCall::of("clone")(io::Error::other(panic)));
        }
    }
}

/// Runs `follow` until it ends in order. Restarts it whenever it fails, after growing pauses.
fn persist(
    stop: BorrowedFd<'_>,
    state: &mut State,
    mut follow: impl FnMut(&mut State) -> Result<(), FailedCall>,
) {
    let [first, most] = REST;
    let mut rest = first;
    while let Err(failed) = follow(state) {
        // If `blind`, it failed again before its first look; otherwise it had worked.
        rest = if state.blind { (rest * 2).min(most) } else { first };
        if !state.failed(failed) || is_readable_within(stop, rest) {
            return;
        }
    }
}

fn is_readable_within(descriptor: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).ok();
    poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], limit.as_ref())
        .is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
    use std::sync::mpsc;

    use super::*;

    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));

    struct OnPurpose;

    type Attempt<'a> = &'a dyn Fn(&mut State) -> Result<(), FailedCall>;

    /// Runs a watch with these attempts, and returns the codes of its warnings.
    fn run(attempts: &mut dyn Iterator<Item = Attempt<'_>>) -> Vec<&'static str> {
        run_on(&Arc::new(OwnAddresses::unknown()), attempts)
    }

    fn run_on(own: &Arc<OwnAddresses>, attempts: &mut dyn Iterator<Item = Attempt<'_>>) -> Vec<&'static str> {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let warnings =
            Warnings::new("faith0", Box::new(move |warning| tell.lock().send(warning.code()).unwrap()));
        let (begun, _begun) = mpsc::channel();
        let mut state = State::new(Arc::clone(own), warnings, begun);
        let stop = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let watch = AssertUnwindSafe(move || {
            persist(stop.as_fd(), &mut state, |state| attempts.next().expect("no further attempt")(state));
        });
        // Any other panic than the one on purpose is a failure.
        if let Err(panic) = catch_unwind(watch)
            && !panic.is::<OnPurpose>()
        {
            resume_unwind(panic);
        }
        told.try_iter().collect()
    }

    fn look(state: &mut State) {
        state.own.learn(vec![(Ipv4Addr::LOCALHOST.into(), 32)]);
        state.looked();
        assert!(!state.own.contains(ELSEWHERE));
    }

    #[test]
    fn a_watch_that_cannot_look_denies_every_address_until_it_can_and_warns_of_both_once() {
        let broke = || Err(FailedCall::of("recvfrom")(io::Error::other("the socket broke")));
        let works_then_breaks = |state: &mut State| {
            look(state);
            broke()
        };
        let cannot_begin = |state: &mut State| {
            assert!(state.own.contains(ELSEWHERE), "the addresses are unknown, so all are denied");
            broke()
        };
        let works = |state: &mut State| {
            assert!(state.own.contains(ELSEWHERE));
            look(state);
            Ok(())
        };
        let attempts: [Attempt<'_>; 4] = [&works_then_breaks, &cannot_begin, &cannot_begin, &works];
        assert_eq!(run(&mut attempts.into_iter()), ["watch-lost", "watch-restored"]);
    }

    #[test]
    fn a_watch_that_fails_before_its_first_look_is_not_tried_again() {
        let cannot_begin = |_: &mut State| Err(FailedCall::of("socket")(io::Error::other("no socket")));
        let attempts: [Attempt<'_>; 1] = [&cannot_begin];
        assert_eq!(run(&mut attempts.into_iter()), [""; 0]);
    }

    #[test]
    fn a_watch_that_panics_denies_every_address_and_warns() {
        let own = Arc::new(OwnAddresses::unknown());
        let panics = |state: &mut State| {
            look(state);
            panic_any(OnPurpose)
        };
        let attempts: [Attempt<'_>; 1] = [&panics];
        assert_eq!(run_on(&own, &mut attempts.into_iter()), ["watch-lost"]);
        assert!(own.contains(ELSEWHERE));
    }

    #[test]
    fn a_watch_that_is_stopped_does_not_warn() {
        let own = Arc::new(OwnAddresses::unknown());
        let works = |state: &mut State| {
            look(state);
            Ok(())
        };
        let attempts: [Attempt<'_>; 1] = [&works];
        assert_eq!(run_on(&own, &mut attempts.into_iter()), [""; 0]);
    }
}
