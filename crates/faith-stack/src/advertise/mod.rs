//! Advertises the prefixes to the hosts of links: router advertisements with the option PREF64 alone (RFC 8781).
//!
//! One thread has a raw ICMPv6 socket for all links. It needs a privilege to open the socket, and none afterwards. Links
//! are found by their names every two seconds, so one that is deleted, renamed or down is left alone until it is back.
//!
//! Hosts learn of the end by advertisements with a prefix lifetime of 0: the first one at once, and two more while the
//! process goes on.

mod link;
mod place;
mod schedule;
mod status;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use faith_packet::pref64::LONGEST_LIFETIME;
use faith_packet::prefix::FaithPrefix;
use faith_sys::icmpv6::RouterSocket;
use faith_sys::privileges::are_dropped;
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::{read, write};

use crate::error::{FailedCall, StackError};
use crate::thread;
use link::{Link, Times};
pub use status::{AdvertiserEvent, LinkState, LinkStatus};

const WHAT: &str = "advertise the prefix";

/// The remedy if the socket is forbidden.
const NEEDS: &str = "run as root, or give CAP_NET_RAW";

/// The remedy if the process may do so no more.
const NEEDS_START: &str = "this process has given up its privileges; start faithd again";

/// The time between two looks at the interfaces.
const LOOK: Duration = Duration::from_secs(2);

/// Room for the longest message whose beginning matters.
const MESSAGE: usize = 2048;

/// Messages that are read before advertisements are looked after again.
const BURST: usize = 64;

/// The links, prefixes and times of advertisements.
#[derive(Clone, Debug, Default)]
pub struct Advertising {
    /// The names of the interfaces that lead to the hosts.
    pub links: Vec<String>,
    /// The prefixes; none withdraws all that were advertised before.
    pub prefixes: Vec<FaithPrefix>,
    /// The lifetime of a prefix in seconds, at most 65528.
    pub lifetime: u16,
    /// The longest time between two advertisements. The shortest is a third of it.
    pub most: Duration,
}

/// The state that the thread shares with its owner.
#[derive(Default)]
struct Shared {
    settings: Advertising,
    links: Vec<Link>,
    /// The interfaces of new links have not been looked for.
    has_new: bool,
    ends: bool,
}

/// The sender of advertisements.
pub struct Advertiser {
    shared: Arc<Mutex<Shared>>,
    wake: Arc<OwnedFd>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Advertiser {
    /// Opens the socket and starts the thread, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; the thread cannot be started.
    pub fn open(tell: impl Fn(AdvertiserEvent) + Send + 'static) -> Result<Self, StackError> {
        let failed = |failed| StackError::failed(WHAT, failed);
        let socket = RouterSocket::open().map_err(|source| {
            let is_forbidden = source.kind() == io::ErrorKind::PermissionDenied;
            let needs = if are_dropped() { NEEDS_START } else { NEEDS };
            let hint = is_forbidden.then_some(needs);
            StackError::System { what: WHAT.to_owned(), syscall: "socket", source, hint }
        })?;
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(FailedCall::of("eventfd"))
            .map_err(failed)?;
        let wake = Arc::new(wake);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let body = {
            let (shared, wake) = (Arc::clone(&shared), Arc::clone(&wake));
            move |begun: thread::Begun<(), StackError>| {
                let _ = begun.send(Ok(()));
                run(&socket, &wake, &shared, &tell);
            }
        };
        let ((), thread) = thread::start("faith/advertise".to_owned(), failed, body)?;
        Ok(Self { shared, wake, thread: Mutex::new(Some(thread)) })
    }

    /// Changes what is advertised. Links and prefixes that are missing now are withdrawn.
    pub fn set(&self, settings: Advertising) {
        let mut shared = self.shared.lock();
        let now = Instant::now();
        for name in &settings.links {
            if !shared.links.iter().any(|link| link.name == *name) {
                shared.links.push(Link::new(name, now));
            }
        }
        shared.settings = settings;
        shared.has_new = true;
        let Shared { settings, links, .. } = &mut *shared;
        for link in links {
            let prefixes =
                if settings.links.contains(&link.name) { settings.prefixes.as_slice() } else { &[] };
            link.advertise(prefixes, now);
        }
        drop(shared);
        self.wake();
    }

    /// The links in the order of the settings.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let shared = self.shared.lock();
        let names = &shared.settings.links;
        shared.links.iter().filter(|link| names.contains(&link.name)).map(Link::status).collect()
    }

    /// Withdraws all prefixes, and ends the thread. A second call does nothing.
    pub fn close(&self) {
        let lifetime = self.shared.lock().settings.lifetime;
        self.set(Advertising { lifetime, ..Advertising::default() });
        self.shared.lock().ends = true;
        self.wake();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }

    fn wake(&self) {
        // Fails only when the thread has not looked after 2^64 calls.
        let _ = write(&*self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Advertiser {
    fn drop(&mut self) {
        self.close();
    }
}

/// The body of the thread.
fn run(
    socket: &RouterSocket,
    wake: &OwnedFd,
    shared: &Mutex<Shared>,
    tell: &(impl Fn(AdvertiserEvent) + Send),
) {
    let mut next_look = Instant::now();
    loop {
        let mut events = Vec::new();
        let mut note = |event| events.push(event);
        let now = Instant::now();
        let mut state = shared.lock();
        hear(socket, &mut state, now, &mut note);
        if std::mem::take(&mut state.has_new) || now >= next_look {
            for link in &mut state.links {
                link.look(socket, now, &mut note);
            }
            next_look = now + LOOK;
        }
        advertise(socket, &mut state, now, &mut note);
        let ends = state.ends;
        let next = state.links.iter().filter_map(Link::next).min();
        let idle = state.links.is_empty();
        drop(state);
        // The receiver of events may ask for the links.
        events.into_iter().for_each(tell);
        if ends {
            return;
        }
        let deadline = if idle { None } else { Some(next.map_or(next_look, |next| next.min(next_look))) };
        wait(socket, wake, deadline.map(|deadline| deadline.saturating_duration_since(now)));
    }
}

/// Sends what is due, and what is owed at the end.
fn advertise(
    socket: &RouterSocket,
    state: &mut Shared,
    now: Instant,
    note: &mut impl FnMut(AdvertiserEvent),
) {
    let Shared { settings, links, ends, .. } = state;
    let times = Times { lifetime: settings.lifetime.min(LONGEST_LIFETIME), most: settings.most };
    for link in &mut *links {
        let is_due = link.next().is_some_and(|next| next <= now);
        if is_due || (*ends && link.owes_end()) {
            link.send(socket, times, now, random(), note);
        }
    }
    links.retain(|link| settings.links.contains(&link.name) || link.next().is_some());
}

fn hear(socket: &RouterSocket, state: &mut Shared, now: Instant, note: &mut impl FnMut(AdvertiserEvent)) {
    let mut buffer = [0; MESSAGE];
    for _ in 0..BURST {
        let Ok(Some(received)) = socket.receive(&mut buffer) else { return };
        let message = buffer.get(..received.length).unwrap_or_default();
        for link in &mut state.links {
            link.hear(message, &received, now, random(), note);
        }
    }
}

/// Waits for a message, for a change of the settings, or for this long.
fn wait(socket: &RouterSocket, wake: &OwnedFd, limit: Option<Duration>) {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut polled = [PollFd::new(socket, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
    // A signal ends the wait early, which does no harm.
    let _ = poll(&mut polled, limit.as_ref());
    let _ = read(wake, &mut [0; 8]);
}

/// A random number: the keys of a new hasher are random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
