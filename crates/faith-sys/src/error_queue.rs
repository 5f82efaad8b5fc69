//! The error queue of an IPv4 socket (`IP_RECVERR`, ip(7)): what ICMP messages and this host say about packets that the socket
//! sent.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;

use crate::message::receive_message;

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
