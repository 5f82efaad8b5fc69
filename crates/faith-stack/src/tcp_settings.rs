//! The host's settings of TCP, for the sockets that its clients are connected to.
//!
//! A network namespace begins with the kernel's own settings, and a few of those of the machine's first namespace,
//! whatever the one that it is made in has. Who has chosen a congestion control or buffers for a router means the
//! connections of its relays too (`net.ipv4.tcp_*`, ip-sysctl in the kernel's documentation; they hold for IPv6 as well).
//!
//! Nor has the namespace a device that a client's link is known by: its own take segments of any length. A host tells its
//! peers what its link can carry, and not only for their sake. By ten segments of that length its kernel begins to judge
//! how much comes in a round trip, and opens the window once it is more (`tcp_init_buffer_space()`,
//! `tcp_rcv_space_adjust()`): by ten of 65 kB it keeps the first window for long.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::netlink::Netlink;
use crate::options::MINIMUM_MTU;

const SETTINGS: &str = "/proc/sys/net/ipv4";

/// Looking for a socket before a route is a gain where packets are delivered, and a loss where they are forwarded: a
/// router may have it off, for what it forwards.
const OF_ROUTERS: &str = "tcp_early_demux";

/// No wire carries more; what says so leads nowhere, or is made up, as loopback, VRFs and our own devices.
const LARGEST: u32 = 16 * 1024;

/// What Ethernet carries, for a host of which no device says more.
const ETHERNET: u32 = 1500;

/// Bytes of the headers of IPv6 and TCP without options, which a maximum segment size leaves out (RFC 9293 section 3.7.1).
const HEADERS: u32 = 40 + 20;

/// What a namespace has TCP set to.
pub(crate) struct TcpSettings {
    files: Vec<(PathBuf, Vec<u8>)>,
    largest_mtu: Option<u32>,
}

impl TcpSettings {
    /// Those of the network namespace of the calling thread, which is `netlink`'s too; no files where /proc is not
    /// mounted.
    ///
    /// # Errors
    /// Those of netlink(7).
    pub(crate) fn of_this_namespace(netlink: &Netlink) -> io::Result<Self> {
        let entries = fs::read_dir(SETTINGS).into_iter().flatten().flatten();
        let settings = entries.map(|entry| entry.path()).filter(|path| is_copied(path));
        let files = settings.filter_map(|path| fs::read(&path).ok().map(|value| (path, value))).collect();
        Ok(Self { files, largest_mtu: netlink.largest_mtu(LARGEST)? })
    }

    /// What peers of a stack whose own devices have this MTU are told of the segments they may send: what this host's
    /// devices can carry, any of them.
    pub(crate) fn mss(&self, mtu: u32) -> u32 {
        mtu.min(self.largest_mtu.unwrap_or(ETHERNET).max(MINIMUM_MTU)) - HEADERS
    }

    /// Sets the network namespace of the calling thread to the same. What cannot be written stays as it is: some can
    /// only be read, some hold for the whole machine, and in a container all of them may be read-only.
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
    fn settings_of_tcp_are_copied_but_for_that_of_routers() {
        let of = |name: &str| is_copied(&Path::new(SETTINGS).join(name));
        assert!(of("tcp_congestion_control"));
        assert!(!of("tcp_early_demux"));
        assert!(!of("ip_forward"));
    }

    #[test]
    fn this_namespace_has_some() {
        let TcpSettings { files, .. } = TcpSettings::of_this_namespace(&Netlink::connect().unwrap()).unwrap();
        assert!(
            files.iter().any(|(path, value)| path.ends_with("tcp_congestion_control") && !value.is_empty())
        );
    }

    #[test]
    fn peers_are_told_what_the_host_and_the_interface_can_carry() {
        let mss = |largest_mtu, mtu| TcpSettings { files: Vec::new(), largest_mtu }.mss(mtu);
        assert_eq!(mss(Some(1500), 65_535), 1440);
        assert_eq!(mss(Some(9000), 65_535), 8940);
        assert_eq!(mss(Some(9000), 1400), 1340);
        assert_eq!(mss(None, 65_535), 1440);
        assert_eq!(mss(Some(576), 65_535), 1220);
    }
}
