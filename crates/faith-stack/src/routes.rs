//! The host's routes to a faith interface, where they are ours to make.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::interface::Shared;
use crate::netlink::watch::{Watch, comes_up_again};
use crate::netlink::{Device, Netlink};

/// Makes the routes anew each time the device comes up again, until it is stopped: the kernel forgets those of a device
/// that goes down. While prefixes change, somebody else has `open` locked; it says whether the interface is.
pub(crate) fn keep(shared: &Arc<Shared>, device: Device, open: &Arc<Mutex<bool>>) -> io::Result<Watch> {
    let (shared, open) = (Arc::clone(shared), Arc::clone(open));
    Watch::start(format!("{}/routes", shared.name), move |begun| async move {
        let again = async || {
            let (shared, open) = (Arc::clone(&shared), Arc::clone(&open));
            // Nothing ends this task early but the end of its runtime.
            let _ = tokio::task::spawn_blocking(move || restore(&shared, device, &open)).await;
        };
        comes_up_again(device, begun, again).await
    })
}

fn restore(shared: &Shared, device: Device, open: &Mutex<bool>) {
    let open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if !*open {
        return;
    }
    let routed = Netlink::connect().and_then(|netlink| {
        shared.classifier.load().prefixes().iter().try_for_each(|prefix| {
            match netlink.add_route(prefix, device) {
                // Somebody was faster, or has another for it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
        })
    });
    match routed {
        Ok(()) => tracing::warn!(interface = %shared.name, "was down; its prefixes are routed to it again"),
        Err(error) => {
            tracing::warn!(interface = %shared.name, %error, "was down; its prefixes are not routed to it again");
        }
    }
}
