//! Reports each resource that this host lacks, once a minute.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use faith_sys::tcp;
use parking_lot::Mutex;

use crate::record::Observer;

/// Something that connections need and this host does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shortage {
    /// As [`exhaustion`](tcp::exhaustion) says.
    Resource(&'static str),
    /// A source address.
    Source(Ipv4Addr),
}

/// The shortages that were told in this minute. Locked only where there is one.
pub(crate) struct Shortages {
    epoch: Instant,
    observer: Option<Arc<dyn Observer>>,
    told: Mutex<(u64, HashSet<Shortage>)>,
}

impl Shortages {
    pub(crate) fn new(epoch: Instant, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { epoch, observer, told: Mutex::default() }
    }

    /// Tells, once a minute, that this host has run out of something.
    pub(crate) fn ran_out(&self, error: &io::Error) {
        let what = tcp::exhaustion(error).unwrap_or("resources");
        if self.is_news(Shortage::Resource(what), Instant::now())
            && let Some(observer) = &self.observer
        {
            observer.exhausted(what, error);
        }
    }

    /// Tells, once a minute, that connections cannot come from an address.
    pub(crate) fn cannot_use(&self, source: Ipv4Addr, error: &io::Error) {
        if self.is_news(Shortage::Source(source), Instant::now())
            && let Some(observer) = &self.observer
        {
            observer.unusable_source(source, error);
        }
    }

    /// Whether this one was not told yet in the minute that `now` falls into; it counts as told then.
    fn is_news(&self, shortage: Shortage, now: Instant) -> bool {
        let minute = now.saturating_duration_since(self.epoch).as_secs() / 60;
        let mut told = self.told.lock();
        if minute > told.0 {
            *told = (minute, HashSet::new());
        }
        told.1.insert(shortage)
    }
}

impl fmt::Debug for Shortages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shortages").field("told", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_shortage_is_told_once_a_minute() {
        let epoch = Instant::now();
        let shortages = Shortages::new(epoch, None);
        let (memory, source) = (Shortage::Resource("memory"), Shortage::Source(Ipv4Addr::LOCALHOST));
        for minute in 0..3 {
            let now = epoch + Duration::from_secs(60 * minute);
            assert!(shortages.is_news(memory, now));
            assert!(shortages.is_news(source, now));
            assert!(!shortages.is_news(memory, now));
            assert!(!shortages.is_news(source, now));
        }
    }
}
