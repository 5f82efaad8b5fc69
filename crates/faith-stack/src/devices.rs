//! The devices of an interface: their names and settings, and the errors of creating them.

use std::io;

use faith_sys::tun::TunError;

use crate::error::{NEEDS, StackError};

/// The stack's device, inside.
pub(crate) const STACK: &str = "stack0";

/// The end of the shortcut's pair, inside.
pub(crate) const END_INSIDE: &str = "shortcut0";

/// The link-layer address of both ends of the shortcut's pair. The BPF program `to_stack` writes it too.
pub(crate) const MAC: [u8; 6] = [0x02, 0xfa, 0x17, 0xfa, 0x17, 0xd0];

/// The most frames that the kernel queues for the pump. A TUN device's default, 500, drops frames under load.
pub(crate) const QUEUE: u32 = 10_000;

/// Makes the error of a device that could not be created.
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
        // Another program made it after we checked that it does not exist (IFF_TUN_EXCL).
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
