//! Puts the routes of a faith interface's prefixes and its own address back if the host loses them.
//!
//! It leaves the routes alone if the operator makes them.
//!
//! The kernel deletes both when the device goes down, its IPv6 is disabled, or its MTU falls below 1280, and any program
//! may delete them. The watch puts them back when it finds them missing, but only so often: if another program keeps
//! deleting them, one of the two has to give in. The watch looks, and the host's keeper makes the changes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faith_packet::prefix::FaithPrefix;
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::allowance::{Allowance, Rate};
use crate::keeper::Host;
use crate::netlink::notices::Subject;
use crate::netlink::{Device, METRIC, Netlink};
use crate::shared::Shared;
use crate::warning;

/// The watch puts routes back at most this often within a [`WINDOW`].
const MOST: u32 = 5;
const WINDOW: Duration = Duration::from_mins(1);
const RESTORATIONS: Rate = Rate::new(MOST, WINDOW);

/// The delay between a change and the look at it: `ip route flush` deletes in rounds, until it finds no more routes.
const SOON: Duration = Duration::from_millis(100);

/// The routes of one interface.
pub(crate) struct Routes {
    shared: Arc<Shared>,
    host: Arc<Host>,
    device: Device,
    /// True while the interface is open. Locked while prefixes change.
    open: Arc<Mutex<bool>>,
    /// True if faithd makes the routes.
    ours: bool,
    /// The prefixes without a route, of which a warning was sent.
    lost: Vec<FaithPrefix>,
    restorations: Allowance,
    /// The time of the next look, if one is needed.
    due: Option<Instant>,
}

impl Routes {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        host: &Arc<Host>,
        device: Device,
        open: &Arc<Mutex<bool>>,
        ours: bool,
    ) -> Self {
        let (shared, host, open) = (Arc::clone(shared), Arc::clone(host), Arc::clone(open));
        Self {
            shared,
            host,
            device,
            open,
            ours,
            lost: Vec::new(),
            restorations: Allowance::default(),
            due: Some(Instant::now()),
        }
    }

    /// Returns true if a notice is a reason to look.
    pub(crate) fn concerns(&self, subject: Subject<'_>) -> bool {
        match subject {
            Subject::Link(index) => index == self.device.index(),
            Subject::Route(..) => {
                let classifier = self.shared.classifier.load();
                self.ours && classifier.prefixes().iter().any(|prefix| subject.is_route_of(prefix))
            }
        }
    }

    /// Schedules a look, because something may have changed.
    pub(crate) fn changed(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + SOON);
    }

    /// The time until the next look; `Duration::MAX` if none is needed.
    pub(crate) fn due(&self) -> Duration {
        self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()))
    }

    /// Puts back the missing routes and the own address.
    ///
    /// # Errors
    /// The kernel cannot be asked. A route that it refuses is a warning.
    pub(crate) fn look(&mut self, netlink: &Netlink) -> io::Result<()> {
        let open = Arc::clone(&self.open);
        let Some(open) = open.try_lock() else {
            // Prefixes are changing.
            self.due = Some(Instant::now() + SOON);
            return Ok(());
        };
        self.due = None;
        if !*open || netlink.is_up(self.device)?.is_none() {
            return Ok(());
        }
        // The kernel refuses this while the device has no IPv6. It refuses the routes too, which warns.
        let device = self.device;
        let _ = self.host.change(move |netlink| netlink.add_own_address(device));
        if !self.ours {
            return Ok(());
        }
        let now = Instant::now();
        if !self.restorations.is_left(RESTORATIONS, now) {
            self.due = Some(now + self.restorations.whole_in(now));
            return Ok(());
        }
        let classifier = self.shared.classifier.load();
        let (mut restored, mut lost, mut why, mut put) = (Vec::new(), Vec::new(), None, false);
        for prefix in classifier.prefixes() {
            let was_lost = self.lost.contains(prefix);
            match self.restore(netlink, prefix)? {
                Found::There if !was_lost => {}
                Found::There => restored.push(*prefix),
                Found::Restored => {
                    put = true;
                    restored.push(*prefix);
                }
                Found::Refused(because) => {
                    lost.push(*prefix);
                    if !was_lost {
                        why.get_or_insert(because);
                    }
                }
            }
        }
        drop(open);
        self.lost.clone_from(&lost);
        if let Some(why) = why {
            self.shared.warnings.send(warning::Kind::RoutesLost { prefixes: lost, why });
        }
        if !restored.is_empty() {
            self.shared.warnings.send(warning::Kind::RoutesRestored(restored));
        }
        if put && is_last(&self.restorations, Instant::now()) {
            self.shared.warnings.send(warning::Kind::RoutesContested(WINDOW));
        }
        Ok(())
    }

    fn restore(&self, netlink: &Netlink, prefix: &FaithPrefix) -> io::Result<Found> {
        let elsewhere = || Found::Refused("another route for it takes precedence".to_owned());
        match netlink.routed_to(prefix)? {
            Some((_, Some(device))) if device == self.device => return Ok(Found::There),
            Some((metric, _)) if metric <= METRIC => return Ok(elsewhere()),
            _ => {}
        }
        let (missing, device) = (*prefix, self.device);
        Ok(match self.host.change(move |netlink| netlink.put_route(&missing, device)) {
            Ok(()) => Found::Restored,
            Err(error) => match Errno::from_io_error(&error) {
                // Another program was faster.
                Some(Errno::EXIST) => elsewhere(),
                Some(Errno::ACCESS) => Found::Refused(format!(
                    "IPv6 is disabled on the interface (sysctl net.ipv6.conf.{}.disable_ipv6)",
                    self.shared.name
                )),
                Some(Errno::NETDOWN) => Found::Refused("the interface is down".to_owned()),
                Some(_) => Found::Refused(format!("{error}; IPv6 needs an MTU of 1280 or more")),
                None => return Err(error),
            },
        })
    }
}

/// The state in which a look finds a route.
enum Found {
    There,
    Restored,
    Refused(String),
}

/// Takes one restoration. Returns true if none is left for now.
fn is_last(restorations: &Allowance, now: Instant) -> bool {
    restorations.take(RESTORATIONS, now);
    !restorations.is_left(RESTORATIONS, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_put_back_five_times_a_minute() {
        let restorations = Allowance::default();
        let begun = Instant::now();
        for taken in 1..=MOST {
            assert!(restorations.is_left(RESTORATIONS, begun));
            assert_eq!(is_last(&restorations, begun), taken == MOST);
        }
        assert!(!restorations.is_left(RESTORATIONS, begun));
        assert_eq!(restorations.whole_in(begun), WINDOW);
        assert_eq!(restorations.whole_in(begun + WINDOW / 2), WINDOW / 2);
        assert!(!is_last(&restorations, begun + WINDOW));
    }
}
