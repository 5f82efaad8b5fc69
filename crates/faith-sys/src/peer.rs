//! Asks TCP about the peer of a connection: signs of life, and the bytes that it has acknowledged.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::info;

/// The longest `TCP_USER_TIMEOUT` that the kernel takes: 24 days.
const NEVER: Duration = Duration::from_millis(i32::MAX as u64);

/// Probes a silent peer, more than once within `limit` (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`; whole seconds, tcp(7)). The
/// kernel does not end the connection until [`leave_to_kernel`]: the caller decides, by [`unanswered`].
///
/// The kernel would decide wrongly: it counts probes even while this process is stopped, and the answers may wait in a
/// queue that this process must read. With `TCP_USER_TIMEOUT` set it goes by that time and not by the number of probes
/// or retransmissions (`tcp_keepalive_timer()`, Linux 4.20; `tcp_write_timeout()`).
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

/// Lets the kernel end the connection of a silent peer by itself again. Call this before closing the socket in order:
/// otherwise the kernel tries to deliver the last bytes for the 24 days that [`keep_alive`] sets.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn leave_to_kernel(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_user_timeout(None)
}

/// The time since the peer's last acknowledgement, if it left several retransmissions or probes unanswered: probes of
/// its closed window, or those of [`keep_alive`] (`TCP_INFO`, Linux 2.6).
///
/// The kernel itself would go on for a quarter of an hour (`net.ipv4.tcp_retries2`). A short `TCP_USER_TIMEOUT` would
/// change that, but would also end the connection of a slow reader, whose kernel answers each probe with a closed
/// window (`tcp_probe_timer()`).
#[must_use]
pub fn unanswered(socket: impl AsFd) -> Option<Duration> {
    let info = info::raw(socket)?;
    // The answer to a single probe may still be on the way, and the last acknowledgement be minutes old.
    let asked = info.tcpi_retransmits.max(info.tcpi_probes) > 1;
    asked.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

/// The number of bytes, sent or not, that the peer has not acknowledged yet; a FIN to it counts as one (`SIOCOUTQ`,
/// tcp(7)). 0 if the connection is gone.
#[must_use]
pub fn unacknowledged(socket: impl AsFd) -> u64 {
    info::outstanding(socket).unwrap_or(0)
}

/// The round-trip time as the kernel measured it (`TCP_INFO`, Linux 2.6); zero if the kernel does not say.
#[must_use]
pub fn round_trip(socket: impl AsFd) -> Duration {
    info::raw(socket).map_or(Duration::ZERO, |info| Duration::from_micros(info.tcpi_rtt.into()))
}
