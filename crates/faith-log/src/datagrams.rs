//! A receiver of datagrams: a Unix socket, or a port of UDP.
//!
//! A Unix socket says at once whether its receiver is there, so entries wait until it is. A receiver that was started
//! again has another socket, to which this one connects.
//!
//! UDP says it afterwards, if at all: an ICMP message arrives as the error of a later call. Entries of the last call then
//! count as lost. From the start and after each error they go one by one, each with a wait for the error, until one
//! arrives.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use faith_sys::datagram::{has_error_within, send_many, send_sealed};

use crate::batch::Batch;

/// Datagrams of one call.
const MANY: usize = 64;

/// A receiver that has no port answers within this time, or is too far to be waited for.
const ANSWER: Duration = Duration::from_millis(100);

/// The address of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// An address and port of UDP.
    Udp(SocketAddr),
}

/// Sends entries to a receiver, and connects to it again when it was away.
#[derive(Debug)]
pub(crate) struct Datagrams {
    to: Address,
    socket: Option<Socket>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp { socket: UdpSocket, probes: bool, last: u64, lost: u64 },
}

impl Datagrams {
    pub(crate) fn new(to: Address) -> Self {
        Self { to, socket: None }
    }

    /// Sends some entries.
    pub(crate) fn send(&mut self, batch: &mut Batch) -> io::Result<()> {
        if let Some(socket) = &mut self.socket {
            match socket.send(batch) {
                // The receiver was started again.
                Err(_) if matches!(socket, Socket::Unix(_)) => self.socket = None,
                sent => return sent,
            }
        }
        self.socket.insert(connect(&self.to)?).send(batch).inspect_err(|_| {
            if matches!(self.to, Address::Unix(_)) {
                self.socket = None;
            }
        })
    }

    /// The number of entries that were sent and did not arrive, since the last call.
    pub(crate) fn take_lost(&mut self) -> u64 {
        match &mut self.socket {
            Some(Socket::Udp { lost, .. }) => std::mem::take(lost),
            _ => 0,
        }
    }
}

fn connect(to: &Address) -> io::Result<Socket> {
    match to {
        Address::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(Socket::Unix(socket))
        }
        Address::Udp(address) => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Ok(Socket::Udp { socket, probes: true, last: 0, lost: 0 })
        }
    }
}

impl Socket {
    fn send(&mut self, batch: &mut Batch) -> io::Result<()> {
        match self {
            Self::Unix(socket) => {
                let datagrams: Vec<&[u8]> = batch.entries().take(MANY).collect();
                let sent = match send_many(&*socket, &datagrams) {
                    Err(error) if is_too_large(&error) => {
                        send_sealed(&*socket, datagrams.first().copied().unwrap_or_default())?;
                        1
                    }
                    sent => sent?,
                };
                batch.wrote_entries(sent);
                Ok(())
            }
            Self::Udp { socket, probes, last, lost } => {
                let datagrams: Vec<&[u8]> = batch.entries().take(if *probes { 1 } else { MANY }).collect();
                let sent = match socket.take_error()? {
                    Some(error) => Err(error),
                    None => send_many(&*socket, &datagrams),
                };
                let sent = sent.inspect_err(|_| {
                    *lost += std::mem::take(last);
                    *probes = true;
                })?;
                if *probes {
                    if has_error_within(&*socket, ANSWER) {
                        // The entry is still there, so it is not lost.
                        return Err(socket
                            .take_error()?
                            .unwrap_or_else(|| ErrorKind::ConnectionRefused.into()));
                    }
                    *probes = false;
                }
                *last = sent as u64;
                batch.wrote_entries(sent);
                Ok(())
            }
        }
    }
}

/// Tells whether a datagram was refused for its size: `EMSGSIZE`, or `ENOBUFS` where the kernel has no piece of memory of
/// that size.
fn is_too_large(error: &io::Error) -> bool {
    matches!(error.raw_os_error().and_then(faith_stack::errno_name), Some("EMSGSIZE" | "ENOBUFS"))
}
