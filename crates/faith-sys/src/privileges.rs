//! Gives up the privileges of the process, on every thread of it.
//!
//! Afterwards every thread runs as an ordinary user, without capabilities and without a way to get any: the bounding set
//! is empty, no_new_privs is set, and a filter denies the system calls that a relay never makes (seccomp.rs). Only threads
//! that asked for it by [`keep`] have capabilities, and no more than those.
//!
//! The order on each thread: the bounding set, which needs `CAP_SETPCAP`; the groups and the user, by which the kernel
//! takes the capabilities away (`PR_SET_KEEPCAPS` prevents that on threads that keep some); the capabilities that are
//! kept. The filter comes last, for all threads at once.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::Uid;
pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    CapabilitySets, capabilities, capability_is_in_bounding_set, gettid, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::every_thread::{Failed, on_every_thread};
use crate::seccomp::deny_on_every_thread;
use crate::users::User;

/// The capabilities that threads keep, by the ids of the threads.
static KEPT: LazyLock<Mutex<HashMap<libc::pid_t, CapabilitySet>>> = LazyLock::new(Mutex::default);

static DROPPED: AtomicBool = AtomicBool::new(false);

fn kept() -> MutexGuard<'static, HashMap<libc::pid_t, CapabilitySet>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The claim of a thread to capabilities. The thread drops it before it ends.
#[derive(Debug)]
pub struct Keep {
    thread: libc::pid_t,
}

/// Lets the calling thread keep `capabilities` when the process gives up its privileges, as far as it has them then.
#[must_use]
pub fn keep(capabilities: CapabilitySet) -> Keep {
    let thread = gettid().as_raw_nonzero().get();
    kept().insert(thread, capabilities);
    Keep { thread }
}

impl Drop for Keep {
    fn drop(&mut self) {
        kept().remove(&self.thread);
    }
}

/// Returns true once the process has given up its privileges.
#[must_use]
pub fn are_dropped() -> bool {
    DROPPED.load(Ordering::Relaxed)
}

/// A failure to give up privileges.
#[derive(Debug)]
pub struct DropError {
    /// The system call that failed.
    pub call: &'static str,
    /// Its error.
    pub source: io::Error,
}

impl DropError {
    fn new(call: &'static str, source: io::Error) -> Self {
        Self { call, source }
    }
}

impl From<Failed> for DropError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::List(error) => Self::new("open", error),
            Failed::Signal(error) => Self::new("tgkill", error),
            Failed::Late(thread) => {
                Self::new("tgkill", io::Error::other(format!("thread {thread} does not answer")))
            }
            Failed::Work(number) => {
                let [_, call, high, low] = number.to_be_bytes();
                let errno = i32::from(u16::from_be_bytes([high, low]));
                let call = CALLS.get(usize::from(call)).copied().unwrap_or_default();
                Self::new(call, io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// The system calls of [`shed`], by their place in its errors.
const CALLS: [&str; 6] = ["capget", "prctl", "setgroups", "setresgid", "setresuid", "capset"];

/// Makes the constructor for errors of a call: its place in [`CALLS`], and the errno.
fn of(call: u8) -> impl Fn(Errno) -> u32 {
    move |error| {
        let [_, _, high, low] = error.raw_os_error().to_be_bytes();
        u32::from_be_bytes([0, call, high, low])
    }
}

/// Gives up all privileges on every thread, and becomes `user`. For good; a second call changes nothing.
///
/// Minimum kernel version: 3.17. A thread without `CAP_SETPCAP` keeps its bounding set, from which no_new_privs lets it
/// gain nothing.
///
/// # Errors
/// `ENOENT` if /proc is not mounted; `EPERM` if the process is neither root nor `user`; `EINVAL` if its user namespace lacks the user, or the kernel has no
/// seccomp filters. After an error some threads may have given up their privileges and others not: end the process.
pub fn drop_to(user: &User) -> Result<(), DropError> {
    let kept = kept();
    if are_dropped() {
        return Ok(());
    }
    let shed = |thread| {
        let keeps = kept.get(&thread).copied().unwrap_or(CapabilitySet::empty());
        shed(user, keeps)
    };
    on_every_thread(&shed)?;
    deny_on_every_thread().map_err(|error| DropError::new("seccomp", error))?;
    DROPPED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Takes the privileges of the calling thread, but for `keeps`. Only makes system calls: it runs in the handler of a signal.
fn shed(user: &User, keeps: CapabilitySet) -> Result<(), u32> {
    let [get, control, groups, gid, uid, set] = [0, 1, 2, 3, 4, 5].map(of);
    let permitted = capabilities(None).map_err(get)?.permitted;
    if permitted.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            match capability_is_in_bounding_set(capability) {
                Ok(true) => remove_capability_from_bounding_set(capability).map_err(&control)?,
                Ok(false) => {}
                // The kernel has no more capabilities.
                Err(_) => break,
            }
        }
    }
    // A process that is the user already may be forbidden to change users, as a service with a filter is.
    if !is_only(user.uid) {
        set_keep_capabilities(!keeps.is_empty()).map_err(&control)?;
        set_thread_groups(&user.groups).map_err(groups)?;
        set_thread_res_gid(user.gid, user.gid, user.gid).map_err(gid)?;
        set_thread_res_uid(user.uid, user.uid, user.uid).map_err(uid)?;
        set_keep_capabilities(false).map_err(&control)?;
    }
    let left = permitted & keeps;
    set_capabilities(
        None,
        CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() },
    )
    .map_err(set)?;
    set_no_new_privs(true).map_err(control)
}

/// Returns true if the real, the effective and the saved user of the calling thread are all `user`.
fn is_only(user: Uid) -> bool {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the kernel writes the three ids, which outlive the call.
    let result = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    result == 0 && [real, effective, saved] == [user.as_raw(); 3]
}
