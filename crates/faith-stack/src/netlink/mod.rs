//! Requests to the kernel by rtnetlink(7), in the calling thread's network namespace.
//!
//! Set-up needs only a handful of requests, so each call blocks until the kernel has answered. No call runs on a worker.
//! [`notices`] reports changes, and [`diag`] lists sockets.

mod answers;
pub(crate) mod diag;
pub(crate) mod notices;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use faith_packet::prefix::FaithPrefix;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteScope, RouteType,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::FailedCall;
use answers::{all, cut_short, one, to_io};

/// `RT_TABLE_LOCAL`: the kernel's own table of local addresses.
const TABLE_LOCAL: u8 = 255;

/// `IP6_RT_PRIO_USER`: the default metric of a route.
pub(crate) const METRIC: u32 = 1024;

/// The host dials from this address if it has only link-local ones. Otherwise it would choose an address of another link,
/// to which answers cannot come by a faith interface. RFC 6724 prefers other addresses (section 5, rule 2).
pub(crate) const OWN_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfa17);

/// A connection to the kernel of one network namespace.
pub(crate) struct Netlink {
    runtime: Runtime,
    connection: JoinHandle<()>,
    handle: Handle,
}

impl Netlink {
    /// Connects from the calling thread's network namespace.
    pub(crate) fn connect() -> Result<Self, FailedCall> {
        let runtime =
            Builder::new_current_thread().enable_io().build().map_err(FailedCall::of("epoll_create1"))?;
        let (mut connection, handle, _) = {
            let _context = runtime.enter();
            rtnetlink::new_connection_with_strict_check().map_err(FailedCall::of("socket"))?
        };
        // [`all`] needs the message at the end of a dump.
        connection.set_forward_done(true);
        let connection = runtime.spawn(connection);
        Ok(Self { runtime, connection, handle })
    }

    /// Waits for `outcome`, which counts only if the connection is still alive: a request ends in the same way after its
    /// acknowledgement and after the connection broke.
    fn wait<T>(&self, outcome: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let outcome = self.runtime.block_on(outcome)?;
        if self.connection.is_finished() { Err(cut_short()) } else { Ok(outcome) }
    }

    fn change(&self, outcome: impl Future<Output = Result<(), rtnetlink::Error>>) -> io::Result<()> {
        self.wait(async { outcome.await.map_err(to_io) })
    }

    /// The interface of this name.
    pub(crate) fn device(&self, name: &str) -> io::Result<Device> {
        self.index(name).map(Device)
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(self.wait(one(self.handle.link().get().match_name(name).execute()))?.header.index)
    }

    /// The name of a device.
    pub(crate) fn name(&self, device: Device) -> io::Result<Option<String>> {
        let link = self.wait(one(self.handle.link().get().match_index(device.0).execute()))?;
        Ok(link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        }))
    }

    /// Returns true if the device is up; `None` if it is not in this namespace any more.
    pub(crate) fn is_up(&self, device: Device) -> io::Result<Option<bool>> {
        match self.wait(one(self.handle.link().get().match_index(device.0).execute())) {
            Ok(link) => Ok(Some(link.header.flags.contains(LinkFlags::Up))),
            Err(error) if is(&error, Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The host's own ranges (`ip route show table local`, `ip -6 route show table local`).
    pub(crate) fn own_addresses(&self) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut own = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.header.table = TABLE_LOCAL;
            request.header.kind = RouteType::Unspec;
            request.header.scope = RouteScope::Universe;
            let each = |route: RouteMessage| {
                if !matches!(route.header.kind, RouteType::Local | RouteType::Broadcast | RouteType::Anycast)
                {
                    return;
                }
                for attribute in &route.attributes {
                    let address = match attribute {
                        RouteAttribute::Destination(RouteAddress::Inet(address)) => (*address).into(),
                        RouteAttribute::Destination(RouteAddress::Inet6(address)) => (*address).into(),
                        _ => continue,
                    };
                    own.push((address, route.header.destination_prefix_length));
                }
            };
            match self.wait(all(self.handle.route().get(request).execute(), each)) {
                // The table does not exist until the first address exists, be it loopback's.
                Err(error) if is(&error, Errno::NOENT) => {}
                outcome => outcome?,
            }
        }
        Ok(own)
    }

    /// The networks of all interfaces (`ip address`): of each address its prefix, and of each end of a point-to-point link
    /// its address.
    pub(crate) fn networks(&self) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut networks = Vec::new();
        let each = |message: AddressMessage| {
            for attribute in message.attributes {
                match attribute {
                    AddressAttribute::Address(address) => networks.push((address, message.header.prefix_len)),
                    AddressAttribute::Local(address) => networks.push((address, whole(address))),
                    _ => {}
                }
            }
        };
        self.wait(all(self.handle.address().get().execute(), each))?;
        Ok(networks)
    }

    /// Returns true if an interface of this name exists.
    pub(crate) fn exists(&self, name: &str) -> io::Result<bool> {
        match self.index(name) {
            Ok(_) => Ok(true),
            Err(error) if is(&error, Errno::NODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The largest MTU of all devices, without MTUs above `most`.
    pub(crate) fn largest_mtu(&self, most: u32) -> io::Result<Option<u32>> {
        let mut largest = None;
        let each = |link: LinkMessage| {
            let mtu = link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::Mtu(mtu) => Some(mtu),
                _ => None,
            });
            largest = largest.max(mtu.filter(|mtu| *mtu <= most));
        };
        self.wait(all(self.handle.link().get().execute(), each))?;
        Ok(largest)
    }

    /// Runs `ip link set NAME up`, with an MTU, a transmit queue length in packets, and no generated address: a link-local
    /// one would make the kernel solicit routers and report multicast groups.
    pub(crate) fn bring_up(&self, name: &str, mtu: u32, queue: u32) -> io::Result<Device> {
        let index = self.index(name)?;
        let no_address =
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]);
        // The length is set before the device is up: to change it later, the kernel stops the device and waits.
        let quiet = LinkUnspec::new_with_index(index)
            .mtu(mtu)
            .txqueuelen(queue)
            .append_extra_attribute(no_address)
            .build();
        let up = LinkUnspec::new_with_index(index).up().build();
        self.change(self.handle.link().change(quiet).execute())?;
        self.change(self.handle.link().change(up).execute())?;
        Ok(Device(index))
    }

    /// `ip -6 addr add ADDRESS dev NAME nodad noprefixroute` for [`OWN_ADDRESS`], unless it exists.
    pub(crate) fn add_own_address(&self, device: Device) -> io::Result<()> {
        let mut request = self.handle.address().add(device.0, OWN_ADDRESS.into(), 128);
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        request.message_mut().attributes.push(AddressAttribute::Flags(flags));
        match self.change(request.execute()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// `ip link add NAME type veth peer name PEER netns NETNS`, both ends with the link-layer address `mac`, and without
    /// neighbour discovery and multicast.
    pub(crate) fn add_pair(
        &self,
        name: &str,
        peer: &str,
        netns: BorrowedFd<'_>,
        mac: [u8; 6],
    ) -> io::Result<()> {
        let quiet = |name: &str| {
            LinkMessageBuilder::<LinkUnspec>::new()
                .name(name)
                .address(mac.to_vec())
                .arp(false)
                .multicast(false)
        };
        let peer = quiet(peer).setns_by_fd(netns.as_raw_fd()).build();
        let mut pair = quiet(name).build();
        pair.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.change(self.handle.link().add(pair).execute())
    }

    /// `ip link del NAME`.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let index = self.index(name)?;
        self.change(self.handle.link().del(index).execute())
    }

    /// `ip link set lo up`.
    pub(crate) fn loopback_up(&self) -> io::Result<Device> {
        let index = self.index("lo")?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.change(self.handle.link().change(up).execute())?;
        Ok(Device(index))
    }

    /// `ip -6 route add PREFIX dev NAME`, unless another route for the prefix takes precedence. The kernel itself refuses
    /// only a route with the same metric (`fib6_add_rt2node()`).
    pub(crate) fn add_route(&self, prefix: &FaithPrefix, device: Device) -> io::Result<()> {
        if self.routed_to(prefix)?.is_some_and(|(metric, _)| metric < METRIC) {
            return Err(Errno::EXIST.into());
        }
        self.put_route(prefix, device)
    }

    /// `ip -6 route add PREFIX dev NAME`.
    pub(crate) fn put_route(&self, prefix: &FaithPrefix, device: Device) -> io::Result<()> {
        self.add_route_message(unicast(prefix.address(), prefix.length(), device))
    }

    /// The route of exactly this prefix with the lowest metric in the main table: its metric, and its device if it leads to
    /// one.
    pub(crate) fn routed_to(&self, prefix: &FaithPrefix) -> io::Result<Option<(u32, Option<Device>)>> {
        let mut main = RouteMessage::default();
        main.header.address_family = AddressFamily::Inet6;
        main.header.table = RouteHeader::RT_TABLE_MAIN;
        let destination = RouteAttribute::Destination(RouteAddress::Inet6(prefix.address()));
        let mut best: Option<(u32, Option<Device>)> = None;
        let each = |RouteMessage { header, attributes, .. }: RouteMessage| {
            if header.destination_prefix_length != prefix.length() || !attributes.contains(&destination) {
                return;
            }
            let (mut metric, mut device) = (0, None);
            for attribute in &attributes {
                match attribute {
                    RouteAttribute::Priority(value) => metric = *value,
                    RouteAttribute::Oif(index) => device = Some(Device(*index)),
                    _ => {}
                }
            }
            if best.is_none_or(|(lowest, _)| metric < lowest) {
                best = Some((metric, device));
            }
        };
        self.wait(all(self.handle.route().get(main).execute(), each))?;
        Ok(best)
    }

    /// `ip -6 route del PREFIX dev NAME`.
    pub(crate) fn remove_route(&self, prefix: &FaithPrefix, device: Device) -> io::Result<()> {
        self.remove_route_message(unicast(prefix.address(), prefix.length(), device))
    }

    /// `ip -6 route add default via fe80::1 dev NAME metric METRIC advmss MSS`. The kernel uses the route with the lower
    /// metric. The stack offers `mss` to its peers.
    ///
    /// The gateway does not exist, and the kernel does not look for it: the devices have no neighbour discovery
    /// (`IFF_NOARP`). With a gateway, the kernel's table of neighbours, which all network namespaces share, gets one entry
    /// instead of one per client (`rt6_nexthop()`).
    pub(crate) fn add_default_route(&self, device: Device, metric: u32, mss: u32) -> io::Result<()> {
        let mut route = unicast(Ipv6Addr::UNSPECIFIED, 0, device);
        let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        route.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet6(gateway)));
        route.attributes.push(RouteAttribute::Priority(metric));
        route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Advmss(mss)]));
        self.add_route_message(route)
    }

    /// `ip -6 route add local PREFIX dev lo`: makes every address of the prefix local.
    pub(crate) fn add_local(&self, prefix: &FaithPrefix, loopback: Device) -> io::Result<()> {
        self.add_route_message(local(prefix, loopback))
    }

    /// `ip -6 route del local PREFIX dev lo`.
    pub(crate) fn remove_local(&self, prefix: &FaithPrefix, loopback: Device) -> io::Result<()> {
        self.remove_route_message(local(prefix, loopback))
    }

    fn add_route_message(&self, route: RouteMessage) -> io::Result<()> {
        self.change(self.handle.route().add(route).execute())
    }

    fn remove_route_message(&self, route: RouteMessage) -> io::Result<()> {
        self.change(self.handle.route().del(route).execute())
    }
}

/// The index of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device(u32);

impl Device {
    pub(crate) fn index(self) -> u32 {
        self.0
    }
}

fn unicast(address: Ipv6Addr, length: u8, device: Device) -> RouteMessage {
    RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(address, length)
        .output_interface(device.0)
        .build()
}

fn local(prefix: &FaithPrefix, loopback: Device) -> RouteMessage {
    RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(prefix.address(), prefix.length())
        .output_interface(loopback.0)
        .kind(RouteType::Local)
        .table_id(TABLE_LOCAL.into())
        .build()
}

/// The length of a prefix that has one address.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

#[cfg(test)]
mod tests;
