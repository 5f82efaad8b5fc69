//! Single messages of IPv4 sockets with their control messages: sendmsg(2) and recvmsg(2).

use std::io::{self, IoSlice};
use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};

use crate::control::Control;

/// `AF_INET` in the field of an address.
const INET: libc::sa_family_t = 2;

/// Bytes of an IPv4 address with its port, for the kernel.
const NAME: libc::socklen_t = 16;

const _: () = assert!(size_of::<libc::sockaddr_in>() == 16 && libc::AF_INET == 2);

/// Sends one message over an unconnected socket, without waiting for room.
pub(crate) fn send_message(
    socket: impl AsFd,
    to: SocketAddrV4,
    data: &[IoSlice<'_>],
    control: &mut Control,
) -> io::Result<()> {
    let mut name = libc::sockaddr_in {
        sin_family: INET,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: to.ip().to_bits().to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: an all-zero msghdr is a valid value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = NAME;
    // An `IoSlice` has the layout of an iovec.
    message.msg_iov = data.as_ptr().cast_mut().cast();
    message.msg_iovlen = data.len() as _;
    message.msg_controllen = control.length() as _;
    message.msg_control = control.as_mut_ptr();
    // SAFETY: sendmsg(2) only reads what `message` refers to, all of which outlives the call and has the lengths given.
    let sent = unsafe {
        libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives one message, without waiting for it. Returns its length, the address that it names, and its control messages with
/// their length.
pub(crate) fn receive_message(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<(usize, SocketAddrV4, Control, usize)> {
    let mut control = Control::new();
    // SAFETY: the structures consist of integers and pointers, for which zero is valid.
    let (mut name, mut message): (libc::sockaddr_in, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = NAME;
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr();
    message.msg_controllen = Control::room() as _;
    // SAFETY: recvmsg(2) writes at most the lengths given to the places given, all of which outlive the call.
    let received =
        unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags | libc::MSG_DONTWAIT) };
    let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let address = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
    let from = SocketAddrV4::new(address, u16::from_be(name.sin_port));
    Ok((length, from, control, message.msg_controllen as _))
}
