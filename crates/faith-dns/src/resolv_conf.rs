//! The upstreams that resolv.conf(5) names.

use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use tokio::time::Instant;

/// The port of DNS.
pub(crate) const PORT: u16 = 53;

/// The shortest time between two looks at the file.
const PAUSE: Duration = Duration::from_secs(1);

/// The most servers that are used. resolv.conf(5) itself has three.
const MAX_SERVERS: usize = 8;

/// The state of a file by which a change shows.
type Stamp = (u64, u64, i64, i64, u64);

/// A resolv.conf file, read again when it changes.
#[derive(Debug)]
pub(crate) struct ResolvConf {
    path: PathBuf,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    servers: Vec<SocketAddr>,
}

impl ResolvConf {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, looked: None, stamp: None, servers: Vec::new() }
    }

    /// The servers in the order of the file. Those of the last good reading stay while there is no file.
    pub(crate) fn servers(&mut self) -> &[SocketAddr] {
        if self.looked.is_none_or(|looked| looked.elapsed() >= PAUSE) {
            self.looked = Some(Instant::now());
            self.look();
        }
        &self.servers
    }

    fn look(&mut self) {
        let stamp = stamp_of(&self.path);
        if stamp.is_none() || stamp == self.stamp {
            return;
        }
        if let Ok(text) = fs::read_to_string(&self.path) {
            self.stamp = stamp;
            self.servers = parse(&text);
        }
    }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// Reads the `nameserver` lines; lines that it cannot read are skipped, as the C library does.
pub(crate) fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next().and_then(address))?
    };
    text.lines().filter_map(server).take(MAX_SERVERS).collect()
}

/// Reads `ADDRESS` or `ADDRESS%INTERFACE`.
fn address(text: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = zone.parse().ok().or_else(|| index_of(zone))?;
    Some(SocketAddrV6::new(address, PORT, 0, scope).into())
}

fn index_of(interface: &str) -> Option<u32> {
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(&any, interface).ok()
}

#[cfg(test)]
mod tests;
