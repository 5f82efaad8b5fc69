//! Runs a function on every thread of the process, also on threads that other libraries made.
//!
//! Linux keeps users, capabilities and the bounding set per thread, and only a thread itself can change them. So the
//! caller signals one thread after another, and the handler of the signal runs the function. The C library changes users
//! in the same way (`nptl_setxid()` of glibc, `__synccall()` of musl).
//!
//! The signal is number 33, which both C libraries keep for themselves and leave out of every mask: a thread of Node
//! blocks all others. The caller borrows it for a moment. No thread may call setuid(3), setgid(3) or pthread_cancel(3)
//! meanwhile.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::thread::gettid;

/// `SIGSETXID` of glibc, `SIGCANCEL` of musl.
const SIGNAL: libc::c_int = 33;

/// The longest time that a thread may take. It needs some microseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(50);

/// Runs on each thread, also in the handler of a signal. So it must only make system calls: it must not allocate, lock
/// or panic. Its error is a number of the caller's.
pub(crate) type Work<'a> = &'a (dyn Fn(libc::pid_t) -> Result<(), u32> + Sync);

/// The reason why not every thread has run the function.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The threads cannot be listed.
    List(io::Error),
    /// The signal cannot be sent.
    Signal(io::Error),
    /// This thread has not taken the signal in time.
    Late(libc::pid_t),
    /// The function failed.
    Work(u32),
}

/// The thread whose turn it is; [`RUNNING`] while it runs the function, and [`NOBODY`] afterwards.
static TURN: AtomicI32 = AtomicI32::new(NOBODY);
const NOBODY: i32 = 0;
const RUNNING: i32 = -1;

/// The function of the present turn.
static WORK: AtomicPtr<Work<'static>> = AtomicPtr::new(null_mut());

/// The error of the present turn's function; 0 for success.
static OUTCOME: AtomicU32 = AtomicU32::new(0);

/// Runs `work` on every thread, last on the calling one. Threads that start meanwhile run it too. One call at a time: the
/// caller must hold a lock.
pub(crate) fn on_every_thread(work: Work<'_>) -> Result<(), Failed> {
    let me = gettid().as_raw_nonzero().get();
    let borrowed = Borrowed::take().map_err(Failed::Signal)?;
    let mut done = HashSet::from([me]);
    // A thread that has not run `work` may have started another while it was its turn. The listing after that has both.
    // The second look is for a listing that missed a thread because another one ended.
    let mut complete = 0;
    while complete < 2 {
        complete += 1;
        for thread in threads().map_err(Failed::List)? {
            if done.insert(thread) {
                complete = 0;
                if let Err(failed) = on_thread(thread, work) {
                    if matches!(failed, Failed::Late(_)) {
                        // The signal may come yet, and must find a handler that ignores it.
                        std::mem::forget(borrowed);
                    }
                    return Err(failed);
                }
            }
        }
    }
    drop(borrowed);
    work(me).map_err(Failed::Work)
}

/// The ids of this process's threads.
fn threads() -> io::Result<Vec<libc::pid_t>> {
    fs::read_dir("/proc/self/task")?
        .map(|entry| Ok(entry?.file_name().to_str().and_then(|name| name.parse().ok())))
        .filter_map(Result::transpose)
        .collect()
}

fn on_thread(thread: libc::pid_t, work: Work<'_>) -> Result<(), Failed> {
    // The handler dereferences this only while it is the thread's turn, which ends before this function returns.
    WORK.store((&raw const work).cast_mut().cast(), Ordering::Relaxed);
    OUTCOME.store(0, Ordering::Relaxed);
    TURN.store(thread, Ordering::Release);
    let deadline = Instant::now() + PATIENCE;
    let mut sent = signal(thread, SIGNAL);
    while TURN.load(Ordering::Acquire) != NOBODY {
        let over = sent.is_err() || Instant::now() > deadline;
        if over && TURN.compare_exchange(thread, NOBODY, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return match sent {
                Ok(()) => Err(Failed::Late(thread)),
                // The thread has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                Err(error) => Err(Failed::Signal(error)),
            };
        }
        sleep(PAUSE);
        // Tests if the thread still lives.
        sent = sent.and_then(|()| signal(thread, 0));
    }
    match OUTCOME.load(Ordering::Relaxed) {
        0 => Ok(()),
        error => Err(Failed::Work(error)),
    }
}

/// The handler. It leaves `errno` alone, because rustix makes its system calls without the C library.
extern "C" fn take_turn(_: libc::c_int) {
    let me = gettid().as_raw_nonzero().get();
    if TURN.compare_exchange(me, RUNNING, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: `on_thread` stored a reference to its argument, and waits while it is this thread's turn.
    let work = unsafe { *WORK.load(Ordering::Relaxed) };
    OUTCOME.store(work(me).err().unwrap_or(0), Ordering::Relaxed);
    TURN.store(NOBODY, Ordering::Release);
}

fn signal(thread: libc::pid_t, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: tgkill takes integers and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct sigaction` of the kernel, whose fields differ between machines. The longest has 32 bytes.
type KernelAction = MaybeUninit<[u64; 8]>;

/// The length of the kernel's `sigset_t`.
const SIGSET: usize = 8;

/// The signal while its handler is ours. Dropping it gives the signal back to the C library.
struct Borrowed {
    theirs: KernelAction,
}

impl Borrowed {
    fn take() -> io::Result<Self> {
        // The C library's functions refuse the signal, and the kernel's structure needs a trampoline of the C library. So
        // the last real-time signal gets the handler first, and its action is copied as it stands.
        let lender = libc::SIGRTMAX();
        // SAFETY: zero is valid for each field, which are integers, sets of bits and an optional function.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = take_turn as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        let mut before = MaybeUninit::uninit();
        // SAFETY: the handler only does what signal-safety(7) permits, and all structures outlive the calls.
        unsafe {
            libc::sigfillset(&raw mut action.sa_mask);
            if libc::sigaction(lender, &raw const action, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let (mut ours, mut theirs) = (KernelAction::zeroed(), KernelAction::zeroed());
        let copied = kernel_action(lender, null(), &raw mut ours)
            .and_then(|()| kernel_action(SIGNAL, &raw const ours, &raw mut theirs));
        // SAFETY: the call before has filled the structure.
        unsafe { libc::sigaction(lender, before.as_ptr(), null_mut()) };
        copied.map(|()| Self { theirs })
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // The kernel takes what it gave.
        let _ = kernel_action(SIGNAL, &raw const self.theirs, null_mut());
    }
}

/// rt_sigaction(2).
fn kernel_action(signal: libc::c_int, new: *const KernelAction, old: *mut KernelAction) -> io::Result<()> {
    // SAFETY: the kernel reads and writes at most 32 bytes of each structure, or nothing where it is null; callers pass
    // actions that came from the kernel.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIGSET) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
