//! Descriptors that another program gave to this process: sockets of the host, and the standard ones.

use std::fs::File;
use std::io;
use std::net::SocketAddrV6;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{SocketType, getpeername, getsockname};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Looks at a TCP socket of IPv6: its local address, and its peer's if it is connected, not listening.
///
/// # Errors
///
/// `EOPNOTSUPP` for another socket; those of getsockname(2) and getpeername(2).
pub fn ends(socket: impl AsFd) -> io::Result<(SocketAddrV6, Option<SocketAddrV6>)> {
    if socket_type(&socket)? != SocketType::STREAM {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let local = getsockname(&socket)?.try_into()?;
    if socket_acceptconn(&socket)? {
        return Ok((local, None));
    }
    let mut peer: SocketAddrV6 = getpeername(&socket)?.ok_or(io::ErrorKind::NotConnected)?.try_into()?;
    peer.set_scope_id(0);
    Ok((local, Some(peer)))
}

/// Opens /dev/null.
///
/// # Errors
///
/// Those of open(2).
pub fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// Makes a standard descriptor, 0 to 2, mean the same as another one. Its former meaning is closed.
///
/// # Errors
///
/// `EINVAL` for another number; those of dup2(2).
pub fn replace_standard(descriptor: u32, by: impl AsFd) -> io::Result<()> {
    match descriptor {
        0 => Ok(dup2_stdin(by)?),
        1 => Ok(dup2_stdout(by)?),
        2 => Ok(dup2_stderr(by)?),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
