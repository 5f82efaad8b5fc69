//! The error queue of an IPv4 socket (`IP_RECVERR`, ip(7)): what ICMP messages and this host say about packets that the socket
//! sent.
//!
//! A TCP socket has errors in its queue that end its connect(2), since Linux 5.8 (`tcp_v4_err()`). When it is connected, the
//! option would make it fail at errors that TCP survives (RFC 1122 section 4.2.3.9), so it must be off then.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::LazyLock;

use crate::message::receive_message;
use crate::source::set;

/// The first Linux whose TCP sockets have the queue.
const TCP: (u32, u32) = (5, 8);

/// An error about a packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedError {
    /// The destination of the packet; its port is 0 if this host itself found the packet too long.
    pub destination: SocketAddrV4,
    /// The error number (errno(3)).
    pub errno: i32,
    /// Type and code of the ICMP message; `None` if this host itself reports the error.
    pub icmp: Option<(u8, u8)>,
    /// The MTU, if the packet was too long; otherwise the pointer of an ICMP parameter problem, or 0.
    pub info: u32,
    /// The router or the host that sent the ICMP message.
    pub offender: Option<Ipv4Addr>,
    /// Bytes of the quoted data.
    pub length: usize,
}

/// Tells whether this kernel's TCP sockets have an error queue.
#[must_use]
pub fn has_tcp() -> bool {
    static HAS: LazyLock<bool> = LazyLock::new(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        release.is_ok_and(|release| version(&release).is_some_and(|version| version >= TCP))
    });
    *HAS
}

/// The first two numbers of a kernel's release, such as `6.12.43+deb13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Has a socket keep errors in its queue, or keep none from now on.
///
/// # Errors
/// Those of setsockopt(2); none is expected of an IPv4 socket.
pub fn keep(socket: impl AsFd, errors: bool) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, errors.into())
}

/// Takes an error from a socket's queue, with the beginning of the data that the offender quoted.
///
/// # Errors
/// `EAGAIN` if the queue is empty.
pub fn take(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<QueuedError> {
    let (length, destination, control, controls) = receive_message(socket, buffer, libc::MSG_ERRQUEUE)?;
    let mut error = QueuedError { destination, errno: 0, icmp: None, info: 0, offender: None, length };
    control.read(controls, |level, kind, data| {
        if (level, kind) != (libc::IPPROTO_IP, libc::IP_RECVERR) {
            return;
        }
        // struct sock_extended_err (linux/errqueue.h), and the offender's address behind it.
        let Some((&[e0, e1, e2, e3, origin, kind, code, _, i0, i1, i2, i3, ..], offender)) =
            data.split_first_chunk::<16>()
        else {
            return;
        };
        error.errno = i32::from_ne_bytes([e0, e1, e2, e3]);
        error.info = u32::from_ne_bytes([i0, i1, i2, i3]);
        if origin == libc::SO_EE_ORIGIN_ICMP {
            error.icmp = Some((kind, code));
            if let Some([f0, f1, _, _, a, b, c, d]) = offender.first_chunk()
                && i32::from(u16::from_ne_bytes([*f0, *f1])) == libc::AF_INET
            {
                error.offender = Some(Ipv4Addr::new(*a, *b, *c, *d));
            }
        }
    });
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_release() {
        assert_eq!(version("6.12.43+deb13-amd64\n"), Some((6, 12)));
        assert_eq!(version("5.8.0"), Some((5, 8)));
        assert_eq!(version("5.10-rc1"), Some((5, 10)));
        assert_eq!((version(""), version("6"), version("Linux 6.1")), (None, None, None));
        assert!((4, 19) < TCP && TCP < (5, 10) && TCP < (6, 1));
    }
}
