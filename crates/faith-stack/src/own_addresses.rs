//! Which IPv4 addresses are the host's own, kept up to date: a relay must not lead back to the router.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::netlink::watch::{Watch, own_ipv4_changes};

/// Ranges sorted by their first address, none inside another.
type Ranges = Vec<(u32, u32)>;

/// The host's own IPv4 addresses, followed by a thread of their own.
pub(crate) struct OwnAddresses {
    ranges: Arc<ArcSwap<Ranges>>,
    watch: Watch,
}

impl OwnAddresses {
    /// Reads them for the calling thread's network namespace, and follows their changes.
    pub(crate) fn watch(interface: &str) -> io::Result<Self> {
        let ranges = Arc::new(ArcSwap::from_pointee(Ranges::new()));
        let (shared, name) = (Arc::clone(&ranges), interface.to_owned());
        let watch = Watch::start(format!("{interface}/own"), move |begun| async move {
            let changed = |own: Vec<(Ipv4Addr, u8)>| shared.store(Arc::new(merge(own)));
            own_ipv4_changes(begun, changed).await.inspect_err(|error| {
                tracing::warn!(interface = %name, %error, "cannot follow which addresses are this host's own");
            })
        })?;
        Ok(Self { ranges, watch })
    }

    /// Whether `address` is one of them.
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        let ranges = self.ranges.load();
        let before = ranges.partition_point(|(first, _)| *first <= address);
        before.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.watch.stop();
    }
}

fn merge(own: Vec<(Ipv4Addr, u8)>) -> Ranges {
    let mut ranges: Ranges = own
        .into_iter()
        .map(|(address, length)| {
            let host = u32::MAX.checked_shr(u32::from(length)).unwrap_or(0);
            (address.to_bits() & !host, address.to_bits() | host)
        })
        .collect();
    ranges.sort_unstable();
    let mut merged = Ranges::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn ranges_that_overlap_become_one() {
        let own = [("127.0.0.0", 8), ("127.0.0.1", 32), ("10.0.0.1", 32), ("10.0.0.255", 32)]
            .map(|(address, length)| (address.parse().unwrap(), length));
        let expected =
            vec![(0x0a00_0001, 0x0a00_0001), (0x0a00_00ff, 0x0a00_00ff), (0x7f00_0000, 0x7fff_ffff)];
        assert_eq!(merge(own.to_vec()), expected);
    }
}
