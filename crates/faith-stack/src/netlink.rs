//! Everything asked of the kernel by rtnetlink(7), for whichever network namespace the calling thread is in.
//!
//! Set-up is a handful of requests, so each call blocks until the kernel has answered; nothing here runs on a
//! worker.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use faith_packet::prefix::FaithPrefix;
use futures_util::StreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup, RouteMessageBuilder};
use tokio::runtime::{Builder, Runtime};

/// `RT_TABLE_LOCAL`: the kernel's own table of local addresses.
const TABLE_LOCAL: u8 = 255;

/// A connection to the kernel of one network namespace.
pub(crate) struct Netlink {
    runtime: Runtime,
    handle: Handle,
}

impl Netlink {
    /// Connects from the calling thread's network namespace.
    pub(crate) fn connect() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let handle = {
            let _context = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
            runtime.spawn(connection);
            handle
        };
        Ok(Self { runtime, handle })
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        self.runtime.block_on(async {
            let mut links = std::pin::pin!(self.handle.link().get().match_name(name).execute());
            match links.next().await {
                Some(link) => Ok(link.map_err(to_io)?.header.index),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        })
    }

    /// Whether an interface of that name exists.
    pub(crate) fn exists(&self, name: &str) -> io::Result<bool> {
        match self.index(name) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc_enodev()) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `ip link set NAME up`, with an MTU and a transmit queue length in packets, and with no address of its
    /// own: a link-local one would only make the kernel solicit routers and report multicast groups.
    pub(crate) fn bring_up(&self, name: &str, mtu: u32, queue: u32) -> io::Result<Device> {
        let index = self.index(name)?;
        let no_address =
            LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])]);
        let quiet = LinkUnspec::new_with_index(index).append_extra_attribute(no_address).build();
        let up = LinkUnspec::new_with_index(index).mtu(mtu).txqueuelen(queue).up().build();
        self.runtime.block_on(async {
            self.handle.link().change(quiet).execute().await.map_err(to_io)?;
            self.handle.link().change(up).execute().await.map_err(to_io)
        })?;
        Ok(Device(index))
    }

    /// `ip link set lo up`.
    pub(crate) fn loopback_up(&self) -> io::Result<Device> {
        let index = self.index("lo")?;
        let up = LinkUnspec::new_with_index(index).up().build();
        self.runtime.block_on(self.handle.link().change(up).execute()).map_err(to_io)?;
        Ok(Device(index))
    }

    /// `ip -6 route add PREFIX dev NAME`.
    pub(crate) fn add_route(&self, prefix: &FaithPrefix, device: Device) -> io::Result<()> {
        self.add(unicast(prefix.address(), prefix.length(), device))
    }

    /// `ip -6 route del PREFIX dev NAME`.
    pub(crate) fn remove_route(&self, prefix: &FaithPrefix, device: Device) -> io::Result<()> {
        self.remove(unicast(prefix.address(), prefix.length(), device))
    }

    /// `ip -6 route add default dev NAME`.
    pub(crate) fn add_default_route(&self, device: Device) -> io::Result<()> {
        self.add(unicast(Ipv6Addr::UNSPECIFIED, 0, device))
    }

    /// `ip -6 route add local PREFIX dev lo`: every address of the prefix is the namespace's own.
    pub(crate) fn add_local(&self, prefix: &FaithPrefix, loopback: Device) -> io::Result<()> {
        self.add(local(prefix, loopback))
    }

    /// `ip -6 route del local PREFIX dev lo`.
    pub(crate) fn remove_local(&self, prefix: &FaithPrefix, loopback: Device) -> io::Result<()> {
        self.remove(local(prefix, loopback))
    }

    fn add(&self, route: RouteMessage) -> io::Result<()> {
        self.runtime.block_on(self.handle.route().add(route).execute()).map_err(to_io)
    }

    fn remove(&self, route: RouteMessage) -> io::Result<()> {
        self.runtime.block_on(self.handle.route().del(route).execute()).map_err(to_io)
    }
}

/// The index of an interface.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device(u32);

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

/// Calls `changed` with every IPv4 range that is the host's own (`ip -4 route show table local`), now and after
/// each change, until it returns `false` or `stop` resolves.
///
/// The table is read anew after a change rather than patched: a lost notification then costs nothing.
pub(crate) async fn watch_own_ipv4(
    mut changed: impl FnMut(Vec<(Ipv4Addr, u8)>),
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (connection, handle, mut notices) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Ifaddr])?;
    let connection = tokio::spawn(connection);
    let (dump_connection, dump_handle, _) = rtnetlink::new_connection_with_strict_check()?;
    let dump_connection = tokio::spawn(dump_connection);
    drop(handle);
    let mut stop = std::pin::pin!(stop);
    let result = loop {
        match own_ipv4(&dump_handle).await {
            Ok(ranges) => changed(ranges),
            Err(error) => break Err(error),
        }
        tokio::select! {
            () = &mut stop => break Ok(()),
            notice = notices.next() => if notice.is_none() { break Ok(()) },
        }
        while notices.try_recv().is_ok() {}
    };
    connection.abort();
    dump_connection.abort();
    result
}

async fn own_ipv4(handle: &Handle) -> io::Result<Vec<(Ipv4Addr, u8)>> {
    let mut request = RouteMessage::default();
    request.header.address_family = AddressFamily::Inet;
    request.header.table = TABLE_LOCAL;
    request.header.kind = RouteType::Unspec;
    request.header.scope = RouteScope::Universe;
    let mut routes = std::pin::pin!(handle.route().get(request).execute());
    let mut own = Vec::new();
    while let Some(route) = routes.next().await {
        let route = route.map_err(to_io)?;
        if !matches!(route.header.kind, RouteType::Local | RouteType::Broadcast) {
            continue;
        }
        for attribute in &route.attributes {
            if let RouteAttribute::Destination(RouteAddress::Inet(address)) = attribute {
                own.push((*address, route.header.destination_prefix_length));
            }
        }
    }
    Ok(own)
}

fn to_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

fn libc_enodev() -> i32 {
    rustix::io::Errno::NODEV.raw_os_error()
}
