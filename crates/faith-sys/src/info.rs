//! Asks the kernel how a TCP connection does (`TCP_INFO`, tcp(7) and linux/tcp.h; `SIOCINQ`, `SIOCOUTQ`).
//!
//! Fields that a kernel does not know yet are 0 or `None`: the fullest picture needs Linux 4.10.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::net::sockopt;
use socket2::SockRef;

/// A connection as the kernel describes it at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// The kernel's name of the state, as in linux/tcp_states.h: `ESTABLISHED`, `CLOSE_WAIT` …
    pub state: &'static str,
    /// Smoothed round-trip time; `None` before the first measurement.
    pub round_trip: Option<Duration>,
    /// Mean deviation of the round-trip time; `None` likewise.
    pub round_trip_variance: Option<Duration>,
    /// Shortest round-trip time of the last minutes (`net.ipv4.tcp_min_rtt_wlen`); `None` likewise. Linux 4.6.
    pub minimum_round_trip: Option<Duration>,
    /// Segments that may be in flight.
    pub congestion_window: u32,
    /// Bytes of a segment that is sent.
    pub mss: u32,
    /// Segments sent again since the start.
    pub retransmitted: u32,
    /// Segments that are thought lost now.
    pub lost: u32,
    /// Bytes sent that the peer has not acknowledged; a FIN counts as one.
    pub unacknowledged: u64,
    /// Bytes in the send queue that were not sent yet. Linux 4.6.
    pub unsent: u64,
    /// Bytes in the receive queue.
    pub unread: u64,
    /// Bytes a second that reached the peer, as last measured; `None` before that. Linux 4.9.
    pub delivery_rate: Option<u64>,
    /// Bytes a second that the kernel sends at most; `None` is no limit.
    pub pacing_rate: Option<u64>,
    /// Time with bytes to send or to be acknowledged. Linux 4.10.
    pub busy: Duration,
    /// Part of [`busy`](Self::busy) in which the receive window of the peer was full. Linux 4.10.
    pub limited_by_peer: Duration,
    /// Part of [`busy`](Self::busy) in which the send queue was too small. Linux 4.10.
    pub limited_by_buffer: Duration,
    /// Name of the congestion control; empty if the kernel does not tell.
    pub congestion_control: String,
}

/// The number of an open socket, for threads that do not own it.
///
/// The owner must tell the others before it closes the socket, because the number may then be another descriptor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketNumber(RawFd);

impl SocketNumber {
    /// The number of a socket.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Self {
        Self(socket.as_fd().as_raw_fd())
    }

    /// Asks the kernel about the socket. Takes four system calls, none of which waits for the peer. `None` if the number is not
    /// that of a TCP socket.
    #[must_use]
    pub fn look(self) -> Option<TcpInfo> {
        if self.0 < 0 {
            return None;
        }
        // SAFETY: the number is not -1. The calls below go to the kernel, which answers EBADF or ENOTSOCK for a number without
        // a socket, and they change no descriptor.
        TcpInfo::of(unsafe { BorrowedFd::borrow_raw(self.0) })
    }

    /// The address that the socket is bound to (getsockname(2)). `None` if the number is not that of a socket.
    #[must_use]
    pub fn local_address(self) -> Option<IpAddr> {
        if self.0 < 0 {
            return None;
        }
        // SAFETY: as above, for one call.
        let socket = unsafe { BorrowedFd::borrow_raw(self.0) };
        Some(SockRef::from(&socket).local_addr().ok()?.as_socket()?.ip())
    }
}

impl TcpInfo {
    /// Asks the kernel about a TCP socket; `None` if it is none.
    #[must_use]
    pub fn of(socket: impl AsFd) -> Option<Self> {
        let socket = socket.as_fd();
        let info = raw(socket)?;
        let unsent = u64::from(info.tcpi_notsent_bytes);
        let measured = info.tcpi_rtt > 0;
        let round_trip = |time: u32| measured.then(|| Duration::from_micros(time.into()));
        Some(Self {
            state: state_name(info.tcpi_state),
            round_trip: round_trip(info.tcpi_rtt),
            round_trip_variance: round_trip(info.tcpi_rttvar),
            // Older kernels leave 0, and newer ones the largest number until they have measured.
            minimum_round_trip: round_trip(info.tcpi_min_rtt)
                .filter(|_| !matches!(info.tcpi_min_rtt, 0 | u32::MAX)),
            congestion_window: info.tcpi_snd_cwnd,
            mss: info.tcpi_snd_mss,
            retransmitted: info.tcpi_total_retrans,
            lost: info.tcpi_lost,
            unacknowledged: outstanding(socket).unwrap_or(0).saturating_sub(unsent),
            unsent,
            unread: unread(socket).unwrap_or(0),
            delivery_rate: Some(info.tcpi_delivery_rate).filter(|rate| *rate > 0),
            pacing_rate: Some(info.tcpi_pacing_rate).filter(|rate| !matches!(*rate, 0 | u64::MAX)),
            busy: Duration::from_micros(info.tcpi_busy_time),
            limited_by_peer: Duration::from_micros(info.tcpi_rwnd_limited),
            limited_by_buffer: Duration::from_micros(info.tcpi_sndbuf_limited),
            congestion_control: sockopt::tcp_congestion(socket).unwrap_or_default(),
        })
    }
}

/// The kernel's name of a state (linux/tcp_states.h).
fn state_name(state: u8) -> &'static str {
    const NAMES: [&str; 12] = [
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "CLOSING",
        "NEW_SYN_RECV",
    ];
    // They are counted from 1.
    usize::from(state).checked_sub(1).and_then(|place| NAMES.get(place)).copied().unwrap_or("UNKNOWN")
}

/// Bytes, sent or not, that the peer has not acknowledged; a FIN counts as one (`SIOCOUTQ`, which is `TIOCOUTQ`).
pub(crate) fn outstanding(socket: impl AsFd) -> io::Result<u64> {
    count(socket, libc::TIOCOUTQ)
}

/// Bytes in the receive queue (`SIOCINQ`, which is `FIONREAD`).
fn unread(socket: impl AsFd) -> io::Result<u64> {
    count(socket, libc::FIONREAD)
}

fn count(socket: impl AsFd, request: libc::Ioctl) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: both requests write one int, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request, &mut bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(bytes).unwrap_or(0)) }
}

/// The kernel's structure, with zeros for fields that it does not know.
pub(crate) fn raw(socket: impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: the structure consists of integers, for which zero is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes at most `length` octets, which is the size of `info`.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    /// Two connected sockets, over loopback.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_that_no_program_reads_are_unread_at_the_receiver() {
        let (mut near, mut far) = pair();
        near.write_all(b"hello").unwrap();
        // Over loopback the bytes have arrived when the call returns.
        let info = SocketNumber::of(&far).look().unwrap();
        assert_eq!((info.state, info.unread, info.unsent), ("ESTABLISHED", 5, 0));
        assert!(info.mss > 0 && info.congestion_window > 0 && !info.congestion_control.is_empty());
        far.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(SocketNumber::of(&far).look().unwrap().unread, 0);
        assert!(TcpInfo::of(&near).unwrap().round_trip.is_some());
    }

    #[test]
    fn bytes_that_a_full_window_holds_back_are_unsent_and_limited_by_the_peer() {
        let (mut near, far) = pair();
        near.set_nonblocking(true).unwrap();
        let bulk = vec![0; 1 << 16];
        let mut written = 0;
        while let Ok(bytes) = near.write(&bulk) {
            written += bytes as u64;
        }
        let (sender, receiver) = (TcpInfo::of(&near).unwrap(), TcpInfo::of(&far).unwrap());
        assert!(sender.unsent > 0, "{sender:?}");
        // Bytes count as unread and as unacknowledged while their acknowledgement is delayed.
        assert!(receiver.unread + sender.unsent <= written);
        assert!(receiver.unread + sender.unacknowledged + sender.unsent >= written);
        assert!(sender.limited_by_peer <= sender.busy);
    }

    #[test]
    fn the_state_names_the_side_that_has_closed() {
        let (near, far) = pair();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(TcpInfo::of(&far).unwrap().state, "CLOSE_WAIT");
        let state = TcpInfo::of(&near).unwrap().state;
        assert!(state.starts_with("FIN_WAIT"), "{state}");
    }

    #[test]
    fn a_number_without_a_tcp_socket_gives_nothing() {
        assert_eq!(SocketNumber(-1).look(), None);
        assert_eq!(SocketNumber(i32::MAX).look(), None);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(SocketNumber::of(&file).look(), None);
    }
}
