//! The host's settings of TCP, for the sockets that its clients are connected to.
//!
//! A network namespace begins with the kernel's own settings, and a few of those of the machine's first namespace,
//! whatever the one that it is made in has. Who has chosen a congestion control or buffers for a router means the
//! connections of its relays too (`net.ipv4.tcp_*`, ip-sysctl in the kernel's documentation; they hold for IPv6 as well).

use std::fs;
use std::path::{Path, PathBuf};

const SETTINGS: &str = "/proc/sys/net/ipv4";

/// Looking for a socket before a route is a gain where packets are delivered, and a loss where they are forwarded: a
/// router may have it off, for what it forwards.
const OF_ROUTERS: &str = "tcp_early_demux";

/// What a namespace has TCP set to.
pub(crate) struct TcpSettings(Vec<(PathBuf, Vec<u8>)>);

impl TcpSettings {
    /// Those of the network namespace of the calling thread; none where /proc is not mounted.
    pub(crate) fn of_this_namespace() -> Self {
        let entries = fs::read_dir(SETTINGS).into_iter().flatten().flatten();
        let settings = entries.map(|entry| entry.path()).filter(|path| is_copied(path));
        Self(settings.filter_map(|path| fs::read(&path).ok().map(|value| (path, value))).collect())
    }

    /// Sets the network namespace of the calling thread to the same. What cannot be written stays as it is: some can
    /// only be read, some hold for the whole machine, and in a container all of them may be read-only.
    pub(crate) fn apply(&self) {
        for (path, value) in &self.0 {
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
        let TcpSettings(settings) = TcpSettings::of_this_namespace();
        assert!(
            settings
                .iter()
                .any(|(path, value)| path.ends_with("tcp_congestion_control") && !value.is_empty())
        );
    }
}
