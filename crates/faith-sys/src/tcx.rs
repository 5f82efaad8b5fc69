//! Attaches BPF programs that stay on a device after the process that attached them has ended.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// From linux/bpf.h; the libc crate lacks it.
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_TCX_INGRESS: u32 = 46;

/// The part of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
#[derive(Default)]
struct Attachment {
    target_ifindex: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
    relative_fd: u32,
    expected_revision: u64,
}

/// Attaches a program to the ingress of a device in the calling thread's network namespace, behind the programs already
/// there. Unlike a link, the attachment lasts as long as the device (Linux 6.6).
///
/// # Errors
/// Those of bpf(2): `EPERM`, `EINVAL` on an older kernel, `ENODEV`.
pub fn attach_to_ingress(program: impl AsFd, device: u32) -> io::Result<()> {
    let attachment = Attachment {
        target_ifindex: device,
        attach_bpf_fd: program.as_fd().as_raw_fd().cast_unsigned(),
        attach_type: BPF_TCX_INGRESS,
        ..Attachment::default()
    };
    // SAFETY: the kernel reads `size_of_val(&attachment)` bytes of `attachment`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            std::ptr::from_ref(&attachment),
            size_of_val(&attachment),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
