//! Notices: the kernel reports changes by rtnetlink(7) multicast.
//!
//! A notice is only a reason to look: the watch takes no facts from it. So a lost or unreadable notice costs a needless
//! look and never causes a stale view. The kernel drops notices while the socket's buffer is full. It reports that once
//! (`ENOBUFS`), until the buffer has been read empty (`netlink_overrun()`). Until then, every [`wait`](Notices::wait)
//! reports that everything may have changed.

use std::io;
use std::ops::BitOr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use faith_packet::prefix::FaithPrefix;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::error::FailedCall;

/// Bits of `RTNLGRP_LINK`, `_IPV4_IFADDR`, `_IPV4_ROUTE`, `_IPV6_IFADDR`, `_IPV6_ROUTE` and `_IPV6_IFINFO`.
const GROUPS: u32 = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// The length of the buffer: more than the longest datagram of notices (`NLMSG_GOODSIZE`).
const DATAGRAM: usize = 32 * 1024;

/// The most datagrams read before the caller looks and checks for the stop: in a storm of notices (a routing daemon that
/// loads its table) there is always another datagram.
const BATCH: usize = 128;

/// The length of `struct nlmsghdr`, and the alignment of messages.
const HEADER: usize = 16;
const ALIGNMENT: usize = 4;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;

const AF_INET: u8 = 2;
const TABLE_LOCAL: u8 = 255;

/// The length of `struct rtmsg`, and the attribute of a route's destination.
const ROUTE_MESSAGE: usize = 12;
const RTA_DST: u16 = 1;

/// The parts that may have changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The host's own addresses.
    pub(crate) own: bool,
    /// Devices.
    pub(crate) links: bool,
    /// IPv6 routes of the prefixes.
    pub(crate) routes: bool,
}

impl Changes {
    pub(crate) const NONE: Self = Self { own: false, links: false, routes: false };
    pub(crate) const ALL: Self = Self { own: true, links: true, routes: true };
}

impl BitOr for Changes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            own: self.own || other.own,
            links: self.links || other.links,
            routes: self.routes || other.routes,
        }
    }
}

/// The subject of a notice, to ask whether it is a reason to look at the routes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The device with this index.
    Link(u32),
    /// A route with a destination of this length.
    Route(u8, &'a [u8]),
}

impl Subject<'_> {
    /// Returns true if it is the route of `prefix`.
    pub(crate) fn is_route_of(&self, prefix: &FaithPrefix) -> bool {
        matches!(*self, Self::Route(length, destination)
            if length == prefix.length() && destination == prefix.address().octets())
    }
}

/// The reason for the end of a wait.
pub(crate) enum Woken {
    /// The other descriptor became readable.
    Stopped,
    /// These parts may have changed; [`Changes::NONE`] if the time is up.
    Changed(Changes),
}

/// A subscription to the notices of the calling thread's network namespace.
pub(crate) struct Notices {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// True if the kernel may have dropped notices since the buffer was last read empty.
    lossy: bool,
}

impl Notices {
    pub(crate) fn subscribe() -> Result<Self, FailedCall> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
            .map_err(FailedCall::of("socket"))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).map_err(FailedCall::of("bind"))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM], lossy: false })
    }

    /// Waits until something may have changed, `stop` is readable, or `limit` has passed. `routes` returns true for
    /// notices that are a reason to look at the routes: a router with the routes of the whole Internet gets many others.
    /// Reads at most [`BATCH`] datagrams. The next wait reads the rest, unless `stop` is readable.
    ///
    /// # Errors
    /// The socket cannot be read any more.
    pub(crate) fn wait(
        &mut self,
        stop: BorrowedFd<'_>,
        limit: Duration,
        routes: impl Fn(Subject<'_>) -> bool,
    ) -> io::Result<Woken> {
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        let mut ready =
            [PollFd::from_borrowed_fd(stop, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut ready, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[0].revents().is_empty() {
            return Ok(Woken::Stopped);
        }
        let mut changes = if self.lossy { Changes::ALL } else { Changes::NONE };
        for _ in 0..BATCH {
            match recv(self.socket.as_fd(), &mut self.buffer[..], RecvFlags::TRUNC) {
                Ok((read, length)) if length <= read => {
                    changes = changes | all(&self.buffer[..length], &routes);
                }
                // The notice was longer than the buffer.
                Ok(_) => changes = Changes::ALL,
                Err(Errno::NOBUFS) => {
                    self.lossy = true;
                    changes = Changes::ALL;
                }
                Err(Errno::WOULDBLOCK) => {
                    self.lossy = false;
                    break;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Woken::Changed(changes))
    }
}

/// Reads the messages of a datagram, and returns the parts that may have changed.
fn all(mut datagram: &[u8], asked: &impl Fn(Subject<'_>) -> bool) -> Changes {
    let mut changes = Changes::NONE;
    while let Some((&[l0, l1, l2, l3, t0, t1, ..], _)) = datagram.split_first_chunk::<HEADER>() {
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(body) = datagram.get(HEADER..length) else { return Changes::ALL };
        changes = changes | one(u16::from_ne_bytes([t0, t1]), body, asked);
        datagram = datagram.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    changes
}

fn one(kind: u16, body: &[u8], asked: &impl Fn(Subject<'_>) -> bool) -> Changes {
    match kind {
        RTM_NEWLINK | RTM_DELLINK => {
            let Some(&[_, _, _, _, i0, i1, i2, i3]) = body.first_chunk::<8>() else { return Changes::ALL };
            let routes = asked(Subject::Link(u32::from_ne_bytes([i0, i1, i2, i3])));
            Changes { links: true, routes, ..Changes::NONE }
        }
        RTM_NEWADDR | RTM_DELADDR => Changes { own: true, ..Changes::NONE },
        RTM_NEWROUTE | RTM_DELROUTE => {
            let Some(&[family, length, _, _, table, ..]) = body.first_chunk::<ROUTE_MESSAGE>() else {
                return Changes::ALL;
            };
            let own = table == TABLE_LOCAL;
            if family == AF_INET {
                return Changes { own, ..Changes::NONE };
            }
            let attributes = body.get(ROUTE_MESSAGE..).unwrap_or_default();
            let routes =
                destination(attributes).is_some_and(|address| asked(Subject::Route(length, address)));
            Changes { own, routes, ..Changes::NONE }
        }
        _ => Changes::NONE,
    }
}

/// Finds a route's destination among its attributes.
fn destination(mut attributes: &[u8]) -> Option<&[u8]> {
    while let Some((&[l0, l1, t0, t1], _)) = attributes.split_first_chunk() {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(4..length)?;
        if u16::from_ne_bytes([t0, t1]) == RTA_DST {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(ALIGNMENT)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use faith_sys::netns;
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;
    use crate::netlink::Netlink;

    const PREFIX: &str = "64:ff9b::/96";
    const DEVICE: u32 = 7;

    fn link(index: u32) -> Vec<u8> {
        [[0; 4], index.to_ne_bytes()].concat()
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(HEADER, 0);
        message.extend(body);
        message.resize(message.len().next_multiple_of(ALIGNMENT), 0);
        message
    }

    fn route(family: u8, length: u8, table: u8, destination: &[u8]) -> Vec<u8> {
        let mut body = vec![family, length, 0, 0, table, 0, 0, 0, 0, 0, 0, 0];
        // An attribute of another type comes first, with an odd length.
        body.extend(5_u16.to_ne_bytes());
        body.extend(9_u16.to_ne_bytes());
        body.extend([7, 0, 0, 0]);
        body.extend(u16::try_from(4 + destination.len()).unwrap().to_ne_bytes());
        body.extend(RTA_DST.to_ne_bytes());
        body.extend(destination);
        body
    }

    fn read(datagram: &[u8]) -> Changes {
        let prefix: FaithPrefix = PREFIX.parse().unwrap();
        all(datagram, &|subject: Subject<'_>| match subject {
            Subject::Link(index) => index == DEVICE,
            route @ Subject::Route(..) => route.is_route_of(&prefix),
        })
    }

    fn v6(address: &str) -> [u8; 16] {
        address.parse::<std::net::Ipv6Addr>().unwrap().octets()
    }

    #[test]
    fn only_notices_of_prefixes_own_addresses_and_links_are_a_reason_to_look() {
        let routes = Changes { routes: true, ..Changes::NONE };
        let own = Changes { own: true, ..Changes::NONE };
        let prefix = v6("64:ff9b::");
        assert_eq!(read(&message(RTM_DELROUTE, &route(10, 96, 254, &prefix))), routes);
        assert_eq!(read(&message(RTM_DELROUTE, &route(10, 95, 254, &prefix))), Changes::NONE);
        assert_eq!(read(&message(RTM_NEWROUTE, &route(10, 96, 254, &v6("2001:db8::")))), Changes::NONE);
        assert_eq!(read(&message(RTM_NEWROUTE, &route(AF_INET, 32, TABLE_LOCAL, &[192, 0, 2, 1]))), own);
        assert_eq!(read(&message(RTM_NEWROUTE, &route(AF_INET, 24, 254, &[192, 0, 2, 0]))), Changes::NONE);
        assert_eq!(read(&message(RTM_DELROUTE, &route(10, 128, TABLE_LOCAL, &v6("2001:db8::1")))), own);
        assert_eq!(read(&message(RTM_DELADDR, &[AF_INET])), own);
        assert_eq!(read(&message(RTM_DELADDR, &[10])), own);
        let links = Changes { links: true, ..Changes::NONE };
        assert_eq!(read(&message(RTM_NEWLINK, &link(DEVICE + 1))), links);
        assert_eq!(read(&message(RTM_NEWLINK, &link(DEVICE))), Changes { routes: true, ..links });
    }

    #[test]
    fn each_message_of_a_datagram_counts() {
        let odd = message(RTM_NEWADDR, &[10, 0, 0]);
        let datagram = [odd, message(RTM_DELLINK, &link(DEVICE)), message(RTM_DELADDR, &[AF_INET])].concat();
        assert_eq!(read(&datagram), Changes::ALL);
    }

    #[test]
    fn a_truncated_message_is_a_reason_to_look_at_everything() {
        let whole = message(RTM_DELROUTE, &route(10, 96, 254, &v6("64:ff9b::")));
        for length in HEADER..whole.len() {
            assert_eq!(read(&whole[..length]), Changes::ALL, "{length}");
        }
        assert_eq!(read(&message(RTM_DELROUTE, &[10, 96])), Changes::ALL);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_loop() {
        for seed in 0..2000_u32 {
            let byte = |place: u32| (seed.wrapping_mul(2_654_435_761).rotate_left(place) & 0xff) as u8;
            let noise: Vec<u8> = (0..64).map(byte).collect();
            read(&noise);
            read(&message(RTM_NEWROUTE, &noise));
        }
        // A length shorter than a header must not loop.
        read(&[0; 64]);
    }

    /// Makes `count` notices of routes in a new namespace, and runs `read` on them, which may make more.
    fn after_changes(count: usize, read: fn(&mut Notices, &dyn Fn(usize))) {
        let test = move || {
            if let Err(error) = netns::unshare_network() {
                assert!(std::env::var_os("CI").is_none(), "cannot make a network namespace: {error}");
                return;
            }
            let netlink = Netlink::connect().unwrap();
            let loopback = netlink.loopback_up().unwrap();
            let change = |count: usize| {
                let prefixes = (0..count).map(|index| format!("64:ff9b:{index:x}::/48").parse().unwrap());
                let prefixes: Vec<FaithPrefix> = prefixes.collect();
                for prefix in &prefixes {
                    netlink.add_local(prefix, loopback).unwrap();
                }
                for prefix in &prefixes {
                    netlink.remove_local(prefix, loopback).unwrap();
                }
            };
            let mut notices = Notices::subscribe().unwrap();
            change(count / 2);
            read(&mut notices, &change);
        };
        std::thread::spawn(test).join().unwrap();
    }

    fn stop() -> OwnedFd {
        eventfd(0, EventfdFlags::CLOEXEC).unwrap()
    }

    /// The changes that a wait of zero length reports; `None` if it is stopped.
    fn wait(notices: &mut Notices, stop: &OwnedFd) -> Option<Changes> {
        match notices.wait(stop.as_fd(), Duration::ZERO, |_| true).unwrap() {
            Woken::Changed(changes) => Some(changes),
            Woken::Stopped => None,
        }
    }

    /// The changes that the routes of [`after_changes`] report, which are in the local table.
    const LOCAL: Changes = Changes { own: true, routes: true, ..Changes::NONE };

    #[test]
    fn a_storm_of_notices_is_read_in_rounds_and_can_be_stopped_between_them() {
        after_changes(BATCH + 20, |notices, _| {
            let end = stop();
            assert_eq!(wait(notices, &end), Some(LOCAL));
            rustix::io::write(&end, &1_u64.to_ne_bytes()).unwrap();
            assert_eq!(wait(notices, &end), None);
            // Some notices are left.
            assert_eq!(wait(notices, &stop()), Some(LOCAL));
            assert_eq!(wait(notices, &stop()), Some(Changes::NONE));
        });
    }

    #[test]
    fn after_lost_notices_each_round_reports_everything_until_the_buffer_is_empty() {
        after_changes(4000, |notices, change| {
            let never = stop();
            let rounds = std::iter::from_fn(|| wait(notices, &never).filter(|it| *it != Changes::NONE));
            let rounds: Vec<Changes> = rounds.collect();
            assert!(rounds.len() > 1 && rounds.iter().all(|it| *it == Changes::ALL), "{rounds:?}");
            change(1);
            assert_eq!(wait(notices, &never), Some(LOCAL));
        });
    }
}
