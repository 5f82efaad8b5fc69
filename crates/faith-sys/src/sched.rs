//! How the kernel schedules a thread.

use std::io;

/// In nanoseconds: the least that the kernel takes for a slice (`__setparam_fair()`).
const SLICE: u64 = 100_000;

/// `struct sched_attr` of sched_setattr(2), as Linux 3.14 had it: libc's has fields of its own with musl.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Attributes {
    size: u32,
    policy: libc::c_int,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// `SCHED_ATTR_SIZE_VER0`
const SIZE: u32 = 48;
const _: () = assert!(size_of::<Attributes>() == SIZE as usize);

const THIS_THREAD: libc::pid_t = 0;
const NO_FLAGS: libc::c_uint = 0;

impl Attributes {
    #[allow(unsafe_code, reason = "the crate of unsafe")]
    fn of_this_thread() -> io::Result<Self> {
        let mut attributes = Self::default();
        // SAFETY: the kernel writes so many bytes at most, any of which are attributes.
        let result = unsafe {
            libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, SIZE, NO_FLAGS)
        };
        if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
    }

    #[allow(unsafe_code, reason = "the crate of unsafe")]
    fn set(self) -> io::Result<()> {
        let attributes = Self { size: SIZE, ..self };
        // SAFETY: the kernel reads so many bytes, which outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Lets the calling thread finish what others run before it takes their processor (`SCHED_BATCH`; sched(7)): its share
/// is as large as before, but waking up for a packet interrupts nobody. What comes meanwhile is done at one go. Of
/// those that wait for a processor it is the next, as it asks for little at a time: a thread's turn comes the earlier
/// the shorter its slice is (Linux 6.12; sched_setattr(2), `sched_runtime`).
///
/// A thread that somebody has given another policy than `SCHED_OTHER` keeps it.
///
/// # Errors
/// `EPERM` or `ENOSYS` where a filter of system calls forbids it.
pub fn run_in_batches() -> io::Result<()> {
    let attributes = Attributes::of_this_thread()?;
    if attributes.policy != libc::SCHED_OTHER {
        return Ok(());
    }
    Attributes { policy: libc::SCHED_BATCH, runtime: SLICE, ..attributes }.set()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a thread of this policy and niceness that asks for batches.
    fn after(policy: libc::c_int, nice: i32) -> Attributes {
        let thread = std::thread::spawn(move || {
            Attributes { policy, nice, ..Attributes::default() }.set().expect("allowed");
            run_in_batches().expect("allowed");
            Attributes::of_this_thread().expect("there")
        });
        thread.join().expect("the thread asserts nothing else")
    }

    #[test]
    fn an_ordinary_thread_runs_in_batches_from_then_on_and_is_as_nice_as_before() {
        let Attributes { policy, nice, .. } = after(libc::SCHED_OTHER, 3);
        assert_eq!((policy, nice), (libc::SCHED_BATCH, 3));
    }

    #[test]
    fn its_slice_is_short_where_slices_can_be_asked_for() {
        // Before Linux 6.12 no slice is told of; from then on it is 0.7 ms or more unless somebody asks.
        assert!([0, SLICE].contains(&after(libc::SCHED_OTHER, 0).runtime));
    }

    #[test]
    fn a_policy_that_somebody_chose_stays() {
        assert_eq!(after(libc::SCHED_IDLE, 0).policy, libc::SCHED_IDLE);
    }
}
