//! Asks TCP about the peer of a connection: whether it is there, and what it has acknowledged.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The longest `TCP_USER_TIMEOUT` that the kernel takes: 24 days.
const NEVER: Duration = Duration::from_millis(i32::MAX as u64);

/// Asks the peer from now on whether it is there, more than once in `limit` of its silence (`TCP_KEEPIDLE`,
/// `TCP_KEEPINTVL`; whole seconds, tcp(7)), and has the kernel draw no conclusion: [`unanswered`] tells, and the caller
/// judges, until [`leave_to_kernel`].
///
/// The kernel counts probes while this process is stopped too, and the answers may wait in a queue that this process
/// has to read. It counts neither probes nor retransmissions where `TCP_USER_TIMEOUT` is set, but the time
/// (`tcp_keepalive_timer()`, Linux 4.20; `tcp_write_timeout()`).
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn keep_alive(socket: impl AsFd, limit: Duration) -> io::Result<()> {
    let second = Duration::from_secs(1);
    let schedule =
        TcpKeepalive::new().with_time((limit / 2).max(second)).with_interval((limit / 12).max(second));
    let socket = SockRef::from(&socket);
    socket.set_tcp_user_timeout(Some(NEVER))?;
    socket.set_tcp_keepalive(&schedule)
}

/// Has the kernel judge again by itself whether the peer is there, before the socket is closed in order: the kernel
/// would otherwise try to deliver the last bytes for as long as [`keep_alive`] has it wait.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn leave_to_kernel(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_user_timeout(None)
}

/// How long the peer has acknowledged nothing, if it was asked to in vain: by retransmissions, by probes of its closed
/// window, or by those of [`keep_alive`] (`TCP_INFO`, Linux 2.6).
///
/// The kernel itself would go on for a quarter of an hour (`net.ipv4.tcp_retries2`). A short `TCP_USER_TIMEOUT` would
/// change that, but also end a connection whose peer answers each probe with a window that stays closed
/// (`tcp_probe_timer()`), and a reader may take its time.
#[must_use]
pub fn unanswered(socket: impl AsFd) -> Option<Duration> {
    let info = info(socket)?;
    // One is not in vain yet: its answer may be on the way, and the one before it minutes old.
    let asked = info.tcpi_retransmits.max(info.tcpi_probes) > 1;
    asked.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

/// How many bytes the peer has not acknowledged yet, sent or not, its FIN included (`SIOCOUTQ`, tcp(7)). 0 of a
/// connection that is gone.
#[must_use]
#[allow(unsafe_code, reason = "the crate of unsafe")]
pub fn unacknowledged(socket: impl AsFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which is TIOCOUTQ, writes one int, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// How long an answer of the peer takes, as the kernel has measured it (`TCP_INFO`, Linux 2.6).
#[must_use]
pub fn round_trip(socket: impl AsFd) -> Duration {
    info(socket).map_or(Duration::ZERO, |info| Duration::from_micros(info.tcpi_rtt.into()))
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
