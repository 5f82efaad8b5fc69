//! Copies the host's TCP settings into the private namespace, for the sockets of captured connections.
//!
//! A new network namespace has the kernel's default settings, and a few of the machine's first namespace, but none of the
//! namespace in which it was made. An operator who chooses a congestion control or buffer sizes for a router means its
//! relays' connections too (`net.ipv4.tcp_*`, ip-sysctl in the kernel's documentation; they apply to IPv6 as well).
//!
//! The MSS offered to clients follows the MTU of the host's devices, because the namespace's own devices take segments of
//! any length. A large MSS would also slow the stack down: its kernel opens the receive window only once more than ten
//! segments of the MSS arrive within a round trip (`tcp_init_buffer_space()`, `tcp_rcv_space_adjust()`). With an MSS of 65
//! kB it would keep the first window for long.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::netlink::Netlink;
use crate::options::MINIMUM_MTU;

const SETTINGS: &str = "/proc/sys/net/ipv4";

/// This setting is not copied. Looking for a socket before a route helps packets that are delivered, and costs packets
/// that are forwarded: an operator may disable it on a router, for forwarded packets.
const OF_ROUTERS: &str = "tcp_early_demux";

/// The largest MTU of a real link. Devices with a larger one are virtual, such as loopback, VRFs and faithd's own.
const LARGEST: u32 = 16 * 1024;

/// The MTU of Ethernet, for a host without a device of a real link.
const ETHERNET: u32 = 1500;

/// The length of the IPv6 and TCP headers without options, which an MSS excludes (RFC 9293 section 3.7.1).
const HEADERS: u32 = 40 + 20;

/// The TCP settings of a network namespace.
pub(crate) struct TcpSettings {
    files: Vec<(PathBuf, Vec<u8>)>,
    largest_mtu: Option<u32>,
}

impl TcpSettings {
    /// Reads the settings of the calling thread's network namespace, which must be `netlink`'s too. They are empty if /proc
    /// is not mounted.
    ///
    /// # Errors
    /// Those of netlink(7).
    pub(crate) fn of_this_namespace(netlink: &Netlink) -> io::Result<Self> {
        let entries = fs::read_dir(SETTINGS).into_iter().flatten().flatten();
        let settings = entries.map(|entry| entry.path()).filter(|path| is_copied(path));
        let files = settings.filter_map(|path| fs::read(&path).ok().map(|value| (path, value))).collect();
        Ok(Self { files, largest_mtu: netlink.largest_mtu(LARGEST)? })
    }

    /// The MSS that a stack whose own devices have this MTU offers to its peers. It follows the host's device with the
    /// largest real MTU.
    pub(crate) fn mss(&self, mtu: u32) -> u32 {
        mtu.min(self.largest_mtu.unwrap_or(ETHERNET).max(MINIMUM_MTU)) - HEADERS
    }

    /// Applies the settings to the calling thread's network namespace. Settings that cannot be written stay as they are:
    /// some are read-only, some are global to the machine, and in a container all may be read-only.
    pub(crate) fn apply(&self) {
        for (path, value) in &self.files {
            if fs::read(path).is_ok_and(|present| present != *value) {
                let _ = fs::write(path, value);
            }
        }
    }
}

fn is_copied(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("tcp_") && name != OF_ROUTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_settings_are_copied_except_early_demux() {
        let of = |name: &str| is_copied(&Path::new(SETTINGS).join(name));
        assert!(of("tcp_congestion_control"));
        assert!(!of("tcp_early_demux"));
        assert!(!of("ip_forward"));
    }

    #[test]
    fn the_settings_of_this_namespace_are_read() {
        let TcpSettings { files, .. } = TcpSettings::of_this_namespace(&Netlink::connect().unwrap()).unwrap();
        assert!(
            files.iter().any(|(path, value)| path.ends_with("tcp_congestion_control") && !value.is_empty())
        );
    }

    #[test]
    fn the_mss_follows_the_mtu_of_the_host_and_of_the_interface() {
        let mss = |largest_mtu, mtu| TcpSettings { files: Vec::new(), largest_mtu }.mss(mtu);
        assert_eq!(mss(Some(1500), 65_535), 1440);
        assert_eq!(mss(Some(9000), 65_535), 8940);
        assert_eq!(mss(Some(9000), 1400), 1340);
        assert_eq!(mss(None, 65_535), 1440);
        assert_eq!(mss(Some(576), 65_535), 1220);
    }
}
