//! A process gives up its privileges. This is a program without a test harness, because it cannot take them back.
#![expect(unsafe_code, reason = "attempts at system calls")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "all of it is a test")]

use std::ffi::{CStr, c_long};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::ptr::{null, null_mut};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use faith_sys::privileges::{self, CapabilitySet};
use faith_sys::{netns, users};
use rustix::thread::gettid;
use socket2::{Domain, Socket, Type};

const NONE: &str = "0000000000000000";

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs.
struct Worker {
    id: i32,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(begin: impl FnOnce() + Send + 'static) -> Self {
        Self::keeping(CapabilitySet::empty(), begin)
    }

    fn keeping(keeps: CapabilitySet, begin: impl FnOnce() + Send + 'static) -> Self {
        let (jobs, receiver): (_, Receiver<Job>) = channel();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let _kept = (!keeps.is_empty()).then(|| privileges::keep(keeps));
            begin();
            tell.send(gettid().as_raw_nonzero().get()).unwrap();
            for job in receiver {
                job();
            }
        });
        Self { id: told.recv().unwrap(), jobs: Some(jobs), thread: Some(thread) }
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, told) = channel();
        self.jobs.as_ref().unwrap().send(Box::new(move || tell.send(job()).unwrap())).unwrap();
        told.recv().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn main() {
    if !has_other_users() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root of the machine");
        return;
    }
    let user = users::find("daemon").unwrap().expect("a user that every host has");
    // Node has a thread that does the same.
    let deaf = Worker::start(block_all_signals);
    let ordinary = Worker::start(|| ());
    let keeper = Worker::keeping(CapabilitySet::NET_ADMIN, || netns::unshare_network().unwrap());
    drop(Worker::keeping(CapabilitySet::NET_ADMIN, || ()));
    assert!(!privileges::are_dropped());

    privileges::drop_to(&user).unwrap();
    privileges::drop_to(&user).unwrap();

    assert!(privileges::are_dropped());
    let later = Worker::start(|| ());
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let threads: Vec<_> = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap).collect();
    assert_eq!(threads.len(), 5);
    for thread in threads {
        let status = fs::read_to_string(thread.path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let keeps = thread.file_name().to_str() == Some(&keeper.id.to_string());
        let left = format!("{:016x}", if keeps { CapabilitySet::NET_ADMIN.bits() } else { 0 });
        assert_eq!(field("Uid"), [uid.to_string().as_str(); 4].join(" "));
        assert_eq!(field("Gid"), [gid.to_string().as_str(); 4].join(" "));
        assert_eq!(field("Groups"), gid.to_string());
        assert_eq!(["CapEff", "CapPrm"].map(field), [left.clone(), left]);
        assert_eq!(["CapBnd", "CapInh", "CapAmb"].map(field), [NONE; 3]);
        assert_eq!(["NoNewPrivs", "Seccomp"].map(field), ["1", "2"]);
    }

    for worker in [&deaf, &ordinary, &keeper, &later] {
        worker.run(attempt_everything);
    }
    attempt_everything();
    // The mark of a socket needs CAP_NET_ADMIN.
    let may_mark = || Socket::new(Domain::IPV6, Type::STREAM, None).unwrap().set_mark(7).is_ok();
    assert_eq!([&keeper, &ordinary, &later].map(|worker| worker.run(may_mark)), [true, false, false]);
}

/// Returns true for root, unless it is root of a user namespace that has no other user.
fn has_other_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let users = map.split_whitespace().nth(2).and_then(|count| count.parse().ok());
    rustix::process::geteuid().is_root() && users.is_some_and(|count: u32| count > 1)
}

fn block_all_signals() {
    // SAFETY: the set outlives the calls, and sigfillset(3) fills it.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, null_mut());
    }
}

/// Tries calls that the filter denies. Without the filter an ordinary user may make half of them.
fn attempt_everything() {
    let address = |text: &CStr| text.as_ptr() as c_long;
    // A program that is executed ends this test as a failure.
    let program = c"/bin/false";
    let arguments = [program.as_ptr(), null()];
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    let new_user = c_long::from(libc::CLONE_NEWUSER);
    let attempts: [(&str, c_long, [c_long; 4]); 18] = [
        ("execve", libc::SYS_execve, [address(program), arguments.as_ptr() as c_long, 0, 0]),
        ("execveat", libc::SYS_execveat, [-100, address(program), arguments.as_ptr() as c_long, 0]),
        ("unshare", libc::SYS_unshare, [new_user, 0, 0, 0]),
        ("clone", libc::SYS_clone, [new_user, 0, 0, 0]),
        ("setns", libc::SYS_setns, [own.as_raw_fd().into(), 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [0; 4]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [std::process::id().into(), 0, 0, 0]),
        ("mount", libc::SYS_mount, [address(c"none"), address(c"/mnt"), address(c"tmpfs"), 0]),
        ("chroot", libc::SYS_chroot, [address(c"/"), 0, 0, 0]),
        ("bpf(BPF_MAP_CREATE)", libc::SYS_bpf, [0; 4]),
        ("bpf(BPF_PROG_LOAD)", libc::SYS_bpf, [5, 0, 0, 0]),
        ("socket(AF_PACKET)", libc::SYS_socket, [libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0, 0]),
        ("add_key", libc::SYS_add_key, [address(c"user"), address(c"name"), 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [1, 0, 0, 0]),
        ("io_uring_setup", 425, [1, 0, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 4]),
        ("init_module", libc::SYS_init_module, [0; 4]),
        ("reboot", libc::SYS_reboot, [0; 4]),
    ];
    for (name, call, [a, b, c, d]) in attempts {
        // SAFETY: the texts outlive the calls, and null stands for all other memory.
        let result = unsafe { libc::syscall(call, a, b, c, d, 0_usize) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((result, error), (-1, Some(libc::EPERM)), "{name}");
    }
}
