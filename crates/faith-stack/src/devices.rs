//! The devices of an interface: the names and settings of those that are its own, and what it means when one cannot be
//! made.

use std::io;

use faith_sys::tun::TunError;

use crate::error::{NEEDS, StackError};

/// The stack's device, inside.
pub(crate) const STACK: &str = "stack0";

/// The end of the shortcut's pair, inside.
pub(crate) const END_INSIDE: &str = "shortcut0";

/// The link-layer address of both ends of the shortcut's pair, which the program to the stack writes.
pub(crate) const MAC: [u8; 6] = [0x02, 0xfa, 0x17, 0xfa, 0x17, 0xd0];

/// Frames the kernel may queue for us: the default of a TUN, 500, drops under load.
pub(crate) const QUEUE: u32 = 10_000;

/// Explains why a device could not be made.
pub(crate) fn tun_failed(interface: &str, error: TunError) -> StackError {
    let what = |step: &str| format!("create {interface}: {step}");
    match error {
        TunError::Open(source) => {
            let hint = match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("run as root, or make /dev/net/tun readable and writable for this user")
                }
                _ => Some("load the tun module (modprobe tun), or give the container /dev/net/tun"),
            };
            StackError::System { what: what("/dev/net/tun"), syscall: "open", source, hint }
        }
        // Another program made it between our look and our try (IFF_TUN_EXCL).
        TunError::Attach(source) if source.kind() == io::ErrorKind::ResourceBusy => {
            StackError::Exists(interface.to_owned())
        }
        TunError::Attach(source) => {
            let hint = match source.kind() {
                io::ErrorKind::PermissionDenied => Some(NEEDS),
                _ => None,
            };
            StackError::System { what: what("TUNSETIFF"), syscall: "ioctl", source, hint }
        }
        TunError::Offload(source) => StackError::System {
            what: what("TUNSETOFFLOAD"),
            syscall: "ioctl",
            source,
            hint: Some("segmentation offload needs Linux 3.8 or later"),
        },
    }
}
