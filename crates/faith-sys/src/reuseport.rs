//! Choosing a socket of an `SO_REUSEPORT` group by the TUN queue a packet came in on.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Makes the group that `socket` belongs to choose its member by the receive queue of the packet: queue `n`
/// goes to the `n`th socket that listened (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5). A packet whose queue has
/// no socket falls back to the kernel's hash.
///
/// # Errors
/// `EINVAL` when the socket is not in a group.
#[allow(unsafe_code, reason = "the crate of unsafe")]
pub fn select_by_queue(socket: impl AsFd) -> io::Result<()> {
    // linux/filter.h: ancillary data is loaded from negative offsets.
    const QUEUE_MAPPING: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_QUEUE).cast_unsigned();
    // skb_record_rx_queue() stores the queue plus one; zero is a packet that came through no queue.
    let mut code = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, QUEUE_MAPPING, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1),
        statement(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, 1, 0),
        statement(libc::BPF_RET | libc::BPF_A, 0, 0),
    ];
    let program = libc::sock_fprog {
        #[expect(clippy::cast_possible_truncation, reason = "two instructions")]
        len: code.len() as u16,
        filter: code.as_mut_ptr(),
    };
    let length = libc::socklen_t::try_from(size_of_val(&program)).map_err(io::Error::other)?;
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&program).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "classic BPF opcodes are 16 bits wide")]
fn statement(code: u32, k: u32, skip_if_true: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: skip_if_true, jf: 0, k }
}
