//! The ports that this host connects from.

use std::fs;
use std::ops::RangeInclusive;

/// The kernel's own default, for hosts whose /proc does not tell.
const DEFAULT: RangeInclusive<u16> = 32_768..=60_999;

/// The ports that connect(2) chooses from, in the network namespace of the thread that reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPorts {
    /// net.ipv4.ip_local_port_range, for IPv6 too.
    pub range: RangeInclusive<u16>,
    /// net.ipv4.ip_local_reserved_ports: connect(2) leaves these to servers of this host.
    pub reserved: Vec<RangeInclusive<u16>>,
}

impl LocalPorts {
    /// Reads the settings of the moment, from /proc/sys.
    #[must_use]
    pub fn read() -> Self {
        let setting = |name| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        Self::parse(&setting("ip_local_port_range"), &setting("ip_local_reserved_ports"))
    }

    fn parse(range: &str, reserved: &str) -> Self {
        let range = range
            .split_once(char::is_whitespace)
            .and_then(|(first, last)| Some(first.parse().ok()?..=last.trim().parse().ok()?));
        let reserved = reserved.trim().split(',').filter_map(|item| {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            Some(first.parse().ok()?..=last.parse().ok()?)
        });
        Self { range: range.unwrap_or(DEFAULT), reserved: reserved.collect() }
    }

    /// Number of ports that connect(2) chooses from.
    #[must_use]
    pub fn usable(&self) -> u32 {
        let usable = self.range.clone().filter(|port| !self.is_reserved(*port));
        u32::try_from(usable.count()).unwrap_or(u32::MAX)
    }

    /// Tells whether connect(2) leaves this port to servers.
    #[must_use]
    pub fn is_reserved(&self, port: u16) -> bool {
        self.reserved.iter().any(|range| range.contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_read_as_the_kernel_writes_them() {
        let ports = LocalPorts::parse("1024\t65535\n", "8080,9148-9150,65535\n");
        assert_eq!(ports.range, 1024..=65_535);
        assert_eq!(ports.reserved, [8080..=8080, 9148..=9150, 65_535..=65_535]);
        assert!(ports.is_reserved(9149) && !ports.is_reserved(9151));
        assert_eq!(ports.usable(), 64_512 - 5);
        let plain = LocalPorts::parse("32768\t60999\n", "\n");
        assert_eq!((plain.range, plain.reserved), (32_768..=60_999, Vec::new()));
    }

    #[test]
    fn a_host_that_does_not_tell_has_the_default() {
        assert_eq!(LocalPorts::parse("", "").range, DEFAULT);
    }
}
