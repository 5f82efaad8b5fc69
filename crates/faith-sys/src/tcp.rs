//! What a relay does to TCP sockets, without copies, allocation or signals.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, connect, recv, send};
use socket2::SockRef;

use crate::reactor::Descriptor;

/// Begins to connect a non-blocking socket. It turns writable when that is decided, and [`take_error`] tells
/// how.
///
/// # Errors
///
/// Those of connect(2) but `EINPROGRESS`: the connection failed at once.
pub fn begin_connect(socket: impl AsFd, server: SocketAddrV4) -> io::Result<()> {
    match connect(socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Before [`begin_connect`]: the last packet of the handshake waits for the first bytes and leaves with them, after 200 ms
/// at the latest (`TCP_QUICKACK` off, tcp(7); `tcp_rcv_synsent_state_process()`). [`acknowledge`] sends it at once.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn acknowledge_with_data(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_quickack(false)
}

/// Sends the acknowledgement that waits, if one does, and lets none wait for now (`TCP_QUICKACK`, tcp(7)).
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn acknowledge(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_quickack(true)
}

/// Something that connections need and that a host can run out of. It is shown with what there would be more by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Descriptors that the process may have.
    Descriptors,
    /// Descriptors that all processes may have.
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

/// Finds what this host has run out of, if that is what an error of socket(2), bind(2), connect(2), accept(2) or
/// epoll_ctl(2) says.
#[must_use]
pub fn exhaustion(error: &io::Error) -> Option<Resource> {
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some(Resource::Descriptors),
        Errno::NFILE => Some(Resource::HostDescriptors),
        Errno::NOBUFS | Errno::NOMEM => Some(Resource::Memory),
        Errno::NOSPC => Some(Resource::EpollWatches),
        // bind(2), where each of a few ports is asked for by its number.
        Errno::ADDRINUSE => Some(Resource::PrivilegedPorts),
        // connect(2) reports either of them when every port is taken towards a server. From bind(2) the first one means that
        // the host lacks the address: callers of bind(2) tell that apart.
        Errno::ADDRNOTAVAIL | Errno::AGAIN => Some(Resource::Ports),
        _ => None,
    }
}

/// Receives what is there, up to the buffer's length; 0 is the end of the stream.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` when the queue of a non-blocking socket is empty.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, received) = recv(socket, buffer, RecvFlags::DONTWAIT)?;
    Ok(received)
}

/// Whether a byte is there to receive; it stays there. False is the end of the stream.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` when the queue of a non-blocking socket is empty.
pub fn peek(socket: impl AsFd) -> io::Result<bool> {
    let (_, there) = recv(socket, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK)?;
    Ok(there > 0)
}

/// As [`receive`], but throws away what it receives: `MSG_TRUNC` has the kernel copy nothing (tcp(7)). The buffer says
/// how much at most.
///
/// # Errors
///
/// Those of recv(2); `EAGAIN` when the queue of a non-blocking socket is empty.
pub fn discard(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (_, received) = recv(socket, buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
    Ok(received)
}

/// Sends as much as the send queue takes, without `SIGPIPE`.
///
/// # Errors
///
/// Those of send(2); `EAGAIN` when the queue is full.
pub fn transmit(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}

/// As [`transmit`], but leaves the last segment open (`MSG_MORE`), also with `TCP_NODELAY`: the next call on the
/// socket sends it, [`end_stream`] for one together with its FIN.
///
/// # Errors
///
/// Those of send(2); `EAGAIN` when the queue is full.
pub fn transmit_before_more(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT | SendFlags::MORE)?)
}

/// Whether the next byte to receive is the one the peer sent as urgent (sockatmark(3); RFC 9293 section 3.8.5).
/// That it is not holds only where the byte has come already: Linux sets no mark on one that has
/// (`tcp_check_urg`).
#[must_use]
#[allow(unsafe_code, reason = "the crate of unsafe")]
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
/// Those of send(2); `EAGAIN` when the queue is full.
pub fn transmit_urgent(socket: impl AsFd, byte: u8) -> io::Result<usize> {
    Ok(send(socket, &[byte], SendFlags::NOSIGNAL | SendFlags::DONTWAIT | SendFlags::OOB)?)
}

/// Whether an error waits on the socket, such as `ECONNRESET` after a RST. It is left there for the call that
/// will report it.
#[must_use]
pub fn has_error(socket: impl AsFd) -> bool {
    let mut entry = [PollFd::new(&socket, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut entry, Some(&now)).is_ok() && entry[0].revents().contains(PollFlags::ERR)
}

/// Takes the error that waits on the socket (`SO_ERROR`), if there is one.
///
/// # Errors
///
/// Those of getsockopt(2); none is expected of a TCP socket.
pub fn take_error(socket: impl AsFd) -> io::Result<Option<io::Error>> {
    SockRef::from(&socket).take_error()
}

/// Ends the stream towards the peer with a FIN, behind every byte sent before.
///
/// # Errors
///
/// `ENOTCONN` when the connection is gone already.
pub fn end_stream(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).shutdown(Shutdown::Write)
}

/// Readies one leg of a relay, or a listener for the legs it will accept: urgent bytes stay in the stream where they were
/// sent (`SO_OOBINLINE`), and closing it is a RST (`SO_LINGER`) unless [`Connection::close_in_order`] says otherwise: also when the process is killed, so that
/// what is cut short never looks complete, and no orphaned socket keeps its network namespace.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn prepare_leg(socket: impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    socket.set_out_of_band_inline(true)?;
    socket.set_linger(Some(Duration::ZERO))
}

/// Has small writes leave at once, also while an earlier small one is not acknowledged (`TCP_NODELAY`).
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn send_at_once(socket: impl AsFd) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_nodelay(true)
}

/// Has the socket take no more than `bytes`, and report room only below half of them, that it has not sent
/// (`TCP_NOTSENT_LOWAT`, Linux 3.12). What is on its way to the peer does not count.
///
/// # Errors
///
/// Those of setsockopt(2); none is expected of a TCP socket.
pub fn bound_unsent(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_notsent_lowat(bytes)
}

/// Undoes [`prepare_leg`] and [`send_at_once`]: the socket is as socket(2) makes it.
fn restore(socket: impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    socket.set_tcp_nodelay(false)?;
    socket.set_out_of_band_inline(false)?;
    socket.set_linger(None)
}

/// A second descriptor of the socket that somebody else has `descriptor` of: the connection goes on when they close
/// theirs.
///
/// # Errors
///
/// `EMFILE`, or `EBADF` where there is no such descriptor.
#[allow(unsafe_code, reason = "the crate of unsafe")]
pub fn duplicate(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it takes and gives integers, and touches nothing of ours.
    let second = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) };
    if second < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(second) })
}

/// What connect(2) says when nobody answers, for whoever waits no longer than it does.
#[must_use]
pub fn timed_out() -> io::Error {
    Errno::TIMEDOUT.into()
}

/// A TCP socket that was readied with [`prepare_leg`], or accepted from a listener that was: it closes with a RST,
/// forgetting unsent bytes, unless it was told to close in order.
#[derive(Debug)]
pub struct Connection(OwnedFd);

impl Connection {
    /// Takes a TCP socket, connected or on the way there.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// Lets it close with a FIN, behind every byte sent before.
    pub fn close_in_order(&self) {
        // It can only fail on something that is no socket.
        let _ = SockRef::from(&self.0).set_linger(None);
    }

    /// Gives it up to somebody who knows nothing of legs: from now on it is an ordinary TCP socket.
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

// SAFETY: it owns its descriptor and has no way to exchange it.
#[expect(unsafe_code, reason = "the crate of unsafe")]
unsafe impl Descriptor for Connection {}
