//! Messages of IPv4 sockets with their control messages: sendmsg(2), recvmsg(2) and recvmmsg(2).

use std::io::{self, IoSlice};
use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;

use crate::control::Control;

/// `AF_INET` in the field of an address.
const INET: libc::sa_family_t = 2;

/// Bytes of an IPv4 address with its port, for the kernel.
const NAME: libc::socklen_t = 16;

/// The flags of recvmmsg(2) are unsigned in musl's header.
#[cfg(target_env = "musl")]
const DONT_WAIT: libc::c_uint = libc::MSG_DONTWAIT.cast_unsigned();
#[cfg(not(target_env = "musl"))]
const DONT_WAIT: libc::c_int = libc::MSG_DONTWAIT;

/// A received message: its length, the address that it names, and its control messages with their length.
pub(crate) type Message = (usize, SocketAddrV4, Control, usize);

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

/// Receives one message, without waiting for it.
pub(crate) fn receive_message(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<Message> {
    let mut control = Control::new();
    // SAFETY: the structures consist of integers and pointers, for which zero is valid.
    let (mut name, mut header): (libc::sockaddr_in, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
    let mut vector = vector_of(buffer);
    point(&mut header, &mut name, &mut vector, &mut control);
    // SAFETY: recvmsg(2) writes at most the lengths given to the places given, all of which outlive the call.
    let received =
        unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, flags | libc::MSG_DONTWAIT) };
    let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    Ok((length, address_of(&name), control, header.msg_controllen as _))
}

/// Receives one message, and the next one if that waits too, by one call. Does not wait for either.
pub(crate) fn receive_two(
    socket: impl AsFd,
    buffers: [&mut [u8]; 2],
) -> io::Result<(Message, Option<Message>)> {
    let mut controls = [Control::new(), Control::new()];
    // SAFETY: the structures consist of integers and pointers, for which zero is valid.
    let (mut names, mut messages): ([libc::sockaddr_in; 2], [libc::mmsghdr; 2]) =
        unsafe { (zeroed(), zeroed()) };
    let mut vectors = buffers.map(vector_of);
    for (((message, name), vector), control) in
        messages.iter_mut().zip(&mut names).zip(&mut vectors).zip(&mut controls)
    {
        point(&mut message.msg_hdr, name, vector, control);
    }
    // SAFETY: recvmmsg(2) writes at most the lengths given to the places given of the two messages, and these messages'
    // lengths. All of them outlive the call.
    let received = unsafe {
        libc::recvmmsg(socket.as_fd().as_raw_fd(), messages.as_mut_ptr(), 2, DONT_WAIT, null_mut())
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let [first, second] = messages;
    let [first_name, second_name] = names;
    let [first_control, second_control] = controls;
    let taken = |message: libc::mmsghdr, name: &libc::sockaddr_in, control| {
        let length = usize::try_from(message.msg_len).unwrap_or(0);
        (length, address_of(name), control, message.msg_hdr.msg_controllen as _)
    };
    let second = (received > 1).then(|| taken(second, &second_name, second_control));
    Ok((taken(first, &first_name, first_control), second))
}

fn vector_of(buffer: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }
}

/// Has a message be received to these places.
fn point(
    header: &mut libc::msghdr,
    name: &mut libc::sockaddr_in,
    vector: &mut libc::iovec,
    control: &mut Control,
) {
    header.msg_name = (&raw mut *name).cast();
    header.msg_namelen = NAME;
    header.msg_iov = vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr();
    header.msg_controllen = Control::room() as _;
}

fn address_of(name: &libc::sockaddr_in) -> SocketAddrV4 {
    let address = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
    SocketAddrV4::new(address, u16::from_be(name.sin_port))
}
