//! What changes on the host while an interface is there, told by the kernel.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use futures_util::StreamExt as _;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::link::LinkFlags;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Device, TABLE_LOCAL, to_io};

/// A thread that follows something, in the network namespace of the thread that started it.
pub(crate) struct Watch(Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>);

/// Whom to tell that nothing of what is followed will be missed from now on.
pub(crate) struct Begun(mpsc::Sender<io::Result<()>>);

impl Begun {
    pub(crate) fn tell(self) {
        // Who started it waits for this.
        let _ = self.0.send(Ok(()));
    }
}

impl Watch {
    /// Runs what `follow` gives, until it ends or is stopped. Returns once nothing will be missed.
    ///
    /// # Errors
    /// The thread cannot be started, or `follow` ended before it had begun. What goes wrong later is for `follow` to tell.
    pub(crate) fn start<F: Future<Output = io::Result<()>>>(
        name: String,
        follow: impl FnOnce(Begun) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, begun) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    result = follow(Begun(told.clone())) => {
                        let _ = told.send(result);
                    }
                    _ = stopped => {}
                }
            });
        })?;
        begun.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok(Self(Mutex::new(Some((stop, thread)))))
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        let watching = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = watching {
            // Fails when it has ended by itself.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

/// Calls `changed` with every IPv4 range that is the host's own (`ip -4 route show table local`), before it has begun and
/// after each change.
///
/// The table is read anew after a change rather than patched: a lost notification then costs nothing.
pub(crate) async fn own_ipv4_changes(
    begun: Begun,
    mut changed: impl FnMut(Vec<(Ipv4Addr, u8)>),
) -> io::Result<()> {
    let (connection, handle, mut notices) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Ifaddr])?;
    let connection = tokio::spawn(connection);
    let (dump_connection, dump_handle, _) = rtnetlink::new_connection_with_strict_check()?;
    let dump_connection = tokio::spawn(dump_connection);
    drop(handle);
    let mut begun = Some(begun);
    let result = loop {
        match own_ipv4(&dump_handle).await {
            Ok(ranges) => changed(ranges),
            Err(error) => break Err(error),
        }
        if let Some(begun) = begun.take() {
            begun.tell();
        }
        if notices.next().await.is_none() {
            break Ok(());
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

/// Waits for `again` each time the device, which is up, has been down and is up again; resolves when it has left.
pub(crate) async fn comes_up_again(
    device: Device,
    begun: Begun,
    mut again: impl AsyncFnMut(),
) -> io::Result<()> {
    let (connection, _handle, mut notices) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
    let connection = tokio::spawn(connection);
    begun.tell();
    let mut was_up = true;
    while let Some((notice, _)) = notices.next().await {
        match notice.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))
                if link.header.index == device.index() =>
            {
                let is_up = link.header.flags.contains(LinkFlags::Up);
                if is_up && !was_up {
                    again().await;
                }
                was_up = is_up;
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
                if link.header.index == device.index() =>
            {
                break;
            }
            _ => {}
        }
    }
    connection.abort();
    Ok(())
}

/// Resolves when a pair's end on the host is not there, or is down, or the faith interface has left.
pub(crate) async fn pair_taken_away(pair: Device, faith: Device, begun: Begun) -> io::Result<()> {
    let (connection, handle, mut notices) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
    let connection = tokio::spawn(connection);
    begun.tell();
    // Whatever happened before the notices begin shows now.
    if is_up(&handle, pair).await {
        while let Some((notice, _)) = notices.next().await {
            if takes_away(&notice.payload, pair, faith) {
                break;
            }
        }
    }
    connection.abort();
    Ok(())
}

async fn is_up(handle: &Handle, device: Device) -> bool {
    let mut links = std::pin::pin!(handle.link().get().match_index(device.index()).execute());
    links.next().await.is_some_and(|link| link.is_ok_and(|link| link.header.flags.contains(LinkFlags::Up)))
}

fn takes_away(payload: &NetlinkPayload<RouteNetlinkMessage>, pair: Device, faith: Device) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            [pair, faith].iter().any(|device| device.index() == link.header.index)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            pair.index() == link.header.index && !link.header.flags.contains(LinkFlags::Up)
        }
        _ => false,
    }
}
