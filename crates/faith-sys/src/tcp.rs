//! The operations of a relay on TCP sockets, without copies, allocation or signals.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, getsockname, recv, send};
use socket2::SockRef;

use crate::reactor::Descriptor;

/// Begins to connect a non-blocking socket. The socket turns writable when the connection succeeds or fails, and
/// [`take_error`] returns the result.
///
/// # Errors
///
/// Those of connect(2), except `EINPROGRESS`: the connection failed at once.
pub fn begin_connect(socket: impl AsFd, server: SocketAddr) -> io::Result<()> {
    match connect(socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The address and port of this end of a connection.
///
/// # Errors
///
/// Those of getsockname(2); none is expected of a connected TCP socket.
pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    Ok(getsockname(socket)?.try_into()?)
}

/// Delays the last packet of the handshake: it leaves with the first bytes, or after 200 ms (`TCP_QUICKACK` off, tcp(7);
/// `tcp_rcv_synsent_state_process()`). Call this before [`begin_connect`]; [`acknowledge`] sends the packet at once.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn acknowledge_with_data(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_quickack(false)
}

/// Sends a delayed acknowledgement, if there is one, and delays none for now (`TCP_QUICKACK`, tcp(7)).
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn acknowledge(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_quickack(true)
}

/// A resource that connections need and that a host can run out of. Its text names the setting that gives more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Descriptors of the process.
    Descriptors,
    /// Descriptors of all processes together.
    HostDescriptors,
    /// Memory.
    Memory,
    /// Descriptors that epoll(7) may watch.
    EpollWatches,
    /// Privileged ports to connect from.
    PrivilegedPorts,
    /// Ports to connect from, towards one server.
    Ports,
}

impl Resource {
    /// Its name in events, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::HostDescriptors => "host-descriptors",
            Self::Memory => "memory",
            Self::EpollWatches => "epoll-watches",
            Self::PrivilegedPorts => "privileged-ports",
            Self::Ports => "ports",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "descriptors of the process (ulimit -n)",
            Self::HostDescriptors => "descriptors of the host (fs.file-max)",
            Self::Memory => "memory",
            Self::EpollWatches => "epoll watches (fs.epoll.max_user_watches)",
            Self::PrivilegedPorts => "privileged source ports (600 to 1023)",
            Self::Ports => "source addresses or ports (net.ipv4.ip_local_port_range, or more addresses)",
        })
    }
}

/// The resource that this host has run out of, if an error of socket(2), bind(2), connect(2), accept(2) or epoll_ctl(2)
/// says so.
#[must_use]
pub fn exhaustion(error: &io::Error) -> Option<Resource> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(Resource::Descriptors),
        Errno::NFILE => Some(Resource::HostDescriptors),
        Errno::NOBUFS | Errno::NOMEM => Some(Resource::Memory),
        Errno::NOSPC => Some(Resource::EpollWatches),
        // bind(2) returns this when it is asked for each of a few ports by number.
        Errno::ADDRINUSE => Some(Resource::PrivilegedPorts),
        // connect(2) returns either if every port is taken towards a server. From bind(2) the first means that the host lacks
        // the address: callers of bind(2) must handle that case themselves.
        Errno::ADDRNOTAVAIL | Errno::AGAIN => Some(Resource::Ports),
        _ => None,
    }
}

/// Receives the bytes in the queue, up to the buffer's length, and returns their number. 0 is the end of the stream.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` if the queue is empty.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, received) = recv(socket, buffer, RecvFlags::DONTWAIT)?;
    Ok(received)
}

/// Returns true if a byte is in the queue, and leaves it there. False is the end of the stream.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` if the queue is empty.
pub fn peek(socket: impl AsFd) -> io::Result<bool> {
    let (_, there) = recv(socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK)?;
    Ok(there > 0)
}

/// Receives as [`receive`] does, but discards the bytes: with `MSG_TRUNC` the kernel copies nothing (tcp(7)). The
/// buffer's length limits their number.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` if the queue is empty.
pub fn discard(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, received) = recv(socket, buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
    Ok(received)
}

/// Sends as much as the send queue takes, without `SIGPIPE`.
///
/// # Errors
///
/// Those of send(2); `EAGAIN` if the queue is full.
pub fn transmit(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}

/// Sends as [`transmit`] does, but keeps the last segment back (`MSG_MORE`), even with `TCP_NODELAY`. The next call on
/// the socket sends that segment; [`end_stream`] sends it together with its FIN.
///
/// # Errors
///
/// Those of send(2); `EAGAIN` if the queue is full.
pub fn transmit_before_more(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT | SendFlags::MORE)?)
}

/// Returns true if the next byte to receive is the one that the peer sent as urgent (sockatmark(3); RFC 9293 section
/// 3.8.5). False is reliable only if that byte has arrived: Linux sets no mark on a byte that had arrived before
/// (`tcp_check_urg`).
#[must_use]
pub fn at_mark(socket: impl AsFd) -> bool {
    // asm-generic/sockios.h; the libc crate lacks it.
    const SIOCATMARK: libc::Ioctl = 0x8905;
    let mut mark: libc::c_int = 0;
    // SAFETY: SIOCATMARK writes one int, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCATMARK, &mut mark) };
    result == 0 && mark != 0
}

/// Sends one byte as urgent.
///
/// # Errors
///
/// Those of send(2); `EAGAIN` if the queue is full.
pub fn transmit_urgent(socket: impl AsFd, byte: u8) -> io::Result<usize> {
    Ok(send(socket, &[byte], SendFlags::NOSIGNAL | SendFlags::DONTWAIT | SendFlags::OOB)?)
}

/// Returns true if the socket has a pending error, such as `ECONNRESET` after a RST. The error stays for the call that
/// reports it.
#[must_use]
pub fn has_error(socket: impl AsFd) -> bool {
    let mut entry = [PollFd::new(&socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut entry, Some(&now)).is_ok() && entry[0].revents().contains(PollFlags::ERR)
}

/// Takes the pending error of the socket (`SO_ERROR`), if there is one.
///
/// # Errors
///
/// Those of getsockopt(2); none is expected of a TCP socket.
pub fn take_error(socket: impl AsFd) -> io::Result<Option<io::Error>> {
    SockRef::from(&socket).take_error()
}

/// Ends the stream towards the peer with a FIN, after all bytes sent before.
///
/// # Errors
///
/// `ENOTCONN` if the connection is gone already.
pub fn end_stream(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).shutdown(Shutdown::Write)
}

/// Prepares one leg of a relay, or a listener for the legs it will accept. Urgent bytes stay in their place in the stream
/// (`SO_OOBINLINE`). Closing sends a RST (`SO_LINGER`) unless [`Connection::close_in_order`] was called. That holds when
/// the process is killed too: a cut stream never looks complete, and no orphaned socket keeps its network namespace.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn prepare_leg(socket: impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    socket.set_out_of_band_inline(true)?;
    socket.set_linger(Some(Duration::ZERO))
}

/// Makes small writes leave at once, even before the peer acknowledged an earlier one (`TCP_NODELAY`).
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn send_at_once(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_nodelay(true)
}

/// Leaves urgent bytes in their place of the stream (`SO_OOBINLINE`), for readers that know no urgent data.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn keep_urgent_in_line(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_out_of_band_inline(true)
}

/// Limits the socket's unsent bytes to `bytes`; the socket turns writable only below half of that
/// (`TCP_NOTSENT_LOWAT`, Linux 3.12). Bytes on their way to the peer do not count.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn bound_unsent(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_notsent_lowat(bytes)
}

/// Undoes [`prepare_leg`] and [`send_at_once`]: restores the defaults of socket(2).
fn restore(socket: impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    socket.set_tcp_nodelay(false)?;
    socket.set_out_of_band_inline(false)?;
    socket.set_linger(None)
}

/// Makes a second descriptor of another owner's socket: the connection goes on when that owner closes `descriptor`.
///
/// # Errors
///
/// `EMFILE`; `EBADF` if there is no such descriptor.
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it takes and returns integers, and touches no memory.
    let second = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if second < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(second) })
}

/// The error of connect(2) without an answer, for callers with a shorter timeout than the kernel's.
#[must_use]
pub fn timed_out() -> io::Error {
    Errno::TIMEDOUT.into()
}

/// A TCP socket after [`prepare_leg`], or accepted from such a listener. Dropping it sends a RST and discards unsent
/// bytes, unless [`close_in_order`](Self::close_in_order) was called.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Connection {
    /// Takes a TCP socket that is connected or connecting.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Makes the close send a FIN, after all bytes sent before.
    pub fn close_in_order(&self) {
        // This can only fail on a descriptor that is not a socket.
        let _ = SockRef::from(&self.0).set_linger(None);
    }

    /// Gives the socket up, as an ordinary TCP socket with default options.
    ///
    /// # Errors
    ///
    /// Those of setsockopt(2); none is expected of a TCP socket.
    pub fn give_up(self) -> io::Result<OwnedFd> {
        restore(&self.0)?;
        Ok(self.0)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

// SAFETY: it owns its descriptor and cannot exchange it.
#[expect(unsafe_code, reason = "the crate of unsafe")]
unsafe impl Descriptor for Connection {}
