//! The watch: one thread of an interface that sees what changes on the host, and whether the workers work.
//!
//! It looks at everything once, and again when the kernel says that something may have changed (see
//! [`notices`](crate::netlink::notices)): at the host's own addresses, the shortcut's pair, and the routes. When it
//! cannot look any more, nothing is known of the host's addresses, so that all are denied; it tries again until it can.

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
use crate::netlink::notices::{Changes, Notices, Woken};
use crate::own_addresses::OwnAddresses;
use crate::routes::Routes;
use crate::shortcut::Guard;
use crate::thread::{self, Begun};
use crate::warning::{Warnings, What};
use crate::watchdog::Watchdog;

/// How long the watch rests before it tries again, at first and at most.
const REST: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// The thread, in the network namespace of the thread that started it.
pub(crate) struct Watch(Mutex<Option<Running>>);

struct Running {
    /// An eventfd that the thread looks at.
    stop: OwnedFd,
    thread: JoinHandle<()>,
}

/// Everything that is looked at.
pub(crate) struct Watched {
    pub(crate) own: Arc<OwnAddresses>,
    pub(crate) guard: Option<Guard>,
    pub(crate) routes: Routes,
    pub(crate) watchdog: Watchdog,
    pub(crate) warnings: Warnings,
}

impl Watch {
    /// Starts the thread; returns once it has looked at everything.
    ///
    /// # Errors
    /// The thread cannot be started, or cannot look. What goes wrong later is a warning.
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
            // The counter of an eventfd that is written to once has room.
            let _ = rustix::io::write(&stop, &1_u64.to_ne_bytes());
            let _ = thread.join();
        }
    }
}

impl Watched {
    /// Looks again and again, until it is stopped.
    fn follow(&mut self, stop: BorrowedFd<'_>, state: &mut State) -> Result<(), FailedCall> {
        let mut notices = Notices::subscribe()?;
        let netlink = Netlink::connect()?;
        let mut changes = Changes::ALL;
        loop {
            if changes.own {
                self.own.learn(netlink.own_ipv4().map_err(FailedCall::of("RTM_GETROUTE"))?);
            }
            if changes.links
                && let Some(guard) = &self.guard
                && guard.is_over(&netlink).map_err(FailedCall::of("RTM_GETLINK"))?
            {
                self.guard = None;
            }
            if changes.routes {
                self.routes.changed();
            }
            if self.routes.due().is_zero() {
                self.routes.look(&netlink).map_err(FailedCall::of("RTM_GETROUTE"))?;
            }
            state.looked();
            let limit = self.watchdog.look().min(self.routes.due());
            let woken = notices.wait(stop, limit, |subject| self.routes.concerns(subject));
            match woken.map_err(FailedCall::of("recvfrom"))? {
                Woken::Stopped => return Ok(()),
                Woken::Changed(some) => changes = some,
            }
        }
    }
}

/// Whether the watch can look.
struct State {
    own: Arc<OwnAddresses>,
    warnings: Warnings,
    /// Until the first look.
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
            self.warnings.send(What::Watched);
        }
    }

    /// Whether it is worth trying again.
    fn failed(&mut self, failed: FailedCall) -> bool {
        self.own.forget();
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Err(failed));
            return false;
        }
        if !std::mem::replace(&mut self.blind, true) {
            self.warnings.send(What::Unwatched(Arc::new(failed.error)));
        }
        true
    }
}

/// A watch that panics sees nothing any more, and will not see again.
impl Drop for State {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let panic = "the thread that does so has panicked; create the interface again";
            self.failed(FailedCall::of("clone")(io::Error::other(panic)));
        }
    }
}

/// Runs `follow` until it ends in order: anew whenever it fails, at growing distances.
fn persist(
    stop: BorrowedFd<'_>,
    state: &mut State,
    mut follow: impl FnMut(&mut State) -> Result<(), FailedCall>,
) {
    let [first, most] = REST;
    let mut rest = first;
    while let Err(failed) = follow(state) {
        // It has failed again before it could look once, or it had worked.
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
    use std::net::Ipv4Addr;
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
    use std::sync::mpsc;

    use super::*;

    const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    struct OnPurpose;

    type Attempt<'a> = &'a dyn Fn(&mut State) -> Result<(), FailedCall>;

    /// Runs a watch whose attempts do what `attempts` say; the codes of its warnings.
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
        // Only what a test does on purpose is no failure of it.
        if let Err(panic) = catch_unwind(watch)
            && !panic.is::<OnPurpose>()
        {
            resume_unwind(panic);
        }
        told.try_iter().collect()
    }

    fn look(state: &mut State) {
        state.own.learn(vec![(Ipv4Addr::LOCALHOST, 32)]);
        state.looked();
        assert!(!state.own.contains(ELSEWHERE));
    }

    #[test]
    fn a_watch_that_goes_blind_denies_everything_until_it_sees_again_and_says_both_once() {
        let broke = || Err(FailedCall::of("recvfrom")(io::Error::other("the socket broke")));
        let works_then_breaks = |state: &mut State| {
            look(state);
            broke()
        };
        let cannot_begin = |state: &mut State| {
            assert!(state.own.contains(ELSEWHERE), "nothing is known, so nothing is permitted");
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
    fn a_watch_that_cannot_begin_is_not_tried_again() {
        let cannot_begin = |_: &mut State| Err(FailedCall::of("socket")(io::Error::other("no socket")));
        let attempts: [Attempt<'_>; 1] = [&cannot_begin];
        assert_eq!(run(&mut attempts.into_iter()), [""; 0]);
    }

    #[test]
    fn a_watch_that_panics_denies_everything_and_says_so() {
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
    fn a_watch_that_is_stopped_has_nothing_to_say() {
        let own = Arc::new(OwnAddresses::unknown());
        let works = |state: &mut State| {
            look(state);
            Ok(())
        };
        let attempts: [Attempt<'_>; 1] = [&works];
        assert_eq!(run_on(&own, &mut attempts.into_iter()), [""; 0]);
    }
}
