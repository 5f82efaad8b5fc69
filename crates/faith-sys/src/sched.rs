//! How the kernel schedules a thread.

use std::io;

/// Lets the calling thread finish what others run before it takes their processor (`SCHED_BATCH`, Linux 2.6.16;
/// sched(7)): its share is as large as before, but waking up for a packet interrupts nobody. What comes meanwhile
/// is done at one go. A thread that somebody has given another policy than `SCHED_OTHER` keeps it.
///
/// By syscall(2), because musl's sched_setscheduler() is for whole processes and only fails.
///
/// # Errors
/// `EPERM` or `ENOSYS` where a filter of system calls forbids it.
#[allow(unsafe_code, reason = "the crate of unsafe")]
pub fn run_in_batches() -> io::Result<()> {
    const THIS_THREAD: libc::pid_t = 0;
    // SAFETY: it takes a number and returns one.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, THIS_THREAD) };
    if policy < 0 {
        return Err(io::Error::last_os_error());
    }
    if policy != i64::from(libc::SCHED_OTHER) {
        return Ok(());
    }
    // `struct sched_param` of sched(7): libc's has fields of its own with musl.
    let priority: libc::c_int = 0;
    // SAFETY: the kernel reads one integer, which outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, THIS_THREAD, libc::SCHED_BATCH, &raw const priority)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the thread's policy is once it has asked for batches, beginning with `policy`.
    #[allow(unsafe_code, reason = "the crate of unsafe")]
    fn policy_after(policy: libc::c_int) -> i64 {
        let thread = std::thread::spawn(move || {
            let priority: libc::c_int = 0;
            // SAFETY: as above.
            let set = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
            assert_eq!(set, 0, "{}", io::Error::last_os_error());
            run_in_batches().expect("allowed");
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) }
        });
        thread.join().expect("the thread asserts nothing else")
    }

    #[test]
    fn an_ordinary_thread_runs_in_batches_from_then_on() {
        assert_eq!(policy_after(libc::SCHED_OTHER), i64::from(libc::SCHED_BATCH));
    }

    #[test]
    fn a_policy_that_somebody_chose_stays() {
        assert_eq!(policy_after(libc::SCHED_IDLE), i64::from(libc::SCHED_IDLE));
    }
}
