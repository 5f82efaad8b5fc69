//! What TCP knows of the peer of a connection: whether it is there, and what it has acknowledged.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Has a peer that vanished noticed after about `limit` of its silence, where nothing waits to be acknowledged
/// (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`; whole seconds, tcp(7)). Where something does,
/// [`unanswered`] tells.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn keep_alive(socket: impl AsFd, limit: Duration) -> io::Result<()> {
    let second = Duration::from_secs(1);
    let idle = (limit / 2).max(second);
    let interval = (limit / 12).max(second);
    let probes = limit.saturating_sub(idle).as_secs() / interval.as_secs().max(1);
    let schedule = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(u32::try_from(probes).unwrap_or(u32::MAX).clamp(1, 100));
    SockRef::from(&socket).set_tcp_keepalive(&schedule)
}

/// How long the peer has acknowledged nothing, if it was asked to in vain: by retransmissions, or by probes of
/// its closed window (`TCP_INFO`, Linux 2.6).
///
/// The kernel itself goes on for a quarter of an hour (`net.ipv4.tcp_retries2`). `TCP_USER_TIMEOUT` would
/// shorten that, but also ends a connection whose peer answers each probe with a window that stays closed
/// (`tcp_probe_timer()`), and a reader may take its time.
#[must_use]
pub fn unanswered(socket: impl AsFd) -> Option<Duration> {
    let info = info(socket)?;
    // One is not in vain yet: its answer may be on the way, and the one before it minutes old.
    let asked = info.tcpi_retransmits.max(info.tcpi_probes) > 1;
    asked.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

#[allow(unsafe_code, reason = "the crate of unsafe")]
fn info(socket: impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: the structure is all integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes at most `length` octets, which is the size of what the pointer leads to.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(info)
}
