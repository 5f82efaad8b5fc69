//! Lists the TCP sockets of the calling thread's network namespace, including those without a descriptor.
//!
//! sock_diag(7) is asked first. If it is refused, /proc is read: the kernel may be built without `inet_diag`, or a seccomp
//! filter may forbid it. sock_diag skips connections in other states, of which very many may be in `TIME_WAIT`; /proc
//! formats each of them.

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use faith_packet::classify::Flow;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send};

/// A set of TCP states, as bits: 1 << `TCP_ESTABLISHED` and so on (linux/tcp_states.h).
#[derive(Debug, Clone, Copy)]
pub(crate) struct States(u32);

impl States {
    /// The stack has closed the connection, and its peer has not acknowledged all bytes and the FIN: `FIN_WAIT1`,
    /// `LAST_ACK`, `CLOSING`.
    pub(crate) const DELIVERING: Self = Self(1 << 4 | 1 << 9 | 1 << 11);

    /// The stack has not sent a FIN, or the peer has not acknowledged it: [`DELIVERING`](Self::DELIVERING), `ESTABLISHED`
    /// and `CLOSE_WAIT`.
    pub(crate) const UNFINISHED: Self = Self(Self::DELIVERING.0 | 1 << 1 | 1 << 8);

    fn contains(self, state: u32) -> bool {
        state < u32::BITS && self.0 & (1 << state) != 0
    }
}

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpSocket {
    /// The peer's address and the socket's own.
    pub(crate) flow: Flow,
    /// The retransmission timeout (`RTO`, RFC 6298); zero if no bytes are on their way.
    pub(crate) timeout: Duration,
}

/// Lists the sockets in these states.
///
/// # Errors
/// Both ways failed: the error names that of sock_diag(7) and that of reading /proc.
pub(crate) fn sockets(states: States) -> io::Result<Vec<TcpSocket>> {
    by_diag(states).or_else(|refusal| {
        let both = |error| io::Error::other(format!("sock_diag(7): {refusal}; {TABLE}: {error}"));
        by_proc(states).map_err(both)
    })
}

const TABLE: &str = "/proc/thread-self/net/tcp6";

/// The length of `struct nlmsghdr`, which begins with the message's length.
const HEADER: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The length of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;

/// The length of `struct inet_diag_msg`, which attributes follow. [`WITH_INFO`] requests [`INET_DIAG_INFO`], the attribute
/// with `struct tcp_info`.
const MESSAGE: usize = 72;
const INET_DIAG_INFO: u16 = 2;
const WITH_INFO: u8 = 1 << (INET_DIAG_INFO - 1);
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// The retransmission timer; other kinds are for keep-alive and window probes.
const RETRANSMISSION: u8 = 1;

fn by_diag(states: States) -> Result<Vec<TcpSocket>, Errno> {
    let kernel = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut request = Vec::with_capacity(HEADER + REQUEST);
    request.extend(u32::try_from(HEADER + REQUEST).unwrap_or_default().to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([AF_INET6, IPPROTO_TCP, WITH_INFO, 0]);
    request.extend(states.0.to_ne_bytes());
    request.resize(HEADER + REQUEST, 0);
    send(&kernel, &request, SendFlags::empty())?;

    let mut sockets = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (_, length) = retry_on_intr(|| recv(&kernel, &mut buffer[..], RecvFlags::empty()))?;
        let mut messages = &buffer[..length.min(buffer.len())];
        while let Some((&header, _)) = messages.split_first_chunk::<HEADER>() {
            let [l0, l1, l2, l3, t0, t1, ..] = header;
            let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
            let body = messages.get(HEADER..length).ok_or(Errno::PROTO)?;
            match u16::from_ne_bytes([t0, t1]) {
                // A kernel without `tcp_diag` reports that at the end.
                NLMSG_DONE => return errno(body).map_or(Ok(sockets), Err),
                NLMSG_ERROR => return Err(errno(body).unwrap_or(Errno::PROTO)),
                _ => sockets.extend(read_message(body)),
            }
            messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Reads `struct nlmsgerr` or the end of a dump: both begin with a negative error number, or 0.
fn errno(body: &[u8]) -> Option<Errno> {
    let number = body.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
    (number != 0).then(|| Errno::from_raw_os_error(number.saturating_neg()))
}

/// Reads `struct inet_diag_msg`: family, state, kind of timer and another octet, then `struct inet_diag_sockid`.
fn read_message(body: &[u8]) -> Option<TcpSocket> {
    let kind = *body.get(2)?;
    let ports = body.get(4..8)?.first_chunk::<4>()?;
    let [s0, s1, d0, d1] = *ports;
    let source = Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*body.get(24..)?.first_chunk::<16>()?);
    let timeout = if kind == RETRANSMISSION { read_timeout(body.get(MESSAGE..)?)? } else { Duration::ZERO };
    Some(TcpSocket {
        flow: Flow {
            client: SocketAddrV6::new(destination, u16::from_be_bytes([d0, d1]), 0, 0),
            destination: SocketAddrV6::new(source, u16::from_be_bytes([s0, s1]), 0, 0),
        },
        timeout,
    })
}

/// Reads the timeout from `struct tcp_info`: in microseconds, behind eight octets.
fn read_timeout(mut attributes: &[u8]) -> Option<Duration> {
    loop {
        let &[l0, l1, t0, t1] = attributes.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1])).max(4);
        if u16::from_ne_bytes([t0, t1]) == INET_DIAG_INFO {
            let timeout = attributes.get(4 + 8..)?.first_chunk::<4>()?;
            return Some(Duration::from_micros(u32::from_ne_bytes(*timeout).into()));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn by_proc(states: States) -> io::Result<Vec<TcpSocket>> {
    let table = fs::read_to_string(TABLE)?;
    // The first line names the columns.
    Ok(table.lines().skip(1).filter_map(|line| read_line(line, states)).collect())
}

/// Reads a line of /proc/net/tcp6. Its words are: number, local and remote address, state, queues, kind of timer with
/// timer, six others, and the timeout in ticks of 10 ms.
fn read_line(line: &str, states: States) -> Option<TcpSocket> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (words.next()?, words.next()?);
    let state = u32::from_str_radix(words.next()?, 16).ok()?;
    if !states.contains(state) {
        return None;
    }
    let (kind, _) = words.nth(1)?.split_once(':')?;
    let ticks = words.nth(6)?.parse::<u64>().ok()?;
    let is_waiting = u8::from_str_radix(kind, 16).ok()? == RETRANSMISSION;
    let timeout = if is_waiting { Duration::from_millis(ticks.saturating_mul(10)) } else { Duration::ZERO };
    let flow = Flow { client: read_end(remote)?, destination: read_end(local)? };
    Some(TcpSocket { flow, timeout })
}

/// Reads an address, which is four numbers in the host's byte order, and a port.
fn read_end(text: &str) -> Option<SocketAddrV6> {
    let (address, port) = text.split_once(':')?;
    let mut octets = [0; 16];
    for (index, word) in octets.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let digits = address.get(index * 8..index * 8 + 8)?;
        *word = u32::from_str_radix(digits, 16).ok()?.to_ne_bytes();
    }
    Some(SocketAddrV6::new(octets.into(), u16::from_str_radix(port, 16).ok()?, 0, 0))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process::Command;

    use faith_sys::netns;

    use super::*;

    fn ip(arguments: &str) {
        assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
    }

    fn flow(near: &TcpStream) -> Flow {
        let [client, destination] = [near.peer_addr(), near.local_addr()].map(|end| match end {
            Ok(std::net::SocketAddr::V6(end)) => end,
            other => panic!("{other:?}"),
        });
        Flow { client, destination }
    }

    fn listed(mut sockets: Vec<TcpSocket>) -> Vec<Flow> {
        sockets.sort_by_key(|socket| (socket.flow.client, socket.flow.destination));
        sockets.iter().map(|socket| socket.flow).collect()
    }

    #[test]
    fn sock_diag_and_proc_list_the_same_sockets() {
        std::thread::spawn(|| {
            if let Err(error) = netns::unshare_network() {
                assert!(std::env::var_os("CI").is_none(), "cannot make a network namespace: {error}");
                return;
            }
            ip("link set lo up");
            let listener = TcpListener::bind("[::1]:0").unwrap();
            let dial = || {
                let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (near, listener.accept().unwrap().0)
            };
            let (open, peer) = dial();
            let (ended, reader) = dial();
            ended.shutdown(Shutdown::Write).unwrap();
            // The peer may delay the acknowledgement of the FIN.
            while !by_diag(States::DELIVERING).unwrap().is_empty() {
                std::thread::yield_now();
            }
            for list in [|states| Ok(by_diag(states)?), by_proc] {
                let unfinished = list(States::UNFINISHED).unwrap();
                assert!(unfinished.iter().all(|socket| socket.timeout.is_zero()));
                // The end that was shut down is in FIN_WAIT2, and its peer in CLOSE_WAIT.
                let mut expected = vec![flow(&open), flow(&peer), flow(&reader)];
                expected.sort_by_key(|flow| (flow.client, flow.destination));
                assert_eq!(listed(unfinished), expected);
                assert_eq!(list(States::DELIVERING).unwrap(), []);
            }

            // From now on, no packet is acknowledged.
            ip("link set lo down");
            let lost = flow(&open);
            (&open).write_all(b"lost").unwrap();
            drop(open);
            let [by_diag, by_proc] =
                [by_diag(States::DELIVERING).unwrap(), by_proc(States::DELIVERING).unwrap()];
            assert_eq!(listed(by_diag.clone()), [lost]);
            // One is in microseconds, the other in ticks.
            let difference = by_diag[0].timeout.abs_diff(by_proc[0].timeout);
            assert!(difference < Duration::from_millis(20), "{by_diag:?} {by_proc:?}");
            assert_eq!(listed(by_proc), [lost]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_nonzero_number_at_the_end_of_a_dump_is_an_error() {
        assert_eq!(errno(&(-2_i32).to_ne_bytes()), Some(Errno::NOENT));
        assert_eq!(errno(&0_i32.to_ne_bytes()), None);
        assert_eq!(errno(&[]), None);
    }
}
