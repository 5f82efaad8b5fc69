//! Datagrams of a log: many by one call, large ones by a sealed file, and errors that come late.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// The flags of sendmmsg(2) are unsigned in musl's header.
#[cfg(target_env = "musl")]
const NO_SIGNAL: libc::c_uint = libc::MSG_NOSIGNAL.cast_unsigned();
#[cfg(not(target_env = "musl"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// Sends datagrams over a connected socket, in one call of sendmmsg(2), and returns the number of those that were sent: the
/// first ones. Blocks while the receiver's queue is full.
///
/// # Errors
/// Those of sendmsg(2), if the first datagram was not sent.
pub fn send_many(socket: impl AsFd, datagrams: &[&[u8]]) -> io::Result<usize> {
    let mut parts: Vec<libc::iovec> = datagrams
        .iter()
        .map(|datagram| libc::iovec {
            iov_base: datagram.as_ptr().cast_mut().cast(),
            iov_len: datagram.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts
        .iter_mut()
        .map(|part| {
            // SAFETY: all zeros is a valid `mmsghdr`: no address, no control data, no data.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    // The kernel takes 1024 at most (UIO_MAXIOV) and ignores further ones.
    let count = libc::c_uint::try_from(messages.len()).unwrap_or(libc::c_uint::MAX);
    loop {
        // SAFETY: `messages` holds `count` messages, whose parts lie in `parts` and whose bytes lie in `datagrams`. All
        // outlive the call, which reads the bytes and writes the lengths alone.
        let sent =
            unsafe { libc::sendmmsg(socket.as_fd().as_raw_fd(), messages.as_mut_ptr(), count, NO_SIGNAL) };
        if let Ok(sent) = usize::try_from(sent) {
            return Ok(sent);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Sends the content of a datagram that is too large for one as a sealed file without a name.
///
/// # Errors
/// Those of memfd_create(2), write(2) and sendmsg(2).
pub fn send_sealed(socket: impl AsFd, content: &[u8]) -> io::Result<()> {
    let file = memfd_create("faithd-log", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(content)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let files = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&files));
    retry_on_intr(|| sendmsg(&socket, &[IoSlice::new(&[])], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Tells whether a socket has an error within this time, such as the ICMP message that no socket has the port. The error
/// stays.
pub fn has_error_within(socket: impl AsFd, limit: Duration) -> bool {
    let time = Timespec::try_from(limit).ok();
    let mut polled = [PollFd::new(&socket, PollFlags::empty())];
    match poll(&mut polled, time.as_ref()) {
        Ok(ready) => ready > 0,
        Err(Errno::INTR) => has_error_within(socket, limit),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn many_datagrams_arrive_one_by_one_in_their_order() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        assert_eq!(send_many(&sender, &[b"one", b"", b"three"]).unwrap(), 3);
        let mut buffer = [0; 10];
        for expected in ["one", "", "three"] {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected.as_bytes());
        }
        drop(receiver);
        assert_eq!(send_many(&sender, &[b"four"]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_datagram_that_is_too_large_stops_those_before_it_from_nothing() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        let large = vec![b'x'; 1 << 20];
        assert_eq!(send_many(&sender, &[b"small", &large]).unwrap(), 1);
        assert_eq!(send_many(&sender, &[&large]).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(receiver.recv(&mut [0; 10]).unwrap(), 5);
    }

    #[test]
    fn a_udp_socket_learns_that_nothing_has_the_port() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(free.local_addr().unwrap()).unwrap();
        send_many(&sender, &[b"heard"]).unwrap();
        assert!(!has_error_within(&sender, Duration::from_millis(1)));
        // It takes datagrams of that port alone. Closed instead, it might live on in a program that another test
        // starts.
        free.connect("127.0.0.1:9").unwrap();
        send_many(&sender, &[b"refused"]).unwrap();
        assert!(has_error_within(&sender, Duration::from_secs(20)));
        assert_eq!(sender.take_error().unwrap().unwrap().kind(), io::ErrorKind::ConnectionRefused);
    }
}
