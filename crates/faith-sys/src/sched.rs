//! The scheduling policy of a thread.

use std::io;

/// The shortest slice that the kernel accepts, in nanoseconds (`__setparam_fair()`).
const SLICE: u64 = 100_000;

/// `struct sched_attr` of sched_setattr(2), as in Linux 3.14. The libc crate's structure differs for musl.
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
    fn of_this_thread() -> io::Result<Self> {
        let mut attributes = Self::default();
        // SAFETY: the kernel writes at most `SIZE` bytes, and any bytes are valid attributes.
        let result = unsafe {
            libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, SIZE, NO_FLAGS)
        };
        if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
    }

    fn set(self) -> io::Result<()> {
        let attributes = Self { size: SIZE, ..self };
        // SAFETY: the kernel reads `SIZE` bytes, which outlive the call.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Makes the calling thread interrupt no other thread when it wakes up for a packet (`SCHED_BATCH`; sched(7)). Its share
/// of the processor stays the same, and it handles the packets that came meanwhile in one batch. It also asks for a short
/// slice, so that it runs next when a processor is free: the shorter a thread's slice, the earlier its turn (Linux 6.12;
/// sched_setattr(2), `sched_runtime`).
///
/// A thread with another policy than `SCHED_OTHER` keeps it.
///
/// # Errors
/// `EPERM` or `ENOSYS` if a seccomp filter forbids it.
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

    /// The attributes of a thread with this policy and niceness, after it called `run_in_batches`.
    fn after(policy: libc::c_int, nice: i32) -> Attributes {
        let thread = std::thread::spawn(move || {
            Attributes { policy, nice, ..Attributes::default() }.set().expect("allowed");
            run_in_batches().expect("allowed");
            Attributes::of_this_thread().expect("there")
        });
        thread.join().expect("the thread asserts nothing else")
    }

    #[test]
    fn an_ordinary_thread_gets_the_batch_policy_and_keeps_its_niceness() {
        let Attributes { policy, nice, .. } = after(libc::SCHED_OTHER, 3);
        assert_eq!((policy, nice), (libc::SCHED_BATCH, 3));
    }

    #[test]
    fn its_slice_is_short_if_the_kernel_has_slices() {
        // Before Linux 6.12 the kernel reports no slice; from then on the default is 0.7 ms or more.
        assert!([0, SLICE].contains(&after(libc::SCHED_OTHER, 0).runtime));
    }

    #[test]
    fn a_thread_with_another_policy_keeps_it() {
        assert_eq!(after(libc::SCHED_IDLE, 0).policy, libc::SCHED_IDLE);
    }
}
