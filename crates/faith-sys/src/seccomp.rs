//! A filter of system calls that a relay never makes once it runs (seccomp(2)).
//!
//! It is a deny-list: Node and the C library make new calls with each version, and an allow-list would break with each.
//! A denied call fails with `EPERM`, which programs handle. Allowed calls do not depend on their arguments except the few
//! below, so the kernel remembers them and runs the filter for none of the others (Linux 5.11).

use std::io;
use std::mem::offset_of;

/// `struct seccomp_data`: the input of the filter.
#[repr(C)]
struct Data {
    number: i32,
    machine: u32,
    instruction: u64,
    arguments: [u64; 6],
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 0xc000_00b7;

/// From this number on are the calls of x32, the same ones with other numbers.
const X32: u32 = 0x4000_0000;

/// Calls that are denied as they are. Those from 424 on have the same number on every machine, and the libc crate lacks
/// some.
const DENIED: &[libc::c_long] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    438, // pidfd_getfd
    // Other namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    428, // open_tree
    429, // move_mount
    430, // fsopen
    431, // fsconfig
    432, // fsmount
    433, // fspick
    442, // mount_setattr
    467, // open_tree_attr
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    443, // quotactl_fd
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // The kernel and the machine.
    libc::SYS_kexec_load,
    KEXEC_FILE_LOAD,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // Interfaces of the kernel that had many faults and that no relay needs.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_fanotify_init,
    425, // io_uring_setup
    426, // io_uring_enter
    427, // io_uring_register
];

/// libc has no number for musl on arm64.
#[cfg(all(target_arch = "aarch64", target_env = "musl"))]
const KEXEC_FILE_LOAD: libc::c_long = 294;
#[cfg(not(all(target_arch = "aarch64", target_env = "musl")))]
const KEXEC_FILE_LOAD: libc::c_long = libc::SYS_kexec_file_load;

/// Calls that are denied for some values of their first argument.
const DENIED_FOR: &[(libc::c_long, Deny)] = &[
    (libc::SYS_clone, Deny::Flags(NAMESPACES)),
    (libc::SYS_socket, Deny::Values(&[libc::AF_PACKET as u32])),
    (libc::SYS_bpf, Deny::Values(&[BPF_MAP_CREATE, BPF_PROG_LOAD])),
];

enum Deny {
    /// One of these flags.
    Flags(u32),
    /// One of these values.
    Values(&'static [u32]),
}

/// The flags of clone(2) that make namespaces. `CLONE_NEWTIME` shares its bit with the signal of the end, which clone(2)
/// reads instead.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

const BPF_MAP_CREATE: u32 = 0;
const BPF_PROG_LOAD: u32 = 5;

/// clone3(2), whose flags are out of a filter's reach. The C libraries use clone(2) when it does not exist.
const CLONE3: libc::c_long = 435;

/// Filters the calls of every thread, and of the threads that they start, for good. All threads must have no_new_privs or
/// get it by this (`SECCOMP_FILTER_FLAG_TSYNC`, Linux 3.17).
///
/// # Errors
/// Those of seccomp(2): `EINVAL` if the kernel has no filters; another error if a thread has a filter that the calling
/// thread lacks.
pub(crate) fn deny_on_every_thread() -> io::Result<()> {
    let mut program = program();
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads `len` instructions, which outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match result {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        thread => Err(io::Error::other(format!("thread {thread} has a filter of its own"))),
    }
}

const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_LEAST: u16 = 0x35;
const JUMP_IF_FLAGS: u16 = 0x45;

const ALLOW: libc::sock_filter = then(libc::SECCOMP_RET_ALLOW);
const EPERM: libc::sock_filter = then(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned());
const ENOSYS: libc::sock_filter = then(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned());

const fn then(verdict: u32) -> libc::sock_filter {
    libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: verdict }
}

fn load(offset: usize) -> libc::sock_filter {
    #[expect(clippy::cast_possible_truncation, reason = "the structure has 64 bytes")]
    let k = offset as u32;
    libc::sock_filter { code: LOAD, jt: 0, jf: 0, k }
}

/// Skips the next `skip` instructions if the comparison of the loaded word with `k` is false.
fn unless(code: u16, k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf: skip, k }
}

fn number(call: libc::c_long) -> u32 {
    // No call has a negative number.
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![
        // Another machine's calls have other numbers: 32-bit programs on a 64-bit kernel.
        load(offset_of!(Data, machine)),
        libc::sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: MACHINE },
        EPERM,
        load(offset_of!(Data, number)),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([unless(JUMP_IF_LEAST, X32, 1), EPERM]);
    }
    for &call in DENIED {
        program.extend([unless(JUMP_IF_EQUAL, number(call), 1), EPERM]);
    }
    program.extend([unless(JUMP_IF_EQUAL, number(CLONE3), 1), ENOSYS]);
    for (call, deny) in DENIED_FOR {
        let tests: Vec<_> = match deny {
            Deny::Flags(flags) => vec![(JUMP_IF_FLAGS, *flags)],
            Deny::Values(values) => values.iter().map(|value| (JUMP_IF_EQUAL, *value)).collect(),
        };
        // The lower half of the argument comes first on both machines.
        let mut block = vec![load(offset_of!(Data, arguments))];
        block.extend(tests.into_iter().flat_map(|(code, k)| [unless(code, k, 1), EPERM]));
        block.push(ALLOW);
        // No block has more than a few instructions.
        let skip = u8::try_from(block.len()).unwrap_or(u8::MAX);
        program.push(unless(JUMP_IF_EQUAL, number(*call), skip));
        program.extend(block);
    }
    program.push(ALLOW);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn verdict(machine: u32, call: u32, argument: u32) -> u32 {
        let program = program();
        let (mut at, mut word) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let jump = |is_true: bool| usize::from(if is_true { jt } else { jf });
            match code {
                RETURN => return k,
                LOAD => {
                    word = match k {
                        0 => call,
                        4 => machine,
                        16 => argument,
                        other => panic!("offset {other}"),
                    }
                }
                JUMP_IF_EQUAL => at += jump(word == k),
                JUMP_IF_LEAST => at += jump(word >= k),
                JUMP_IF_FLAGS => at += jump(word & k != 0),
                other => panic!("code {other:#x}"),
            }
        }
    }

    fn here(call: libc::c_long, argument: u32) -> u32 {
        verdict(MACHINE, number(call), argument)
    }

    #[test]
    fn every_call_of_the_list_is_denied_and_others_are_allowed() {
        assert!(DENIED.iter().all(|call| here(*call, 0) == EPERM.k));
        for call in
            [libc::SYS_read, libc::SYS_splice, libc::SYS_futex, libc::SYS_mprotect, libc::SYS_exit_group]
        {
            assert_eq!(here(call, 0), ALLOW.k);
        }
    }

    #[test]
    fn threads_are_allowed_and_namespaces_are_denied() {
        let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
        assert_eq!(here(libc::SYS_clone, thread.cast_unsigned()), ALLOW.k);
        assert_eq!(here(libc::SYS_clone, libc::CLONE_NEWNET.cast_unsigned()), EPERM.k);
        assert_eq!(here(libc::SYS_clone, libc::CLONE_NEWUSER.cast_unsigned()), EPERM.k);
        assert_eq!(here(CLONE3, 0), ENOSYS.k);
    }

    #[test]
    fn maps_may_be_written_and_neither_maps_nor_programs_made() {
        assert_eq!(here(libc::SYS_bpf, BPF_MAP_CREATE), EPERM.k);
        assert_eq!(here(libc::SYS_bpf, BPF_PROG_LOAD), EPERM.k);
        assert_eq!(here(libc::SYS_bpf, 2), ALLOW.k);
    }

    #[test]
    fn sockets_of_the_network_are_allowed_and_packet_sockets_denied() {
        assert_eq!(here(libc::SYS_socket, libc::AF_PACKET.cast_unsigned()), EPERM.k);
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX] {
            assert_eq!(here(libc::SYS_socket, family.cast_unsigned()), ALLOW.k);
        }
    }

    #[test]
    fn calls_of_other_machines_are_denied() {
        assert_eq!(verdict(MACHINE ^ 1, number(libc::SYS_read), 0), EPERM.k);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(verdict(MACHINE, X32 | number(libc::SYS_execve), 0), EPERM.k);
        }
    }
}
