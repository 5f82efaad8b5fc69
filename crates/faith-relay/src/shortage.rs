//! Reports each resource that this host lacks, once a minute.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faith_stack::{Allowance, Rate};
use faith_sys::tcp::{self, Resource};
use parking_lot::Mutex;

use crate::record::Observer;

/// The highest rate of reports of each shortage.
const REPORTS: Rate = Rate::new(1, Duration::from_mins(1));

/// Something that connections need and this host does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shortage {
    /// A resource of [`exhaustion`](tcp::exhaustion).
    Resource(Resource),
    /// A source address.
    Source(IpAddr),
}

/// The shortages that were reported lately. The lock is taken only when there is one.
pub struct Shortages {
    observer: Option<Arc<dyn Observer>>,
    told: Mutex<HashMap<Shortage, Allowance>>,
}

impl Shortages {
    /// Makes an empty list whose shortages go to `observer`.
    #[must_use]
    pub fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self { observer, told: Mutex::default() }
    }

    /// Reports, once a minute, that this host has run out of a resource, if `error` means that.
    pub fn ran_out(&self, error: &io::Error) {
        let Some(what) = tcp::exhaustion(error) else { return };
        if self.is_news(Shortage::Resource(what), Instant::now())
            && let Some(observer) = &self.observer
        {
            observer.exhausted(what, error);
        }
    }

    /// Reports, once a minute, that connections cannot come from an address.
    pub(crate) fn cannot_use(&self, source: IpAddr, error: &io::Error) {
        if self.is_news(Shortage::Source(source), Instant::now())
            && let Some(observer) = &self.observer
        {
            observer.unusable_source(source, error);
        }
    }

    /// Tells whether this shortage was not reported within the last minute, and counts it as reported then.
    fn is_news(&self, shortage: Shortage, now: Instant) -> bool {
        let mut told = self.told.lock();
        told.retain(|_, allowance| !allowance.whole_in(now).is_zero());
        told.entry(shortage).or_default().take(REPORTS, now)
    }
}

impl fmt::Debug for Shortages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shortages").field("told", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortage_is_reported_once_a_minute() {
        let epoch = Instant::now();
        let shortages = Shortages::new(None);
        let (memory, source) =
            (Shortage::Resource(Resource::Memory), Shortage::Source(std::net::Ipv4Addr::LOCALHOST.into()));
        for minute in 0..3 {
            let now = epoch + Duration::from_secs(60 * minute);
            assert!(shortages.is_news(memory, now));
            assert!(shortages.is_news(source, now));
            assert!(!shortages.is_news(memory, now));
            assert!(!shortages.is_news(source, now));
        }
    }
}
